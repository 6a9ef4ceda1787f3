"""One SQLite file as an asyncio program uses it.

Writes go to the writer thread. Reads of a bounded number of rows run on the event loop's own
thread: WAL readers wait for nobody, a point read takes 10 µs, and handing it to another thread and
back costs several times that. What may read without bound goes to a thread.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from kit.errors import Unavailable
from kit.sqlite.connections import (
    BUSY_SECONDS,
    READER_CACHE_KIB,
    WRITER_CACHE_KIB,
    connect,
    outages,
)
from kit.sqlite.writer import Job, Work, Writer

T = TypeVar("T")
Read = Callable[[sqlite3.Connection], T]


class SqliteFile:
    """A file, opened when it is first used."""

    def __init__(
        self, path: Path, busy_seconds: float = BUSY_SECONDS, cache_kib: int = WRITER_CACHE_KIB
    ) -> None:
        self.path = path
        self._busy_seconds = busy_seconds
        self._writer = Writer(path, busy_seconds, cache_kib)
        self._reader: sqlite3.Connection | None = None
        self._closed = False

    async def write(self, work: Work, payload: Any, *, durable: bool = True) -> Any:
        """Do ``work`` on ``payload`` in a transaction shared with whoever else is waiting.

        Returns after the commit. ``durable=False`` spares the fsync when nothing durable is in the
        same group: for what may be forgotten in a power failure.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._writer.submit(Job(work, payload, durable, loop, future))
        return await future

    def read(self, work: Read[T]) -> T:
        """Read a bounded number of rows, here and now."""
        with outages(self.path.name):
            return work(self._opened())

    async def read_aside(self, work: Read[T]) -> T:
        """Read on another thread, with a connection of its own."""
        return await asyncio.to_thread(self._read_alone, work)

    async def create(self, statements: Sequence[str]) -> None:
        """Carry out the statements that make its tables."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(self.path.name, str(error)) from error
        await self.write(_create, statements)

    async def close(self) -> None:
        """Finish the queued writes and close the connections."""
        self._closed = True
        await asyncio.to_thread(self._writer.close)
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _read_alone(self, work: Read[T]) -> T:
        with outages(self.path.name):
            connection = connect(self.path, READER_CACHE_KIB, self._busy_seconds)
            try:
                return work(connection)
            finally:
                connection.close()

    def _opened(self) -> sqlite3.Connection:
        if self._closed:
            raise Unavailable(self.path.name, "closed")
        if self._reader is None:
            self._reader = connect(self.path, READER_CACHE_KIB, self._busy_seconds)
        return self._reader


def _create(connection: sqlite3.Connection, payloads: Sequence[Sequence[str]]) -> list[None]:
    for statements in payloads:
        for statement in statements:
            connection.execute(statement)
    return [None] * len(payloads)
