"""What SQLite alone needs for the rows that a platform has written: the limit of a replay.

The very rows, out of the journals and topics a replay has filled, are inserted into fresh files
with the same tables, indexes and pragmas, in durable transactions of 1,000, one file after the
other in one thread. Views and the books of the consumer groups are left out: they are the price of
our design, not part of the limit. Reading the rows is not timed.
"""

import heapq
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from kit.sqlite.connections import READER_CACHE_KIB, WRITER_CACHE_KIB, connect

BATCH_ROWS = 1_000

# The statement a row goes into, its moment (which orders the rows of a topic), its values.
Row = tuple[str, int, Sequence[Any]]
Connection = Any  # ``sqlite3`` is the adapters' own


@dataclass(frozen=True)
class Written:
    """What one file took: rows, the bytes of their bodies, seconds."""

    file: str
    rows: int
    body_bytes: int
    seconds: float


@dataclass(frozen=True)
class RawLimit:
    """The seconds that all rows took, and each file's share."""

    files: tuple[Written, ...]

    @property
    def seconds(self) -> float:
        """Seconds for everything."""
        return sum(file.seconds for file in self.files)

    @property
    def rows(self) -> int:
        """Rows in everything."""
        return sum(file.rows for file in self.files)


def raw_limit(data: Path, scratch: Path) -> RawLimit:
    """Write the rows of the platform's files in ``data`` again, below ``scratch``."""
    scratch.mkdir(parents=True, exist_ok=True)
    journals = sorted(data.glob("*.journal.db"))
    topics = sorted((data / "bus").glob("*.db"))
    files = [_rewrite(path, scratch, journal_rows) for path in journals]
    files += [_rewrite(path, scratch, topic_rows) for path in topics]
    return RawLimit(tuple(file for file in files if file.rows))


def _rewrite(source: Path, scratch: Path, read: Any) -> Written:
    reader = connect(source, READER_CACHE_KIB)
    target = scratch / source.name
    writer = connect(target, WRITER_CACHE_KIB)
    try:
        copy_schema(reader, writer)
        return write(source.name, writer, read(reader))
    finally:
        reader.close()
        writer.close()
        for suffix in ("", "-wal", "-shm"):
            target.with_name(target.name + suffix).unlink(missing_ok=True)


def copy_schema(source: Connection, target: Connection) -> None:
    """Make the same tables and indexes."""
    for (statement,) in source.execute(
        "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
    ):
        target.execute(statement)


def write(name: str, writer: Connection, rows: Iterator[Row]) -> Written:
    """Insert rows in batches and time the inserts with their commits."""
    count, size, seconds = 0, 0, 0.0
    while batch := list(islice(rows, BATCH_ROWS)):
        statements: dict[str, list[Sequence[Any]]] = {}
        for statement, _, values in batch:
            statements.setdefault(statement, []).append(values)
            size += sum(len(value) for value in values if isinstance(value, bytes))
        begin = time.perf_counter()
        writer.execute("BEGIN IMMEDIATE")
        for statement, lines in statements.items():
            writer.executemany(statement, lines)
        writer.execute("COMMIT")
        seconds += time.perf_counter() - begin
        count += len(batch)
    return Written(name, count, size, seconds)


def journal_rows(reader: Connection) -> Iterator[Row]:
    """The facts in the order in which they were written; ``pos`` is given anew, as then."""
    columns = [row[1] for row in reader.execute("PRAGMA table_info(facts)") if row[1] != "pos"]
    names = ", ".join(columns)
    insert = f"INSERT INTO facts ({names}) VALUES ({', '.join('?' * len(columns))})"
    for values in reader.execute(f"SELECT {names} FROM facts ORDER BY pos"):
        yield insert, 0, values


def topic_rows(reader: Connection) -> Iterator[Row]:
    """The messages of all partitions, mixed as they were published."""
    (partitions,) = reader.execute("SELECT partitions FROM topic").fetchone()
    lines: list[Iterable[Row]] = [_partition_rows(reader, number) for number in range(partitions)]
    return heapq.merge(*lines, key=lambda row: row[1])


def _partition_rows(reader: Connection, number: int) -> Iterator[Row]:
    insert = f"INSERT INTO p{number} VALUES (?, ?, ?, ?, ?)"
    query = f'SELECT "offset", key, value, timestamp, headers FROM p{number} ORDER BY "offset"'
    for values in reader.execute(query):
        yield insert, values[3], values
