"""Books on every store adapter, and a small ledger that was sealed in three rounds."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.topics import ENTRIES, SEALS
from kit.bus.open import open_bus
from kit.bus.port import Bus, TopicSpec
from kit.settings import BusSettings
from services.points.sealing.wiring import sealing
from tests.ports.stores import Stores, adapter, place, stores  # noqa: F401
from tests.services.points.sealing.books import PARTITIONS, Books
from tests.services.starting import TestClock

ACCOUNTS = [f"account:M{number}" for number in range(1, 9)]


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Bus]:
    opened = open_bus(BusSettings("sqlite", f"sqlite:{tmp_path}"))
    topics = [name for topic in (ENTRIES, SEALS) for name in (topic.name, topic.dead)]
    await opened.prepare([TopicSpec(name, PARTITIONS) for name in topics])
    yield opened
    await opened.close()


@pytest.fixture
async def books(stores: Stores, bus: Bus) -> Books:  # noqa: F811
    """Empty books."""
    clock = TestClock()
    chain = sealing(stores.open("points"), clock)
    await chain.entries.prepare()
    await chain.prepare()
    return Books(chain, bus, clock)


@pytest.fixture
async def lines(books: Books) -> list[bytes]:
    """An export of eight accounts: five sealed entries each, and one of M1 that is not yet."""
    await books.round(ACCOUNTS, 2)
    await books.round(ACCOUNTS, 2)
    await books.round(ACCOUNTS)
    await books.post(ACCOUNTS[:1])
    return await books.export()
