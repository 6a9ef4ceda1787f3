"""Checkpoints beside the commits: copying what the write-ahead log has gathered into the file.

SQLite has the commit that fills the log pay for it, 20 to 90 ms and all who wait behind it: at
200 commits a second a few requests in a hundred. A checkpoint needs no lock that a commit needs.
So after so many commits a thread of its own does it, once more for what has come meanwhile: the
log begins anew only when all of it has been copied. What it misses, SQLite's own does.
"""

import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path

from kit.sqlite.connections import connect

EVERY_COMMITS = 500
_PASSES = 3
_CACHE_KIB = 64


class Checkpoints:
    """Those of one file by one process. ``committed`` and ``finish`` are the writer's to call."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._commits = 0
        self._thread: threading.Thread | None = None

    def committed(self) -> None:
        """Count a commit; begin a checkpoint when it is time, unless one is under way."""
        self._commits += 1
        if self._commits < EVERY_COMMITS or (self._thread and self._thread.is_alive()):
            return
        self._commits = 0
        name = f"checkpoint {self._path.name}"
        self._thread = threading.Thread(target=self._checkpoint, name=name, daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Wait for the one that is under way."""
        if self._thread is not None:
            self._thread.join()

    def _checkpoint(self) -> None:
        with suppress(sqlite3.Error, OSError), closing(connect(self._path, _CACHE_KIB)) as db:
            for _ in range(_PASSES):
                busy, gathered, copied = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                if busy or copied == gathered:
                    return
