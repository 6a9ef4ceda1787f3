"""Views in a SQLite file: a table for each collection, its declared fields as columns."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from kit.sqlite.connections import chunks, padded
from kit.sqlite.file import SqliteFile
from kit.sqlite.writer import OneStatement, Statement, Work
from kit.views.checks import require_answerable, require_distinct, require_field
from kit.views.port import Collection, Document, Query

_TYPES = {str: "TEXT", int: "INTEGER"}
_AT_ONCE = 64
"""Documents in one statement; more gain nothing."""


class SqliteViews:
    """The views of one service, in the file ``SERVICE.views.db`` of a directory."""

    def __init__(self, directory: Path, service: str) -> None:
        self._file = SqliteFile(directory / f"{service}.views.db")
        self._tables: dict[str, _Table] = {}

    async def prepare(self, collections: Sequence[Collection]) -> None:
        """Create tables, and the columns and indexes that a collection has gained since."""
        tables = [self._table(collection) for collection in collections]
        await self._file.create([table.create for table in tables])
        await self._file.write(_add_columns, tables)
        await self._file.create([sql for table in tables for sql in table.create_indexes])

    async def load(self, collection: Collection, ids: Sequence[str]) -> dict[str, Document]:
        """Return the documents that exist, in one query for each 1,024 ids."""
        table = self._table(collection)
        found: dict[str, Document] = {}
        for part in chunks(ids):
            places, values = padded(part)
            sql = f"{table.select} WHERE id IN ({', '.join('?' * places)})"
            found.update((d.id, d) for d in self._documents(table, sql, values))
        return found

    async def save(self, collection: Collection, documents: Sequence[Document]) -> list[str]:
        """Write documents by compare-and-set; return the ids that lost."""
        if not documents:
            return []
        require_distinct(documents)
        losers: list[str] = await self._file.write(self._table(collection).save, documents)
        return losers

    async def delete(self, collection: Collection, ids: Sequence[str]) -> None:
        """Remove documents whatever their version."""
        await self._file.write(self._table(collection).delete, ids)

    async def find(self, collection: Collection, query: Query) -> list[Document]:
        """Return documents in the order of the query."""
        require_answerable(collection, query)
        table = self._table(collection)
        conditions, values = _conditions(query)
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        order = f"{_quoted(query.order_by)}, id" if query.order_by else "id"
        sql = f"{table.select}{where} ORDER BY {order} LIMIT ?"
        return self._documents(table, sql, [*values, query.limit])

    async def count(self, collection: Collection, group_by: str | None = None) -> dict[str, int]:
        """Return the number of documents, per value of a field; "" stands for no value."""
        table = _quoted(collection.name)
        if group_by is None:
            sql = f"SELECT NULL, count(*) FROM {table}"
        else:
            require_field(collection, group_by)
            column = _quoted(group_by)
            sql = f"SELECT {column}, count(*) FROM {table} GROUP BY {column}"
        rows = await self._file.read_aside(lambda c: c.execute(sql).fetchall())
        counts: Counter[str] = Counter()
        for value, number in rows:
            counts["" if value is None else str(value)] += number
        return dict(counts)

    async def drop(self, collection: Collection) -> None:
        """Remove all documents of the collection."""
        await self._file.create([f"DELETE FROM {_quoted(collection.name)}"])

    async def close(self) -> None:
        """Finish queued writes and close the file."""
        await self._file.close()

    def _table(self, collection: Collection) -> "_Table":
        table = self._tables.get(collection.name)
        if table is None:
            table = self._tables[collection.name] = _Table.of(collection)
        return table

    def _documents(self, table: "_Table", sql: str, values: Sequence[Any]) -> list[Document]:
        rows = self._file.read(lambda c: c.execute(sql, values).fetchall())
        return [
            Document(id_, version, body, dict(zip(table.fields, index, strict=True)))
            for id_, version, body, *index in rows
        ]


@dataclass(frozen=True, eq=False)
class _Table:
    """The statements of a collection, made once; the writer groups jobs by ``save`` itself."""

    name: str
    fields: tuple[str, ...]
    types: Mapping[str, str]
    create: str
    create_indexes: tuple[str, ...]
    select: str
    save: Work
    delete: Work

    @classmethod
    def of(cls, collection: Collection) -> "_Table":
        name, fields = _quoted(collection.name), tuple(collection.fields)
        columns = [_quoted(field) for field in fields]
        marks = "".join(f", {column} = ?" for column in columns)
        insert = f"""INSERT INTO {name} (version, body{"".join(f", {c}" for c in columns)}, id)
            VALUES (1, ?{", ?" * len(columns)}, ?) ON CONFLICT DO NOTHING"""
        update = f"""UPDATE {name} SET version = version + 1, body = ?{marks}
            WHERE id = ? AND version = ?"""
        return cls(
            name=name,
            fields=fields,
            types={
                f: "INTEGER" if kind is int else "TEXT" for f, kind in collection.fields.items()
            },
            create=f"""CREATE TABLE IF NOT EXISTS {name}
                (id TEXT PRIMARY KEY NOT NULL, version INTEGER NOT NULL, body BLOB NOT NULL)""",
            create_indexes=tuple(_index(collection.name, index) for index in collection.indexes),
            select=f"SELECT id, version, body{''.join(f', {c}' for c in columns)} FROM {name}",
            save=OneStatement(
                partial(_saving, name, fields),
                lambda payloads: [[] for _ in payloads],
                partial(_save, name, fields, insert, update),
            ),
            delete=partial(_delete, f"DELETE FROM {name} WHERE id = ?"),
        )


def _quoted(name: str) -> str:
    if not name.replace(".", "_").isidentifier():
        raise ValueError(f"{name!r} cannot name a collection or a field")
    return f'"{name}"'


def _index(collection: str, fields: tuple[str, ...]) -> str:
    name = _quoted(f"{collection}.{'.'.join(fields)}")
    columns = ", ".join([*(_quoted(field) for field in fields), "id"])
    return f"CREATE INDEX IF NOT EXISTS {name} ON {_quoted(collection)} ({columns})"


def _conditions(query: Query) -> tuple[list[str], list[Any]]:
    conditions: list[str] = []
    values: list[Any] = []
    for field, value in query.equals.items():
        conditions.append(f"{_quoted(field)} IS ?")
        values.append(value)
    if query.order_by is None:
        if query.after is not None:
            conditions.append("id > ?")
            values.append(query.after[1])
        return conditions, values
    column = _quoted(query.order_by)
    for sign, bound in ((">=", query.lower), ("<", query.upper)):
        if bound is not None:
            conditions.append(f"{column} {sign} ?")
            values.append(bound)
    if query.after is not None:
        condition, more = _behind(column, *query.after)
        conditions.append(condition)
        values.extend(more)
    return conditions, values


def _behind(column: str, value: Any, id_: str) -> tuple[str, list[Any]]:
    """The rows behind a cursor; no value sorts before every value."""
    if value is None:
        return f"({column} IS NOT NULL OR id > ?)", [id_]
    return f"({column}, id) > (?, ?)", [value, id_]


def _saving(
    table: str, fields: tuple[str, ...], payloads: Sequence[Sequence[Document]]
) -> Statement | None:
    documents = [document for payload in payloads for document in payload]
    if len(documents) > _AT_ONCE or len({document.id for document in documents}) < len(documents):
        return None
    return _upsert(table, fields, documents)


def _upsert(table: str, fields: tuple[str, ...], documents: Sequence[Document]) -> Statement:
    """Save all documents or, when one has lost, none."""
    places, values = padded(
        [value for d in documents for value in (d.id, d.version, d.body, *_index_of(d, fields))],
        width=3 + len(fields),
    )
    return Statement(_upsert_sql(table, fields, places), [*values, len(documents)], len(documents))


@lru_cache(maxsize=512)
def _upsert_sql(table: str, fields: tuple[str, ...], places: int) -> str:
    names = [_quoted(field) for field in fields]
    columns = ", ".join(["id", "version", "body", *names])
    wanted = ", ".join(["id", "version + 1", "body", *names])
    place = f"({', '.join('?' * (3 + len(fields)))})"
    return f"""INSERT INTO {table} ({columns})
        WITH wanted ({columns}) AS (VALUES {", ".join([place] * places)})
        SELECT {wanted} FROM wanted WHERE id IS NOT NULL AND ? =
            (SELECT count(*) FROM wanted w LEFT JOIN {table} t ON t.id = w.id
             WHERE coalesce(t.version, 0) = w.version)
        ON CONFLICT (id) DO UPDATE SET version = excluded.version, body = excluded.body
        {"".join(f", {name} = excluded.{name}" for name in names)}"""


def _save(
    table: str,
    fields: tuple[str, ...],
    insert: str,
    update: str,
    connection: sqlite3.Connection,
    payloads: Sequence[Sequence[Document]],
) -> list[list[str]]:
    """Write each caller's at once; when some lost, write one by one to learn which."""
    return [
        []
        if _all_saved(table, fields, connection, documents)
        else [
            document.id
            for document in documents
            if connection.execute(
                update if document.version else insert, _row(document, fields)
            ).rowcount
            == 0
        ]
        for documents in payloads
    ]


