"""Connections to a SQLite file, set up alike, and what SQLite's errors mean here.

Several processes open one file (an API and its worker), so it is in WAL mode: readers never wait
for the writer, nor it for them. ``synchronous=FULL`` makes every commit an fsync, which is what an
acknowledgement promises.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from kit.errors import Unavailable

BUSY_SECONDS = 10.0
# Memory is bounded for the whole platform, and a process opens half a dozen files. The operating
# system caches the file anyway; mapping it would only move that cache into our resident set.
WRITER_CACHE_KIB = 8_192
READER_CACHE_KIB = 4_096
# A commit that trips a checkpoint pays for it: this is for what ``checkpoints`` leaves behind.
CHECKPOINT_PAGES = 8_000
WAL_LIMIT_BYTES = 64 * 1024 * 1024
_RETRY_SECONDS = 0.0005

T = TypeVar("T")


def connect(path: Path, cache_kib: int, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """Open the file. Transactions are begun by hand; the connection may change threads."""
    connection = sqlite3.connect(
        path,
        timeout=busy_seconds,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    # Two processes that open a new file at once may meet here, and SQLite does not wait for them.
    retried(lambda: connection.execute("PRAGMA journal_mode=WAL"), busy_seconds)
    for pragma in (
        "synchronous=FULL",
        "secure_delete=ON",  # what is erased is overwritten: personal data lives in views
        f"cache_size=-{cache_kib}",
        f"wal_autocheckpoint={CHECKPOINT_PAGES}",
        f"journal_size_limit={WAL_LIMIT_BYTES}",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def retried(attempt: Callable[[], T], seconds: float) -> T:
    """Attempt until the file is not locked; SQLite's own waiting backs off to 100 ms a step.

    A writer that waits for another process's commit, some hundred microseconds, wants to know at
    once that it is over.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return attempt()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_SECONDS)


def is_busy(error: sqlite3.Error) -> bool:
    """Tell whether another connection holds the lock."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_outage(error: sqlite3.Error) -> bool:
    """Tell an outage (disk full, locked too long, closed, damaged) from an error of our own."""
    if isinstance(error, sqlite3.IntegrityError):
        return False
    if isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError):
        return "closed" in str(error)
    return True


@contextmanager
def outages(what: str) -> Iterator[None]:
    """Turn SQLite's outages into Unavailable."""
    try:
        yield
    except sqlite3.Error as error:
        if not is_outage(error):
            raise
        raise Unavailable(what, f"SQLite: {error}") from error


def padded(values: Sequence[Any], width: int = 1) -> tuple[int, list[Any]]:
    """Return a number of places that few statements cover, and the values filled up with NULL.

    A statement's text is its key in the statement cache, so the number of places is a power of
    two. NULL equals nothing, so the rest of the places matches nothing. ``values`` is flat, with
    ``width`` values a place.
    """
    count = len(values) // width
    places = 1 << max(0, (count - 1).bit_length())
    return places, [*values, *[None] * ((places - count) * width)]


def chunks(values: Sequence[Any], size: int = 1024) -> Iterator[Sequence[Any]]:
    """Cut into parts that one statement can bind (SQLite's limit is 32,766 values)."""
    for start in range(0, len(values), size):
        yield values[start : start + size]
