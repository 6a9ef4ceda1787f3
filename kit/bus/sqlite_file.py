"""How the bus uses its SQLite files: ``kit.sqlite``'s connections, transactions, less durability
where losing a commit only means redelivery."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kit.sqlite.connections import connect, retried

CACHE_KIB = 4_096
BUSY_SECONDS = 5.0


def open_file(path: Path, *, durable: bool) -> sqlite3.Connection:
    """Open a file, made when it is not there. Not ``durable``: commits do not wait for the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    db = connect(path, CACHE_KIB)
    db.execute("PRAGMA busy_timeout = 0")  # ``retried`` waits, in smaller steps
    if not durable:
        db.execute("PRAGMA synchronous = NORMAL")
    return db


@contextmanager
def writing(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Run a transaction that holds the file's one write lock from its beginning."""
    retried(lambda: db.execute("BEGIN IMMEDIATE"), BUSY_SECONDS)
    try:
        yield db
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
