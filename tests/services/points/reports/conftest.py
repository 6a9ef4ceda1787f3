"""A points store with a small ledger, and reports on it."""

from collections.abc import AsyncIterator

import pytest

from kit.journal.port import Draft
from kit.settings import StoreSettings
from kit.store import open_store
from services.points.reports.wiring import Reports
from tests.services.points.reports.histories import History, moment
from tests.services.points.reports.programme import TERMS
from tests.services.starting import TestClock

NOW = moment(2026, 3, 10)


@pytest.fixture
def clock() -> TestClock:
    return TestClock(NOW)


@pytest.fixture
async def reports(store: StoreSettings, clock: TestClock) -> AsyncIterator[Reports]:
    opened = open_store(store.url, "points")
    found = Reports(opened.journal("points.entries"), opened.views, clock, TERMS)
    await found.entries.prepare()
    await found.prepare()
    await book(found, small_ledger())
    yield found
    await opened.close()


def small_ledger() -> History:
    """A earns 100 in January and 120 today, B 40 in February; B's purchase comes back by half."""
    history = History()
    history.earn("A", 100, moment(2026, 1, 10))
    history.earn("A", 120, NOW - 1)
    bought = history.earn("B", 40, moment(2026, 2, 3))
    history.take_back("B", bought, 50, moment(2026, 2, 5))
    return history


async def book(reports: Reports, history: History) -> None:
    """Put a history into the journal; what is there already stays."""
    for facts in history.facts.values():
        there = await reports.entries.head(facts[0].stream)
        await reports.entries.append(
            [
                Draft(
                    fact.stream,
                    fact.seq,
                    fact.key,
                    b"",
                    fact.type,
                    fact.occurred_at,
                    fact.posted_at,
                    bytes(fact.body),
                )
                for fact in facts[there:]
            ]
        )