def _all_saved(
    table: str,
    fields: tuple[str, ...],
    connection: sqlite3.Connection,
    documents: Sequence[Document],
) -> bool:
    connection.execute("SAVEPOINT hopeful")
    try:
        for part in chunks(documents, _AT_ONCE):
            one = _upsert(table, fields, part)
            if connection.execute(one.sql, one.values).rowcount != one.rows:
                connection.execute("ROLLBACK TO hopeful")
                return False
    finally:
        connection.execute("RELEASE hopeful")
    return True


def _index_of(document: Document, fields: Iterable[str]) -> Iterable[Any]:
    return map(document.index.get, fields)


def _row(document: Document, fields: Iterable[str]) -> tuple[Any, ...]:
    values = (document.body, *_index_of(document, fields), document.id)
    return (*values, document.version) if document.version else values


def _delete(sql: str, connection: sqlite3.Connection, payloads: Sequence[Sequence[str]]) -> Any:
    for ids in payloads:
        connection.executemany(sql, [(id_,) for id_ in ids])
    return [None] * len(payloads)


def _add_columns(connection: sqlite3.Connection, payloads: Sequence[Sequence[_Table]]) -> Any:
    for tables in payloads:
        for table in tables:
            there = {row[1] for row in connection.execute(f"PRAGMA table_info({table.name})")}
            for field in table.fields:
                if field not in there:
                    connection.execute(
                        f"ALTER TABLE {table.name} ADD COLUMN {_quoted(field)} {table.types[field]}"
                    )
    return [None] * len(payloads)
