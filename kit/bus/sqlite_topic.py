"""One topic in one SQLite file: a table per partition, appended to and read in offset order.

A table per partition, not one with a compound key: every append then goes to the right edge of
its tree, which keeps pages full and a poll of one partition a single range scan. Offsets count
from 0 without gaps; ``heads`` keeps the first and the next one, so that trimming loses neither.
"""

import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from kit.bus.partitioner import partition_for
from kit.bus.port import Message, Received, TopicSpec
from kit.bus.sqlite_file import BUSY_SECONDS, CACHE_KIB, open_file, writing
from kit.bus.topic_errors import partitions_differ
from kit.errors import Unavailable
from kit.sqlite.bell import Bell
from kit.sqlite.file import SqliteFile

_headers_encoder = msgspec.msgpack.Encoder()
_headers_decoder = msgspec.msgpack.Decoder(dict[str, bytes])


def create_topic(path: Path, spec: TopicSpec) -> None:
    """Create the topic's tables; refuse when it is there with another number of partitions."""
    db = open_file(path, durable=True)
    try:
        with writing(db):
            if not _is_created(db):
                _create_tables(db, spec)
        _refuse_other_partitions(db, spec)
    finally:
        db.close()


def _is_created(db: sqlite3.Connection) -> bool:
    return bool(db.execute("SELECT 1 FROM sqlite_master WHERE name = 'topic'").fetchall())


def _create_tables(db: sqlite3.Connection, spec: TopicSpec) -> None:
    db.execute("CREATE TABLE topic (partitions INTEGER NOT NULL, compacted INTEGER NOT NULL)")
    db.execute("INSERT INTO topic VALUES (?, ?)", (spec.partitions, spec.compacted))
    db.execute(
        'CREATE TABLE heads ("partition" INTEGER PRIMARY KEY,'
        " first INTEGER NOT NULL, next INTEGER NOT NULL)"
    )
    for partition in range(spec.partitions):
        db.execute("INSERT INTO heads VALUES (?, 0, 0)", (partition,))
        db.execute(
            f'CREATE TABLE p{partition} ("offset" INTEGER PRIMARY KEY, key TEXT NOT NULL,'
            " value BLOB NOT NULL, timestamp INTEGER NOT NULL, headers BLOB)"
        )


def _refuse_other_partitions(db: sqlite3.Connection, spec: TopicSpec) -> None:
    ((partitions, _),) = db.execute("SELECT partitions, compacted FROM topic").fetchall()
    if partitions != spec.partitions:
        raise partitions_differ(spec, partitions)


class TopicFile:
    """A topic that exists."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise Unavailable(f"topic {path.stem}", "it has not been created yet")
        self.name = path.stem
        self._file = SqliteFile(path, BUSY_SECONDS, CACHE_KIB)
        self._reader = open_file(path, durable=True)
        if not _is_created(self._reader):
            self._reader.close()
            raise Unavailable(f"topic {path.stem}", "it is just being created")
        row = self._reader.execute("SELECT partitions, compacted FROM topic").fetchone()
        self.partitions: int = row[0]
        self.compacted = bool(row[1])
        self.bell = Bell(path)
        self._heads: tuple[int, list[tuple[int, int]]] = (-1, [])

    async def publish(self, messages: Sequence[Message]) -> None:
        """Append messages in one durable transaction, in the order given."""
        batches: dict[int, list[Message]] = {}
        for message in messages:
            batches.setdefault(partition_for(message, self.partitions), []).append(message)
        await self._file.write(_publish, batches)
        self.bell.ring()

    def version(self) -> int:
        """Return a number that differs after any other connection has written (2 µs)."""
        number: int = self._reader.execute("PRAGMA data_version").fetchone()[0]
        return number

    def heads(self) -> list[tuple[int, int]]:
        """Return (first, next) offset of each partition; read anew only when they may differ."""
        version = self.version()
        if self._heads[0] != version:
            query = 'SELECT first, next FROM heads ORDER BY "partition"'
            self._heads = (version, self._reader.execute(query).fetchall())
        return self._heads[1]

    def read(self, partition: int, position: int, limit: int) -> list[Received]:
        """Return up to ``limit`` messages of a partition from ``position`` on."""
        rows = self._reader.execute(
            f'SELECT "offset", key, value, timestamp, headers FROM p{partition}'
            ' WHERE "offset" >= ? ORDER BY "offset" LIMIT ?',
            (position, limit),
        ).fetchall()
        name, decode = self.name, _headers_decoder.decode
        return [
            Received(name, partition, offset, key, value, stamp, decode(headers) if headers else {})
            for offset, key, value, stamp, headers in rows
        ]

    async def trim(self, committed: dict[int, int]) -> int:
        """Delete messages below the given offset of each partition; return how many.

        A compacted topic keeps the latest message of every key.
        """
        trimmed: int = await self._file.write(self._trim, committed)
        return trimmed

    def _trim(self, db: sqlite3.Connection, payloads: Sequence[dict[int, int]]) -> list[int]:
        return [
            sum(self._trim_partition(db, *below) for below in committed.items())
            for committed in payloads
        ]

    def _trim_partition(self, db: sqlite3.Connection, partition: int, offset: int) -> int:
        table = f"p{partition}"
        condition = '"offset" < ?'
        if self.compacted:
            condition += f' AND "offset" NOT IN (SELECT max("offset") FROM {table} GROUP BY key)'
        deleted = db.execute(f"DELETE FROM {table} WHERE {condition}", (offset,)).rowcount
        db.execute(
            f'UPDATE heads SET first = coalesce((SELECT min("offset") FROM {table}), next)'
            ' WHERE "partition" = ?',
            (partition,),
        )
        return deleted

    async def close(self) -> None:
        """Finish what is queued and close the connections."""
        await self._file.close()
        self.bell.close()
        self._reader.close()


Batches = dict[int, list[Message]]
"""Messages by the number of their partition."""


def _publish(db: sqlite3.Connection, payloads: Sequence[Batches]) -> list[None]:
    now = time.time_ns() // 1000
    for batches in payloads:
        for partition, batch in batches.items():
            _append(db, partition, batch, now)
    return [None] * len(payloads)


def _append(db: sqlite3.Connection, partition: int, batch: list[Message], now: int) -> None:
    query = 'SELECT next FROM heads WHERE "partition" = ?'
    start: int = db.execute(query, (partition,)).fetchone()[0]
    encode = _headers_encoder.encode
    db.executemany(
        f"INSERT INTO p{partition} VALUES (?, ?, ?, ?, ?)",
        [
            (offset, m.key, m.value, now, encode(m.headers) if m.headers else None)
            for offset, m in enumerate(batch, start)
        ],
    )
    advance = 'UPDATE heads SET next = ? WHERE "partition" = ?'
    db.execute(advance, (start + len(batch), partition))
