"""How the bus opens its SQLite files, and what their errors mean."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from kit.errors import Unavailable

BUSY_SECONDS = 5.0


def connect(path: Path, synchronous: Literal["FULL", "NORMAL"]) -> sqlite3.Connection:
    """Open a file in WAL mode. Transactions are explicit; any one thread at a time may use it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(
        path,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=512,
    )
    _switch_to_wal(db)
    db.execute(f"PRAGMA synchronous = {synchronous}")
    db.execute("PRAGMA wal_autocheckpoint = 4000")
    return db


def _switch_to_wal(db: sqlite3.Connection) -> None:
    """Switch the journal mode; SQLite does not wait for a lock here, so several openers must."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.005)
        else:
            return


@contextmanager
def writing(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Run a transaction that holds the file's one write lock from its beginning."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


@contextmanager
def unavailable_when_failing(what: str) -> Iterator[None]:
    """A file that is locked, full or gone is an outage: the caller backs off and tries again."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise Unavailable(what, str(error)) from error
