"""Books on every store adapter, and a small ledger that was sealed in three rounds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from contracts.topics import ENTRIES, SEALS
from kit.bus.open import open_bus
from kit.bus.port import Bus, TopicSpec
from kit.settings import BusSettings
from kit.store import Store, open_store
from services.points.sealing.wiring import sealing
from tests.ports.stores import Stores, adapter, place, stores  # noqa: F401
from tests.services.points.sealing.books import PARTITIONS, Books
from tests.services.starting import TestClock

ACCOUNTS = [f"account:M{number}" for number in range(1, 9)]


@asynccontextmanager
async def opened_bus(directory: Path) -> AsyncIterator[Bus]:
    bus = open_bus(BusSettings("sqlite", f"sqlite:{directory}"))
    topics = [name for topic in (ENTRIES, SEALS) for name in (topic.name, topic.dead)]
    await bus.prepare([TopicSpec(name, PARTITIONS) for name in topics])
    yield bus
    await bus.close()


async def opened_books(store: Store, bus: Bus) -> Books:
    clock = TestClock()
    chain = sealing(store, clock)
    await chain.entries.prepare()
    await chain.prepare()
    return Books(chain, bus, clock)


async def small_export(books: Books) -> list[bytes]:
    """Eight accounts: five sealed entries each, and one of M1 that is not yet."""
    await books.round(ACCOUNTS, 2)
    await books.round(ACCOUNTS, 2)
    await books.round(ACCOUNTS)
    await books.post(ACCOUNTS[:1])
    return await books.export()


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Bus]:
    async with opened_bus(tmp_path) as opened:
        yield opened


@pytest.fixture
async def books(stores: Stores, bus: Bus) -> Books:  # noqa: F811
    """Empty books."""
    return await opened_books(stores.open("points"), bus)


@pytest.fixture
async def lines(books: Books) -> list[bytes]:
    """An export of the small ledger."""
    return await small_export(books)


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, ...]:
    """The same export, made once for all tests that only look at it."""

    async def make() -> list[bytes]:
        directory = tmp_path_factory.mktemp("ledger")
        store = open_store(f"sqlite:{directory}", "points")
        async with opened_bus(directory) as bus:
            lines = await small_export(await opened_books(store, bus))
            await store.close()
            return lines

    return tuple(asyncio.run(make()))
