"""The SQLite file: group commit, isolation of callers, and outages."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from kit.errors import BrokenInvariant, Unavailable
from kit.journal.sqlite import SqliteJournal
from kit.sqlite.file import SqliteFile
from kit.sqlite.watch import LOOK_SECONDS
from kit.store import open_store
from tests.ports.stores import draft, outcomes, run


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[SqliteFile]:
    file = SqliteFile(tmp_path / "numbers.db", busy_seconds=0.2)
    await file.create(["CREATE TABLE numbers (n INTEGER PRIMARY KEY)"])
    yield file
    await file.close()


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    journal = SqliteJournal(tmp_path, "facts")
    await journal.prepare()
    yield journal
    await journal.close()


def insert(connection: sqlite3.Connection, payloads: Sequence[Any]) -> list[int]:
    """Insert each number; answer with the size of the group."""
    for number in payloads:
        connection.execute("INSERT INTO numbers VALUES (?)", (number,))
    return [len(payloads)] * len(payloads)


def numbers(file: SqliteFile) -> list[int]:
    rows = file.read(lambda c: c.execute("SELECT n FROM numbers ORDER BY n").fetchall())
    return [n for (n,) in rows]


async def test_callers_that_wait_together_share_a_transaction(file: SqliteFile) -> None:
    groups = await asyncio.gather(*(file.write(insert, n) for n in range(200)))
    assert numbers(file) == list(range(200))
    assert max(groups) > 20


async def test_a_caller_whose_write_fails_does_not_take_the_others_down(file: SqliteFile) -> None:
    results = await asyncio.gather(
        *(file.write(insert, n) for n in (1, 2, 2, "three", 4)), return_exceptions=True
    )
    failures = [(n, type(r)) for n, r in enumerate(results) if isinstance(r, Exception)]
    assert failures == [(2, sqlite3.IntegrityError), (3, sqlite3.IntegrityError)]
    assert numbers(file) == [1, 2, 4]


async def test_a_caller_that_goes_away_does_not_stop_the_writer(file: SqliteFile) -> None:
    gone = asyncio.create_task(file.write(insert, 1))
    await asyncio.sleep(0)
    gone.cancel()
    await file.write(insert, 2)
    assert 2 in numbers(file)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_an_error_that_nobody_foresaw_leaves_nobody_waiting(file: SqliteFile) -> None:
    def broken(connection: sqlite3.Connection, payloads: Sequence[Any]) -> list[None]:
        raise AssertionError

    async with asyncio.timeout(5):
        with pytest.raises(Unavailable):
            await file.write(broken, None)
        with pytest.raises(Unavailable):
            await file.write(insert, 1)


async def test_a_full_disk_is_an_outage_that_leaves_no_trace_and_passes(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    await journal.append(run("a:1", 1, 10))
    (pages,) = journal._file.read(lambda c: c.execute("PRAGMA page_count").fetchone())
    await journal._file.write(_set_page_limit, pages + 2)
    with pytest.raises(Unavailable, match="cannot be reached"):
        await journal.append(run("a:1", 11, 1000))
    assert await journal.head("a:1") == 10
    await journal._file.write(_set_page_limit, 1_000_000)
    assert set(outcomes(await journal.append(run("a:1", 11, 1000)))) == {"appended"}


def _set_page_limit(connection: sqlite3.Connection, payloads: Sequence[int]) -> list[None]:
    for pages in payloads:
        connection.execute(f"PRAGMA max_page_count={pages}")
    return [None] * len(payloads)


async def test_a_lock_held_too_long_is_an_outage_and_a_short_one_is_waited_for(
    file: SqliteFile,
) -> None:
    other = sqlite3.connect(file.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="cannot be reached") as caught:
        await file.write(insert, 1)
    assert "locked" in str(caught.value)
    waiting = asyncio.create_task(file.write(insert, 2))
    await asyncio.sleep(0.05)
    assert numbers(file) == []
    other.execute("COMMIT")
    other.close()
    await waiting
    assert numbers(file) == [2]


async def test_a_closed_file_is_an_outage(file: SqliteFile) -> None:
    await file.close()
    with pytest.raises(Unavailable):
        await file.write(insert, 1)
    with pytest.raises(Unavailable):
        numbers(file)


async def test_closing_finishes_what_is_queued(file: SqliteFile) -> None:
    writes = [asyncio.create_task(file.write(insert, n)) for n in range(50)]
    await asyncio.sleep(0)
    await file.close()
    await asyncio.gather(*writes)
    with sqlite3.connect(file.path) as connection:
        assert connection.execute("SELECT count(*) FROM numbers").fetchone() == (50,)
    connection.close()


async def test_what_is_no_database_is_an_outage(tmp_path: Path) -> None:
    (tmp_path / "facts.journal.db").write_bytes(os.urandom(8192))
    journal = SqliteJournal(tmp_path, "facts")
    with pytest.raises(Unavailable, match="cannot be reached"):
        await journal.prepare()
    with pytest.raises(Unavailable):
        await journal.append([draft("a:1", 1)])
    with pytest.raises(Unavailable):
        await journal.head("a:1")
    await journal.close()


async def test_a_directory_that_cannot_be_made_is_an_outage(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    journal = SqliteJournal(tmp_path / "file" / "below", "facts")
    with pytest.raises(Unavailable):
        await journal.prepare()
    await journal.close()


async def test_a_journal_that_was_not_prepared_is_an_outage(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path, "facts")
    with pytest.raises(Unavailable):
        await journal.append([draft("a:1", 1)])
    await journal.close()


async def test_an_acknowledged_write_asks_for_an_fsync_and_a_mark_does_not(
    journal: SqliteJournal,
) -> None:
    def level(connection: sqlite3.Connection, payloads: Sequence[Any]) -> list[int]:
        return [connection.execute("PRAGMA synchronous").fetchone()[0]] * len(payloads)

    full, normal = 2, 1
    await journal.append([draft("a:1", 1)])
    assert await journal._file.write(level, None) == full
    await journal.mark_published(await journal.unpublished())
    assert not journal._file._writer._full
    assert await journal._file.write(level, None, durable=False) == normal
    assert await journal._file.write(level, None) == full
    assert await journal.unpublished() == []


async def traced(journal: SqliteJournal) -> list[str]:
    """The first word of each statement that its writer carries out from now on."""
    words: list[str] = []

    def trace(connection: sqlite3.Connection, payloads: Sequence[Any]) -> list[None]:
        connection.set_trace_callback(lambda sql: words.append(sql.split()[0]))
        return [None] * len(payloads)

    await journal._file.write(trace, None)
    words.clear()
    return words


async def test_what_one_statement_does_needs_no_transaction_around_it(
    journal: SqliteJournal,
) -> None:
    words = await traced(journal)
    await journal.append(run("a:1", 1, 5))
    assert words == ["INSERT"]
    await journal.mark_published(await journal.unpublished())
    assert words == ["INSERT", "PRAGMA", "UPDATE"]


async def test_appends_beside_other_work_share_its_transaction(journal: SqliteJournal) -> None:
    def slow(connection: sqlite3.Connection, payloads: Sequence[Any]) -> list[str]:
        time.sleep(0.05)
        return ["done"] * len(payloads)

    words = await traced(journal)
    holding_up = asyncio.create_task(journal._file.write(slow, None))
    await asyncio.sleep(0.01)
    first, done, second = await asyncio.gather(
        journal.append([draft("a:1", 1)]),
        journal._file.write(slow, None),
        journal.append([draft("a:2", 1)]),
    )
    assert (outcomes(first), done, outcomes(second)) == (["appended"], "done", ["appended"])
    assert words == ["BEGIN", "COMMIT", "BEGIN", "INSERT", "INSERT", "COMMIT"]
    assert await holding_up == "done"


async def test_what_is_in_the_way_is_found_in_a_transaction(journal: SqliteJournal) -> None:
    await journal.append(run("a:1", 1, 2))
    words = await traced(journal)
    drafts = [draft("a:1", 2, "other"), draft("a:2", 1)]
    assert outcomes(await journal.append(drafts)) == ["seq_conflict", "appended"]
    assert (words[:2], words[-1]) == (["INSERT", "BEGIN"], "COMMIT")


@pytest.mark.parametrize("size", [31, 32, 33, 70])
async def test_batches_of_any_size_land_whole_around_what_is_in_the_way(
    journal: SqliteJournal, size: int
) -> None:
    streams = [f"a:{n}" for n in range(size)]
    assert set(outcomes(await journal.append([draft(one, 1) for one in streams]))) == {"appended"}
    await journal.append([draft(streams[-1], 2)])
    second = outcomes(await journal.append([draft(one, 2, f"x-{one}") for one in streams]))
    assert second == ["appended"] * (size - 1) + ["seq_conflict"]
    assert len(await journal.unpublished()) == 2 * size


async def test_a_statement_alone_waits_for_a_lock_too(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    other = sqlite3.connect(tmp_path / "facts.journal.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.create_task(journal.append([draft("a:1", 1)]))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    other.execute("COMMIT")
    other.close()
    assert outcomes(await waiting) == ["appended"]


async def test_a_mark_out_of_turn_is_refused(journal: SqliteJournal) -> None:
    await journal.append(run("a:1", 1, 4))
    facts = await journal.unpublished()
    for wrong in (facts[1:2], [facts[0], facts[2]]):
        with pytest.raises(BrokenInvariant):
            await journal.mark_published(wrong)
    assert len(await journal.unpublished()) == 4


async def test_marks_wake_nobody_who_waits_for_facts(journal: SqliteJournal) -> None:
    await journal.append(run("a:1", 1, 2))
    facts = await journal.unpublished()
    waiting = asyncio.create_task(journal.changed(30))
    await asyncio.sleep(0)
    await journal.mark_published(facts)
    await asyncio.sleep(2 * LOOK_SECONDS)
    assert not waiting.done()
    await journal.append([draft("a:1", 3)])
    async with asyncio.timeout(1):
        await waiting


async def test_a_relay_beside_another_process_is_woken_by_its_bell(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    there, took = SqliteJournal(tmp_path, "facts"), []
    for seq in range(1, 6):
        await journal.unpublished()
        waiting = asyncio.create_task(journal.changed(30))
        await asyncio.sleep(0)
        await there.append([draft("a:1", seq)])
        start = time.monotonic()
        await waiting
        took.append(time.monotonic() - start)
    await there.close()
    assert min(took) < LOOK_SECONDS / 4


async def test_a_store_in_memory_leaves_nothing_behind() -> None:
    store = open_store("sqlite::memory:", "tests")
    journal = store.journal("facts")
    await journal.prepare()
    assert outcomes(await journal.append([draft("a:1", 1)])) == ["appended"]
    directory = journal._file.path.parent  # type: ignore[attr-defined]
    assert directory.exists()
    await store.close()
    assert not directory.exists()


@pytest.mark.parametrize("url", ["", "sqlite:", "postgres://x/y", "/tmp/somewhere"])
def test_an_unknown_address_is_refused_with_what_would_do(url: str) -> None:
    with pytest.raises(ValueError, match=r"sqlite:DIR, sqlite::memory: or mongodb://"):
        open_store(url, "tests")


def test_an_embedded_process_imports_no_driver(tmp_path: Path) -> None:
    program = f"""if True:
        import asyncio, sys
        from kit.store import open_store
        async def main():
            store = open_store("sqlite:{tmp_path}", "tests")
            await store.journal("facts").prepare()
            await store.views.prepare([])
            await store.close()
        asyncio.run(main())
        sys.exit(", ".join({{"pymongo", "motor", "bson"}} & set(sys.modules)) or 0)
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
