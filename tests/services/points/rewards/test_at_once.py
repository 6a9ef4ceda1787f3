"""Confirmed at once: stock first, then hold and capture together; and what may come in between."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kit.clock import SECOND
from kit.errors import ServiceError
from kit.settings import StoreSettings
from kit.store import open_store
from programmes.ledger import Fraud, Velocity
from services.points.domain.errors import InsufficientPoints
from services.points.domain.holding import hold_key
from services.points.domain.stock import TakeClosed
from services.points.rewards.duties import sweep
from services.points.rewards.following import status_of
from services.points.rewards.redeeming import redeem, redemption_id_of
from services.points.rewards.redemptions import REDEMPTIONS, Redemptions, find
from services.points.rewards.settling import rule_out
from services.points.rewards.stock import Shelf
from services.points.views import ledger
from services.points.wiring import wire
from tests.services.points.rewards.crashing import Before
from tests.services.points.rewards.redeeming import (
    balance,
    earned,
    entries,
    findings,
    followed,
    prepared,
    redeemed,
    redemptions_on,
    shop,
    stock,
    wish,
)
from tests.services.starting import START, TestClock

MINUTE = 60 * SECOND
RDM = redemption_id_of("M1", "k1")
SHELF = Shelf("mug", 16)


@pytest.fixture
async def processes(tmp_path: Path, clock: TestClock) -> AsyncIterator[list[Redemptions]]:
    """The same redemptions in two processes; the first has sold nothing yet."""
    stores = [open_store(f"sqlite:{tmp_path}", "points") for _ in range(2)]
    yield [await prepared(redemptions_on(store, clock)) for store in stores]
    for store in stores:
        await store.close()


def with_ledger(
    redemptions: Redemptions, act: Callable[[], Awaitable[None]], one_by_one: bool = False
) -> Redemptions:
    """The same in another process, where something happens before each write to the ledger."""
    journal: Any = Before(redemptions.ledger.journal, act, one_by_one)
    return replace(redemptions, ledger=ledger(journal, redemptions.ledger.views, redemptions.clock))


async def swept(redemptions: Redemptions) -> None:
    rewards = redemptions.rewards
    await sweep(rewards.shop, rewards.catalogue, status_of(redemptions), redemptions.clock())


async def test_at_once_makes_the_entries_of_a_reservation_that_is_confirmed(
    redemptions: Redemptions, tmp_path: Path, clock: TestClock
) -> None:
    await shop(redemptions, 5)
    await redeem(redemptions, wish())
    (tmp_path / "two").mkdir()
    store = open_store(f"sqlite:{tmp_path}/two", "points")
    other = await prepared(redemptions_on(store, clock))
    await shop(other, 5)
    await redeem(other, wish(confirm=False))
    await redeem(other, wish())
    assert await entries(redemptions) == await entries(other)
    keys = [hold_key(RDM), f"hold-end:{RDM}"]
    hashes = [
        await each.ledger.journal.input_hashes("account:M1", keys) for each in (redemptions, other)
    ]
    assert hashes[0] == hashes[1]
    assert len(hashes[0]) == 2
    assert await stock(redemptions) == await stock(other) == (4, 0, 1)
    await store.close()


async def test_it_takes_two_writes(redemptions: Redemptions) -> None:
    await shop(redemptions, 5)
    writes = []

    async def count() -> None:
        writes.append("points")

    counting = with_ledger(redemptions, count)
    await redeem(counting, wish())
    assert writes == ["points"]
    facts = await redemptions.rewards.journal.find(
        f"stock:{SHELF.owners[SHELF.home('M1')]}", [f"take:{RDM}"]
    )
    assert len(facts) == 1


async def test_whom_the_account_refuses_gets_a_clear_no_and_the_stock_is_back_at_once(
    processes: list[Redemptions],
) -> None:
    one, other = processes
    await shop(one, 5)
    await one.ledger.heads(["M1"])
    await redeem(other, wish("k2"))
    with pytest.raises(InsufficientPoints):
        await redeem(one, wish())
    assert (await balance(one), await stock(one, other)) == (200, (4, 0, 1))
    await earned(one, 5_000, seq=2)
    for _ in range(2):
        with pytest.raises(TakeClosed, match="new key"):
            await redeem(one, wish())
    assert (await redeemed(one, wish("k3"))).status == "confirmed"
    assert await findings(one) == []


async def test_who_confirmed_settles_the_stock_and_who_follows_the_ledger_leaves_it_alone(
    processes: list[Redemptions],
) -> None:
    one, other = processes
    await shop(one, 5)
    await redeem(one, wish())
    assert await stock(other) == (4, 1, 0)
    assert await findings(other) == []
    assert await stock(other, one) == (4, 0, 1)


async def test_a_process_that_ends_in_good_order_leaves_no_stock_unsettled(
    tmp_path: Path, clock: TestClock
) -> None:
    settings = StoreSettings("sqlite", f"sqlite:{tmp_path}")
    wiring = wire(settings, clock)
    await wiring.prepare()
    await shop(wiring.redemptions, 5)
    assert (await redeemed(wiring.redemptions, wish())).status == "confirmed"
    await wiring.close()
    successor = wire(settings, clock)
    assert await successor.store.views.count(REDEMPTIONS) == {"": 1}
    assert await stock(successor.redemptions) == (4, 0, 1)
    await successor.close()


async def test_the_stock_stays_when_the_same_request_came_through_elsewhere_meanwhile(
    processes: list[Redemptions],
) -> None:
    one, other = processes
    await shop(one, 5)
    writes = 0

    async def elsewhere() -> None:
        nonlocal writes
        writes += 1
        if writes == 2:  # it has been refused, and is about to be ruled out
            await earned(other, 5_000, seq=2)
            assert (await redeemed(other, wish())).status == "confirmed"

    slow = with_ledger(one, elsewhere)
    await slow.ledger.heads(["M1"])
    await redeem(other, wish("k2"))
    assert (await redeemed(slow, wish())).status == "confirmed"
    assert await one.rewards.shop.left(SHELF) == 3
    assert (await balance(one), await stock(one, other)) == (4_400, (3, 0, 2))


async def test_who_is_known_to_be_refused_takes_no_stock_and_may_ask_again(
    tmp_path: Path, clock: TestClock
) -> None:
    store = open_store(f"sqlite:{tmp_path}", "points")
    fraud = Fraud(per_member=(Velocity(hours=1, times=1),))
    redemptions = await prepared(redemptions_on(store, clock, fraud=fraud))
    await shop(redemptions, 5, 5_000)
    await redeem(redemptions, wish("k1"))
    before = await entries(redemptions)
    with pytest.raises(ServiceError, match="velocity_times"):
        await redeem(redemptions, wish("k2"))
    assert await entries(redemptions) == before
    taken = await redemptions.rewards.shop.taken(SHELF, redemption_id_of("M1", "k2"), "M1")
    assert taken.places == {}
    clock.now += 61 * MINUTE
    assert (await redeemed(redemptions, wish("k2"))).status == "confirmed"
    await store.close()


async def test_a_process_that_slept_between_stock_and_points_takes_no_points_for_what_went_back(
    processes: list[Redemptions], clock: TestClock
) -> None:
    one, other = processes
    await shop(one, 1)
    await earned(one, 1_000, "M2")
    asleep, awake = asyncio.Event(), asyncio.Event()

    async def sleep() -> None:
        asleep.set()
        await awake.wait()

    slow = asyncio.create_task(redeem(with_ledger(one, sleep), wish()))
    await asleep.wait()
    clock.now += 16 * MINUTE
    await swept(other)
    assert (await redeemed(other, wish(member="M2"))).status == "confirmed"
    awake.set()
    with pytest.raises(TakeClosed):
        await slow
    assert (await balance(other), await balance(other, "M2")) == (1_000, 200)
    assert await stock(other) == (0, 0, 1)
    assert await findings(other) == []


async def test_stock_whose_process_died_goes_back_when_its_time_is_over(
    redemptions: Redemptions, clock: TestClock
) -> None:
    await shop(redemptions, 5)
    await redemptions.rewards.shop.take(SHELF, RDM, "M1", START + 15 * MINUTE)
    await followed(redemptions)
    assert await stock(redemptions) == (4, 1, 0)
    clock.now += 15 * MINUTE
    await followed(redemptions)
    assert await stock(redemptions) == (5, 0, 0)
    with pytest.raises(TakeClosed, match="new key"):
        await redeem(redemptions, wish())
    assert await find(redemptions, "M1", RDM) is None
    assert await balance(redemptions) == 1_000
    assert await findings(redemptions) == []


async def test_what_was_ruled_out_before_its_stock_went_back_takes_no_points(
    redemptions: Redemptions, clock: TestClock
) -> None:
    await shop(redemptions, 5)
    await redemptions.rewards.shop.take(SHELF, RDM, "M1", START + 15 * MINUTE)
    clock.now += 15 * MINUTE
    assert await status_of(redemptions)("M1", RDM, "mug") == "gone"
    for confirm in (False, True):
        with pytest.raises(TakeClosed, match="new key"):
            await redeem(redemptions, wish(confirm=confirm))
    assert (await balance(redemptions), await stock(redemptions)) == (1_000, (5, 0, 0))


async def test_the_stock_of_another_reward_under_the_same_key_is_not_settled_by_it(
    redemptions: Redemptions, clock: TestClock
) -> None:
    """Its process died with the stock of the one; the same key then got the other."""
    await shop(redemptions, 5)
    await shop(redemptions, 0, 0, reward_id="tea", slices=0)
    await earned(redemptions, 5_000, seq=2)
    await redemptions.rewards.shop.take(SHELF, RDM, "M1", START + 15 * MINUTE)
    assert (await redeemed(redemptions, wish(reward_id="tea"))).status == "confirmed"
    with pytest.raises(ServiceError, match="idempotency_key_reused"):
        await redeem(redemptions, wish())
    assert await stock(redemptions) == (5, 0, 0)
    await redemptions.rewards.shop.take(SHELF, redemption_id_of("M1", "k2"), "M1", START)
    await redeem(redemptions, wish("k2", reward_id="tea"))
    assert await findings(redemptions) == []
    clock.now += 15 * MINUTE
    await followed(redemptions)
    assert await stock(redemptions) == (5, 0, 0)
    assert await findings(redemptions) == []


async def test_a_rival_between_hold_and_capture_leaves_one_of_each(
    processes: list[Redemptions],
) -> None:
    """Where the two are two inserts, somebody else's entry may land between them."""
    one, other = processes
    await shop(one, 5, 5_000)
    writes = 0

    async def cut_in() -> None:
        nonlocal writes
        writes += 1
        if writes == 2:
            await earned(other, 50, seq=2)

    found = await redeemed(with_ledger(one, cut_in, one_by_one=True), wish())
    assert found.status == "confirmed"
    keys = [fact.key for fact in await entries(one)]
    assert keys == ["reward:1", hold_key(RDM), "reward:2", f"hold-end:{RDM}"]
    assert (await balance(one), await stock(one, other)) == (4_250, (4, 0, 1))
    assert await findings(one) == []


async def test_a_reservation_that_ran_out_is_not_confirmed_by_the_same_key(
    redemptions: Redemptions, clock: TestClock
) -> None:
    await shop(redemptions, 5)
    await redeem(redemptions, wish(confirm=False))
    clock.now += 16 * MINUTE
    await followed(redemptions)
    await redemptions.ledger.heads(["M1"], fresh=True)
    assert (await redeemed(redemptions, wish())).status == "expired"
    await followed(redemptions)
    assert (await balance(redemptions), await stock(redemptions)) == (1_000, (5, 0, 0))
    assert await findings(redemptions) == []


async def test_what_was_ruled_out_cannot_be_twice_and_what_began_cannot_be_ruled_out(
    redemptions: Redemptions,
) -> None:
    await shop(redemptions, 5)
    assert [await rule_out(redemptions, "M1", RDM) for _ in range(2)] == [True, True]
    await redeem(redemptions, wish("k2"))
    assert not await rule_out(redemptions, "M1", redemption_id_of("M1", "k2"))
    marks = [fact for fact in await entries(redemptions) if fact.type == "AccountMarked"]
    assert [fact.key for fact in marks] == [hold_key(RDM)]
