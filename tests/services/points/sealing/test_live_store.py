"""The chain on a live store: what is changed behind Mooring's back is found and named."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from mooring.audit import verify_live
from mooring.audit_verify import verify_file
from services.points.domain.seals import head_text
from tests.services.points.sealing.books import Books, places
from tests.services.points.sealing.conftest import ACCOUNTS


async def test_a_live_store_verifies_while_it_is_written_and_sealed(books: Books) -> None:
    await books.round(ACCOUNTS, 3)
    head = head_text(await books.sealing.heads())

    async def more() -> None:
        for _ in range(10):
            await books.round(ACCOUNTS)

    async def look() -> list[bool]:
        reports = [await verify_live(books.sealing, head) for _ in range(10)]
        assert [str(f) for report in reports for f in report.findings] == []
        return [report.ok for report in reports]

    _, verdicts = await asyncio.gather(more(), look())
    assert verdicts == [True] * 10
    report = await verify_live(books.sealing, head)
    assert (report.entries, report.sealed, report.unsealed) == (104, 104, 0)


CHANGES: list[tuple[str, tuple[str, int]]] = [
    ("UPDATE facts SET body = replace(body, '200', '900') WHERE {row}", ("account:M4", 2)),
    ("UPDATE facts SET body = 'rubbish' || char(10) WHERE {row}", ("account:M4", 2)),
    ("UPDATE facts SET body = X'FF00' WHERE {row}", ("account:M4", 2)),
    ("UPDATE facts SET key = 'other' WHERE {row}", ("account:M4", 2)),
    ("UPDATE facts SET type = 'Other' WHERE {row}", ("account:M4", 2)),
    ("UPDATE facts SET occurred = occurred + 1 WHERE {row}", ("account:M4", 2)),
    ("UPDATE facts SET posted = 'soon' WHERE {row}", ("account:M4", 2)),
    ("UPDATE facts SET trace = 'x' WHERE {row}", ("account:M4", 2)),
    ("UPDATE facts SET version = 2 WHERE {row}", ("account:M4", 2)),
    ("UPDATE facts SET seq = 9 WHERE {row}", ("account:M4", 2)),
    ("UPDATE facts SET stream = 'account:M99' WHERE {row}", ("account:M4", 2)),
    ("DELETE FROM facts WHERE {row}", ("account:M4", 2)),
    ("DELETE FROM facts WHERE stream = 'account:M4'", ("account:M4", 1)),
    ("DELETE FROM facts", ("account:M1", 1)),
]


@pytest.mark.parametrize(("change", "where"), CHANGES)
@pytest.mark.parametrize("adapter", ["sqlite"])
async def test_a_change_in_the_file_is_found_and_named(
    books: Books, tmp_path: Path, change: str, where: tuple[str, int]
) -> None:
    await books.round(ACCOUNTS, 3)
    sql = change.format(row="stream = 'account:M4' AND seq = 2")
    assert _run(tmp_path / "points.entries.journal.db", sql) > 0
    report = await verify_live(books.sealing)
    assert where in places(report)[:4]


@pytest.mark.parametrize("adapter", ["sqlite"])
async def test_a_line_end_in_a_body_breaks_that_entry_and_no_other_line_of_the_file(
    books: Books, tmp_path: Path
) -> None:
    await books.round(ACCOUNTS, 3)
    sql = """UPDATE facts SET body = '{"a":' || char(10) || '1}'
        WHERE stream = 'account:M4' AND seq = 2"""
    assert _run(tmp_path / "points.entries.journal.db", sql) == 1
    file = tmp_path / "ledger.jsonl"
    file.write_bytes(b"".join([line + b"\n" for line in await books.export()]))
    assert places(verify_file(file)) == [("account:M4", 2)]


SEAL_CHANGES: list[tuple[str, Callable[[str, int], tuple[str, int]]]] = [
    (
        "UPDATE facts SET body = replace(body, '\"count\"', '\"Count\"') WHERE {row}",
        lambda s, n: (s, n),
    ),
    ("UPDATE facts SET posted = posted - 1 WHERE {row}", lambda s, n: (s, n)),
    ("DELETE FROM facts WHERE {row}", lambda s, n: (s, n)),
    ("DELETE FROM facts WHERE stream = '{stream}' AND seq > 1", lambda s, n: (s, n)),
    ("DELETE FROM facts WHERE stream = '{stream}'", lambda s, n: (s, 1)),
]


@pytest.mark.parametrize(("change", "where"), SEAL_CHANGES)
@pytest.mark.parametrize("adapter", ["sqlite"])
async def test_a_change_of_a_seal_in_the_file_is_found(
    books: Books, tmp_path: Path, change: str, where: Callable[[str, int], tuple[str, int]]
) -> None:
    for _ in range(4):
        await books.round(ACCOUNTS)
    stream = f"seal:{min(await books.sealing.heads())}"
    sql = change.format(row=f"stream = '{stream}' AND seq = 2", stream=stream)
    assert _run(tmp_path / "points.seals.journal.db", sql) > 0
    assert where(stream, 2) in places(await verify_live(books.sealing))


def _run(file: Path, sql: str) -> int:
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute(sql).rowcount
        connection.commit()
    return rows
