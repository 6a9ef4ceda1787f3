"""Leases: one holder at a time, takeover after expiry, a token that tells them apart."""

import asyncio
from dataclasses import dataclass

import pytest

from kit.clock import SECOND
from kit.views.lease import Lease
from kit.views.port import Collection, Views
from tests.ports.stores import Stores

LEASES = Collection("leases")


@dataclass
class Hands:
    """A clock that is turned by hand."""

    now: int = 1_700_000_000 * SECOND

    def __call__(self) -> int:
        return self.now

    def turn(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
async def views(stores: Stores) -> Views:
    views = stores.open().views
    await views.prepare([LEASES])
    return views


def lease(views: Views, owner: str, clock: Hands, name: str = "relay") -> Lease:
    return Lease(views, LEASES, name, owner, seconds=10, clock=clock)


async def test_a_lease_has_one_holder(views: Views, clock: Hands) -> None:
    first, second = lease(views, "w1", clock), lease(views, "w2", clock)
    assert await first.acquire()
    assert not await second.acquire()
    assert (first.held, second.held) == (True, False)
    assert (first.token, second.token) == (1, 0)


async def test_leases_of_different_names_are_independent(views: Views, clock: Hands) -> None:
    assert await lease(views, "w1", clock).acquire()
    assert await lease(views, "w2", clock, "other").acquire()


async def test_of_many_that_reach_for_it_at_once_one_gets_it(stores: Stores, clock: Hands) -> None:
    handles = [stores.open().views for _ in range(3)]
    await handles[0].prepare([LEASES])
    leases = [lease(handles[n % 3], f"w{n}", clock) for n in range(12)]
    got = await asyncio.gather(*(one.acquire() for one in leases))
    assert sum(got) == 1
    assert [one.held for one in leases] == got


async def test_an_expired_lease_passes_on_with_a_higher_token(views: Views, clock: Hands) -> None:
    first, second = lease(views, "w1", clock), lease(views, "w2", clock)
    await first.acquire()
    clock.turn(9.9)
    assert not await second.acquire()
    clock.turn(0.1)
    assert not first.held
    assert await second.acquire()
    assert second.token > 1
    assert not await first.renew()
    assert (first.held, first.token) == (False, 0)
    assert not await first.acquire()
    assert second.held


async def test_a_renewed_lease_lasts_and_its_token_grows(views: Views, clock: Hands) -> None:
    first, second = lease(views, "w1", clock), lease(views, "w2", clock)
    await first.acquire()
    for token in (2, 3, 4):
        clock.turn(8)
        assert await first.renew()
        assert first.token == token
        assert not await second.acquire()
    clock.turn(10)
    assert await second.acquire()


async def test_a_late_holder_cannot_release_its_successors_lease(
    views: Views, clock: Hands
) -> None:
    first, second, third = (lease(views, name, clock) for name in ("w1", "w2", "w3"))
    await first.acquire()
    clock.turn(11)
    await second.acquire()
    await first.release()
    assert second.held
    assert not await third.acquire()


async def test_a_released_lease_is_free_at_once(views: Views, clock: Hands) -> None:
    first, second = lease(views, "w1", clock), lease(views, "w2", clock)
    await first.acquire()
    await first.release()
    assert not first.held
    assert not await first.renew()
    assert await second.acquire()
    assert second.token == 3
    assert await second.renew()


async def test_an_expired_lease_that_nobody_took_can_be_renewed(views: Views, clock: Hands) -> None:
    first, second = lease(views, "w1", clock), lease(views, "w2", clock)
    await first.acquire()
    clock.turn(30)
    assert await first.renew()
    assert first.held
    assert not await second.acquire()


async def test_a_holder_may_acquire_again(views: Views, clock: Hands) -> None:
    first = lease(views, "w1", clock)
    assert await first.acquire()
    assert await first.acquire()
    assert first.token == 2
