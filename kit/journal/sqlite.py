"""The journal in a SQLite file.

SQLite lets one connection write at a time, from ``BEGIN IMMEDIATE`` to ``COMMIT``. So ``pos`` is
handed out in the order in which facts become visible, and one number, the watermark of what is
published, is the whole outbox. On a database with concurrent writers that would lose facts: one
with a lower number may commit after a higher one was seen; there each fact carries its own mark.
"""

import asyncio
import sqlite3
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from msgspec import Raw

from contracts.envelope import Fact
from kit.errors import BrokenInvariant
from kit.journal.drafts import require_steps
from kit.journal.port import Appended, Draft
from kit.sqlite.bell import Bell
from kit.sqlite.connections import chunks, padded
from kit.sqlite.file import SqliteFile
from kit.sqlite.watch import running_watch
from kit.sqlite.writer import OneStatement, Statement

_TABLES = (
    """CREATE TABLE IF NOT EXISTS facts (
        pos INTEGER PRIMARY KEY,
        stream TEXT NOT NULL,
        seq INTEGER NOT NULL CHECK (seq > 0),
        key TEXT NOT NULL,
        hash BLOB NOT NULL,
        type TEXT NOT NULL,
        version INTEGER NOT NULL,
        occurred INTEGER NOT NULL,
        posted INTEGER NOT NULL,
        trace TEXT,
        body BLOB NOT NULL,
        UNIQUE (stream, seq),
        UNIQUE (stream, key)
    )""",
    "CREATE TABLE IF NOT EXISTS relay (one INTEGER PRIMARY KEY CHECK (one = 1), published INTEGER)",
    "INSERT OR IGNORE INTO relay VALUES (1, 0)",
)
_PLACES = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT = f"""INSERT INTO facts
    (stream, seq, key, hash, type, version, occurred, posted, trace, body) VALUES {_PLACES}"""
_INSERT_IF_FREE = f"{_INSERT} ON CONFLICT DO NOTHING"
# A statement for each number of rows stays prepared; more rows gain nothing.
_INSERTS = tuple(_INSERT + f", {_PLACES}" * more for more in range(32))
_FACT = "f.stream, f.seq, f.key, f.type, f.occurred, f.posted, f.body, f.version, f.trace"
_SELECT = f"SELECT {_FACT} FROM facts f WHERE"
_FORWARDS = f"{_SELECT} f.stream = ? AND f.seq > ? ORDER BY f.seq LIMIT ?"
_BACKWARDS = f"{_SELECT} f.stream = ? AND f.seq > ? AND f.seq < ? ORDER BY f.seq DESC LIMIT ?"
_BY_KEY = f"SELECT {_FACT}, f.hash FROM facts f WHERE f.stream = ? AND f.key = ?"
_HEAD = "SELECT max(seq) FROM facts WHERE stream = ?"
_POSTED = "SELECT posted FROM facts WHERE stream = ? AND seq = ?"
_AT = f"{_SELECT} f.stream = ? AND f.seq = ?"
_SCAN = f"{_SELECT} (f.stream, f.seq) > (?, ?) ORDER BY f.stream, f.seq LIMIT ?"
_UNPUBLISHED = f"{_SELECT} f.pos > (SELECT published FROM relay) ORDER BY f.pos LIMIT ?"
_NEWEST = "SELECT max(pos) FROM facts"
_MARK = "UPDATE relay SET published = max(published, ?) WHERE published >= ?"
_POS = "SELECT pos FROM facts WHERE stream = ? AND seq = ?"

_APPENDED = Appended("appended")
_SEQ_CONFLICT = Appended("seq_conflict")
_NOT_TRIED = Appended("not_tried")


