"""Rewards on a store, with a clock that tests move and accounts that tests fill."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kit.store import open_store
from services.points.rewards.redemptions import Redemptions
from services.points.rewards.wiring import Rewards
from tests.ports.stores import Stores, adapter, place, stores
from tests.services.points.rewards.making import Accounts, made
from tests.services.points.rewards.redeeming import prepared, redemptions_on
from tests.services.starting import TestClock

__all__ = ["adapter", "place", "stores"]


@pytest.fixture
def accounts() -> Accounts:
    """What members have, as tests say."""
    return Accounts()


@pytest.fixture
async def rewards(tmp_path: Path, clock: TestClock, accounts: Accounts) -> AsyncIterator[Rewards]:
    """Rewards on the embedded adapter."""
    store = open_store(f"sqlite:{tmp_path}", "points")
    rewards = made(store, clock, accounts)
    await rewards.prepare()
    yield rewards
    await store.close()


@pytest.fixture
async def several(stores: Stores, clock: TestClock, accounts: Accounts) -> list[Rewards]:
    """The same rewards in two processes, on each adapter in turn."""
    processes = [made(stores.open("points"), clock, accounts) for _ in range(2)]
    for process in processes:
        await process.prepare()
    return processes


@pytest.fixture
async def redemptions(tmp_path: Path, clock: TestClock) -> AsyncIterator[Redemptions]:
    """Redemptions on the embedded adapter."""
    store = open_store(f"sqlite:{tmp_path}", "points")
    yield await prepared(redemptions_on(store, clock))
    await store.close()


@pytest.fixture
async def tills(stores: Stores, clock: TestClock) -> list[Redemptions]:
    """The same redemptions in two processes, on each adapter in turn."""
    return [await prepared(redemptions_on(stores.open("points"), clock)) for _ in range(2)]
