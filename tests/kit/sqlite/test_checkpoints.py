"""Checkpoints: the log's content reaches the file beside the commits, and harms nobody."""

import asyncio
import shutil
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from kit.sqlite.checkpoints import EVERY_COMMITS, Checkpoints
from kit.sqlite.connections import connect
from kit.sqlite.file import SqliteFile


def insert(connection: sqlite3.Connection, payloads: Sequence[int]) -> list[None]:
    for number in payloads:
        connection.execute("INSERT INTO numbers VALUES (?)", (number,))
    return [None] * len(payloads)


def copied(path: Path) -> int:
    """How many numbers the file itself holds, without its log."""
    alone = path.with_suffix(".copy")
    shutil.copyfile(path, alone)
    with closing(sqlite3.connect(alone)) as connection:
        try:
            (count,) = connection.execute("SELECT count(*) FROM numbers").fetchone()
        except sqlite3.OperationalError:  # not even the table
            return 0
    return int(count)


async def written(file: SqliteFile, numbers: range) -> None:
    for number in numbers:
        await file.write(insert, number, durable=False)


async def test_so_many_commits_bring_a_checkpoint_and_fewer_none(tmp_path: Path) -> None:
    file = SqliteFile(tmp_path / "numbers.db")
    await file.create(["CREATE TABLE numbers (n INTEGER PRIMARY KEY)"])
    await written(file, range(EVERY_COMMITS - 2))
    assert copied(file.path) == 0
    await written(file, range(EVERY_COMMITS - 2, EVERY_COMMITS))
    async with asyncio.timeout(5):
        while copied(file.path) < EVERY_COMMITS - 1:
            await asyncio.sleep(0.01)
    await file.close()


async def test_the_log_begins_anew_when_all_of_it_is_copied(tmp_path: Path) -> None:
    path = tmp_path / "numbers.db"
    checkpoints = Checkpoints(path)
    with closing(connect(path, 64)) as db:
        db.execute("PRAGMA wal_autocheckpoint=0")
        db.execute("PRAGMA synchronous=NORMAL")
        db.execute("CREATE TABLE numbers (n INTEGER PRIMARY KEY)")
        sizes = []
        for number in range(3 * EVERY_COMMITS):
            db.execute("INSERT INTO numbers VALUES (?)", (number,))
            checkpoints.committed()
            if number % EVERY_COMMITS == EVERY_COMMITS - 1:
                checkpoints.finish()
                sizes.append(path.with_name("numbers.db-wal").stat().st_size)
        assert max(sizes) < 1.1 * sizes[0]
        assert copied(path) == 3 * EVERY_COMMITS


def test_a_file_that_cannot_be_opened_harms_nobody(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "missing" / "numbers.db")
    for _ in range(EVERY_COMMITS):
        checkpoints.committed()
    checkpoints.finish()


async def test_a_closed_file_leaves_no_thread(tmp_path: Path) -> None:
    file = SqliteFile(tmp_path / "numbers.db")
    await file.create(["CREATE TABLE numbers (n INTEGER PRIMARY KEY)"])
    await written(file, range(EVERY_COMMITS))
    await file.close()
    assert not [thread for thread in threading.enumerate() if "numbers.db" in thread.name]