class SqliteJournal:
    """A journal in the file ``NAME.journal.db`` of a directory."""

    def __init__(self, directory: Path, name: str) -> None:
        self._name = name
        self._file = SqliteFile(directory / f"{name}.journal.db")
        self._seen = -1
        self.bell = Bell(self._file.path)

    @property
    def name(self) -> str:
        """Its name, e.g. ``events.activities``."""
        return self._name

    async def prepare(self) -> None:
        """Create the tables, unless they are there."""
        await self._file.create(_TABLES)

    async def append(self, drafts: Sequence[Draft]) -> list[Appended]:
        """Append drafts; callers that wait at the same time share one transaction."""
        if not drafts:
            return []
        require_steps(drafts)
        appended: list[Appended] = await self._file.write(_APPENDING, drafts)
        self.bell.ring()
        return appended

    async def read(
        self, stream: str, after: int = 0, limit: int = 1000, *, backwards_from: int | None = None
    ) -> list[Fact]:
        """Return a stretch of a stream."""
        if backwards_from is None:
            return self._facts(_FORWARDS, (stream, after, limit))
        return self._facts(_BACKWARDS, (stream, after, backwards_from, limit))

    async def read_many(self, after: dict[str, int]) -> dict[str, list[Fact]]:
        """Return the tails of many streams, in one query for each 1,024 of them."""
        tails: dict[str, list[Fact]] = {stream: [] for stream in after}
        for part in chunks(list(after.items())):
            places, values = padded([value for pair in part for value in pair], width=2)
            for fact in self._facts(_tails(places), values):
                tails[fact.stream].append(fact)
        return tails

    async def find(self, stream: str, keys: Sequence[str]) -> dict[str, Fact]:
        """Return the facts of a stream that bear these keys."""
        return {fact.key: fact for fact in _to_facts(self._by_key(_FACT, stream, keys))}

    async def input_hashes(self, stream: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the hashes that are kept beside the facts."""
        return dict(self._by_key("f.key, f.hash", stream, keys))

    def _by_key(self, columns: str, stream: str, keys: Sequence[str]) -> Iterator[Any]:
        for part in chunks(keys):
            places, values = padded(part)
            where = f"f.stream = ? AND f.key IN ({', '.join('?' * places)})"
            yield from self._rows(f"SELECT {columns} FROM facts f WHERE {where}", [stream, *values])

    async def head(self, stream: str) -> int:
        """Return the seq of the stream's last fact, 0 when it has none."""
        return self._file.read(lambda c: c.execute(_HEAD, (stream,)).fetchone()[0] or 0)

    async def last_before(self, stream: str, posted_at: int) -> Fact | None:
        """Return the last fact posted then or earlier: point reads on one connection."""
        row = self._file.read(lambda c: _last_before(c, stream, posted_at))
        return None if row is None else _to_facts([row])[0]

    async def scan(self, batch: int = 1000) -> AsyncIterator[list[Fact]]:
        """Iterate over the whole journal, stream by stream."""
        last = ("", 0)
        while facts := self._facts(_SCAN, (*last, batch)):
            yield facts
            last = (facts[-1].stream, facts[-1].seq)
            await asyncio.sleep(0)

    async def unpublished(self, limit: int = 1000) -> list[Fact]:
        """Return the facts above the watermark, in the order in which they became visible."""
        self._seen = self.version()
        return self._facts(_UNPUBLISHED, (limit,))

    async def mark_published(self, facts: Sequence[Fact]) -> None:
        """Raise the watermark over ``facts``.

        Not worth an fsync: a watermark forgotten in a power failure publishes facts once more,
        which consumers bear.
        """
        if not facts:
            return
        ends = [(fact.stream, fact.seq) for fact in (facts[0], facts[-1])]
        first, last = self._file.read(
            lambda c: [c.execute(_POS, end).fetchone()[0] for end in ends]
        )
        if last - first + 1 != len(facts):
            raise _broken_outbox()
        await self._file.write(_MARKING, (last, first - 1), durable=False)

    async def changed(self, timeout: float) -> None:
        """Return when anybody has appended since ``unpublished`` last looked."""
        await running_watch().wait({self: self._seen}, timeout)

    def version(self) -> int:
        """Return the place of the newest fact (5 µs): marks are no news to who waits for facts."""
        return self._file.read(lambda c: c.execute(_NEWEST).fetchone()[0] or 0)

    def _place(self, fact: Fact) -> int:
        place: int = self._rows(_POS, (fact.stream, fact.seq))[0][0]
        return place

    async def close(self) -> None:
        """Finish queued appends and close the file."""
        await self._file.close()
        self.bell.close()

    def _facts(self, sql: str, values: Sequence[Any]) -> list[Fact]:
        return _to_facts(self._rows(sql, values))

    def _rows(self, sql: str, values: Sequence[Any]) -> list[Any]:
        return self._file.read(lambda c: c.execute(sql, values).fetchall())


def _tails(places: int) -> str:
    return f"""WITH wanted (stream, seq) AS (VALUES {", ".join(["(?, ?)"] * places)})
        SELECT {_FACT} FROM wanted w CROSS JOIN facts f
        ON f.stream = w.stream AND f.seq > w.seq ORDER BY f.stream, f.seq"""


def _last_before(connection: sqlite3.Connection, stream: str, posted_at: int) -> Any:
    """Halve the stream; the newest fact goes first, for most ask about the recent past."""

    def posted(seq: int) -> int:
        when: int = connection.execute(_POSTED, (stream, seq)).fetchone()[0]
        return when

    head = connection.execute(_HEAD, (stream,)).fetchone()[0] or 0
    last = head
    if head and posted(head) > posted_at:
        last = bisect_right(range(1, head), posted_at, key=posted)
    return connection.execute(_AT, (stream, last)).fetchone()


def _to_facts(rows: Iterable[Sequence[Any]]) -> list[Fact]:
    return [
        Fact(stream, seq, key, kind, occurred, posted, Raw(body), version, trace)
        for stream, seq, key, kind, occurred, posted, body, version, trace in rows
    ]


def _row(draft: Draft) -> tuple[Any, ...]:
    return (
        draft.stream,
        draft.seq,
        draft.key,
        draft.input_hash,
        draft.type,
        draft.version,
        draft.occurred_at,
        draft.posted_at,
        draft.trace,
        draft.body,
    )


def _appending(batches: Sequence[Sequence[Draft]]) -> Statement | None:
    drafts = [draft for batch in batches for draft in batch]
    return None if len(drafts) > len(_INSERTS) else _insert(drafts)


def _insert(drafts: Sequence[Draft]) -> Statement:
    values = [value for draft in drafts for value in _row(draft)]
    return Statement(_INSERTS[len(drafts) - 1], values, len(drafts))


def _all_appended(batches: Sequence[Sequence[Draft]]) -> list[list[Appended]]:
    return [[_APPENDED] * len(batch) for batch in batches]


def _append(
    connection: sqlite3.Connection, batches: Sequence[Sequence[Draft]]
) -> list[list[Appended]]:
    """Insert everything and hope; when something is in the way, take it row by row."""
    connection.execute("SAVEPOINT hopeful")
    try:
        for part in chunks([draft for batch in batches for draft in batch], len(_INSERTS)):
            connection.execute(*_insert(part)[:2])
    except sqlite3.IntegrityError:
        connection.execute("ROLLBACK TO hopeful")
        return [_append_singly(connection, batch) for batch in batches]
    finally:
        connection.execute("RELEASE hopeful")
    return _all_appended(batches)


def _append_singly(connection: sqlite3.Connection, drafts: Sequence[Draft]) -> list[Appended]:
    """Insert row by row, and read what is in the way.

    Looking and then deciding is safe here and only here: the transaction holds SQLite's one write
    lock, so nothing can change in between.
    """
    stopped: set[str] = set()
    outcomes: list[Appended] = []
    for draft in drafts:
        if draft.stream in stopped:
            outcomes.append(_NOT_TRIED)
        elif connection.execute(_INSERT_IF_FREE, _row(draft)).rowcount == 1:
            outcomes.append(_APPENDED)
        else:
            stopped.add(draft.stream)
            outcomes.append(_in_the_way(connection, draft))
    return outcomes


def _in_the_way(connection: sqlite3.Connection, draft: Draft) -> Appended:
    row = connection.execute(_BY_KEY, (draft.stream, draft.key)).fetchone()
    if row is None:
        return _SEQ_CONFLICT
    (existing,) = _to_facts([row[:-1]])
    return Appended("duplicate" if row[-1] == draft.input_hash else "key_conflict", existing)


def _marking(payloads: Sequence[tuple[int, int]]) -> Statement | None:
    return Statement(_MARK, payloads[0], 1) if len(payloads) == 1 else None


def _mark(connection: sqlite3.Connection, payloads: Sequence[tuple[int, int]]) -> list[None]:
    for ends in payloads:
        if connection.execute(_MARK, ends).rowcount != 1:
            raise _broken_outbox()
    return [None] * len(payloads)


def _broken_outbox() -> BrokenInvariant:
    return BrokenInvariant(
        "outbox", "Only what was read as unpublished can be marked, without gaps"
    )


_APPENDING = OneStatement(_appending, _all_appended, _append)
_MARKING = OneStatement(_marking, lambda payloads: [None] * len(payloads), _mark)
