"""``mooring report`` on a store, as an accountant runs it."""

import asyncio
import csv
import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from kit.journal.port import Draft
from kit.store import open_store
from tests.mooring.command import Command
from tests.services.points.reports.conftest import small_ledger
from tests.services.points.reports.test_tables import MOVEMENT

JOURNAL = "points.entries.journal.db"


@pytest.fixture
def mooring(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    return Command(capsys, monkeypatch, tmp_path / "data")


async def _fill(data: Path) -> None:
    store = open_store(f"sqlite:{data}", "points")
    journal = store.journal("points.entries")
    await journal.prepare()
    for facts in small_ledger().facts.values():
        await journal.append(
            [
                Draft(
                    f.stream, f.seq, f.key, b"", f.type, f.occurred_at, f.posted_at, bytes(f.body)
                )
                for f in facts
            ]
        )
    await store.close()


@pytest.fixture
def filled(mooring: Command) -> Command:
    asyncio.run(_fill(mooring.data))
    return mooring


def test_movement_as_csv_is_what_the_api_gives(filled: Command) -> None:
    done = filled("report", "movement", "--csv", "--by", "booking", "--to", "2026-02")
    header, january, february, _ = MOVEMENT.splitlines()
    assert done.code == 0
    assert done.out.splitlines() == [header, january, february]


def test_movement_as_a_table_says_that_every_month_reconciles(filled: Command) -> None:
    done = filled("report", "movement", "--to", "2026-03")
    assert (done.code, done.out.splitlines()[-1]) == (0, "every month reconciles")
    assert "2026-03" in done.out
    assert "redeemed" not in done.out


def test_a_month_that_does_not_reconcile_ends_with_1(filled: Command) -> None:
    with closing(sqlite3.connect(filled.data / JOURNAL)) as file, file:
        file.execute("DELETE FROM facts WHERE stream = 'account:B' AND seq = 1")
    done = filled("report", "movement", "--by", "booking", "--csv", "--to", "2026-03")
    assert done.code == 1
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert [row["difference"] for row in rows] == ["0", "-40", "0"]
    assert filled("report", "liability").code == 1


def test_liability_tells_points_and_money(filled: Command) -> None:
    body = json.loads(filled("report", "liability", "--json").out)
    [wallet] = body["wallets"]
    assert (wallet["wallet"], wallet["outstanding"], wallet["difference"]) == ("base", 240, 0)
    assert filled("report", "liability", "--csv").out.startswith("line,wallet,rule,month,active,")
    assert "money in minor units of" in filled("report", "liability").out


def test_an_empty_store_has_no_months(mooring: Command) -> None:
    assert "there are no entries" in mooring("report", "movement").out


def test_a_word_that_is_no_month_is_refused(filled: Command) -> None:
    done = filled("report", "movement", "--from", "spring")
    assert (done.code, "'spring'isnotamonthsuchas2026-03" in done.err) == (2, True)
