"""Stock: taken once each, given back once, and never more than there is."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any, cast

import pytest

from contracts.envelope import Fact
from kit.clock import SECOND
from kit.errors import ServiceError
from kit.journal.port import Journal
from kit.store import Store, open_store
from kit.streams import ATTEMPTS, New
from services.points.domain.stock import NotOpen, Slice, SoldOut, TakeClosed
from services.points.rewards import audit, commands
from services.points.rewards.stock import Paid, Shelf, facts_of
from services.points.rewards.turnstile import WARY_BATCHES, Turnstile
from services.points.rewards.views import Asked
from services.points.rewards.wiring import Rewards
from tests.services.points.rewards.making import Accounts, delivery, facts, made, stocked
from tests.services.starting import START, TestClock

UNTIL = START + 900 * SECOND


async def take(rewards: Rewards, shelf: Shelf, redemption: str, member: str, many: int = 1) -> str:
    """Take, and say in a word how it ended."""
    try:
        await rewards.shop.take(shelf, redemption, member, UNTIL, many)
    except ServiceError as error:
        return error.code
    return "taken"


@pytest.mark.parametrize("slices", [1, 16])
async def test_the_last_item_is_taken_once_by_a_hundred_at_once(
    several: list[Rewards], slices: int
) -> None:
    shelf = await stocked(several[0], 1, slices)
    ends = await asyncio.gather(
        *(take(several[n % 2], shelf, f"r{n}", f"M{n}") for n in range(100))
    )
    assert Counter(ends) == {"taken": 1, "sold_out": 99}
    assert await several[0].shop.left(shelf) == 0
    assert len(await facts(several[0], "StockTaken")) == 1
    assert await audit.findings(several[0]) == []


@pytest.mark.parametrize("slices", [1, 16])
async def test_sixty_items_are_taken_by_sixty_of_a_hundred_at_once(
    several: list[Rewards], slices: int
) -> None:
    shelf = await stocked(several[0], 60, slices)
    ends = await asyncio.gather(
        *(take(several[n % 2], shelf, f"r{n}", f"M{n}") for n in range(100))
    )
    assert Counter(ends) == {"taken": 60, "sold_out": 40}
    assert await several[1].shop.left(shelf) == 0
    assert await audit.findings(several[1]) == []


async def test_the_same_redemption_from_many_at_once_takes_once(several: list[Rewards]) -> None:
    shelf = await stocked(several[0], 3)
    ends = await asyncio.gather(*(take(several[n % 2], shelf, "r1", "M1") for n in range(30)))
    assert Counter(ends) == {"taken": 30}
    assert await several[0].shop.left(shelf) == 2


async def test_nothing_is_sold_out_while_another_slice_holds_one(rewards: Rewards) -> None:
    shelf = await stocked(rewards, 16)
    ends = [await take(rewards, shelf, f"r{n}", "M1") for n in range(17)]
    assert ends == ["taken"] * 16 + ["sold_out"]


async def test_a_retry_finds_what_it_took_in_another_slice_though_its_own_was_filled_since(
    rewards: Rewards,
) -> None:
    shelf = await stocked(rewards, 2)
    heads = await rewards.shop.streams.heads(shelf.owners, fresh=True)
    empty = {place for place, owner in enumerate(shelf.owners) if not heads[owner].state.left}
    member = next(f"M{n}" for n in range(99) if shelf.home(f"M{n}") in empty)
    assert await take(rewards, shelf, "r1", member) == "taken"
    await commands.add_stock(rewards, delivery(160), "more")
    assert await take(rewards, shelf, "r1", member) == "taken"
    assert await rewards.shop.left(shelf) == 161


async def test_several_may_come_from_several_slices_and_go_back_together(rewards: Rewards) -> None:
    shelf = await stocked(rewards, 16)
    assert await take(rewards, shelf, "r1", "M1", 10) == "taken"
    assert await take(rewards, shelf, "r1", "M1", 10) == "taken"
    assert await rewards.shop.left(shelf) == 6
    assert await take(rewards, shelf, "r2", "M2", 7) == "sold_out"
    assert await rewards.shop.left(shelf) == 6
    assert await rewards.shop.give_back(shelf, "r1", "M1") == 10
    assert await rewards.shop.left(shelf) == 16
    assert await audit.findings(rewards) == []


async def test_what_is_short_says_what_was_asked_and_what_is_left(rewards: Rewards) -> None:
    shelf = await stocked(rewards, 3)
    with pytest.raises(SoldOut) as refused:
        await rewards.shop.take(shelf, "r1", "M1", UNTIL, 4)
    assert refused.value.facts == {"reward_id": "mug", "asked": 4, "left": 3}
    assert await facts(rewards, "StockTaken") == []
    assert await facts(rewards, "StockSought") == []


async def test_giving_back_and_settling_happen_once(rewards: Rewards) -> None:
    shelf = await stocked(rewards, 5)
    for name in ("r1", "r2"):
        await take(rewards, shelf, name, "M1")
    for _ in range(2):
        await rewards.shop.settle(shelf, "r1", "M1")
        assert await rewards.shop.give_back(shelf, "r2", "M1") == 1
    assert await rewards.shop.left(shelf) == 4
    with pytest.raises(TakeClosed):
        await rewards.shop.settle(shelf, "r2", "M1")
    assert await take(rewards, shelf, "r2", "M1") == "stock_given_back"
    assert await take(rewards, shelf, "r1", "M1") == "taken"
    assert await rewards.shop.left(shelf) == 4
    assert len(await facts(rewards, "StockSettled")) == 1
    assert len(await facts(rewards, "StockGivenBack")) == 1


async def test_what_many_paid_for_is_settled_at_once_and_what_is_left_is_told(
    rewards: Rewards,
) -> None:
    shelf = await stocked(rewards, 16)
    for name, many in (("r1", 1), ("r2", 1), ("r3", 3)):
        assert await take(rewards, shelf, name, "M" + name, many) == "taken"
    assert await take(rewards, shelf, "r4", "Mr4") == "taken"
    await rewards.shop.give_back(shelf, "r4", "Mr4")
    paid = [
        Paid(shelf, name, "M" + name, 3 if name == "r3" else 1)
        for name in ("r1", "r2", "r3", "r4", "r5")
    ]
    assert await rewards.shop.settle_all(paid) == paid[2:]
    assert len(await facts(rewards, "StockSettled")) == 3  # of the third only what was at home
    assert await rewards.shop.settle_all(paid) == paid
    await rewards.shop.settle(shelf, "r3", "Mr3", 3)
    assert await audit.findings(rewards) == []


async def test_what_was_settled_goes_back_once_when_it_is_cancelled(rewards: Rewards) -> None:
    shelf = await stocked(rewards, 5)
    await take(rewards, shelf, "r1", "M1", 3)
    await rewards.shop.settle(shelf, "r1", "M1")
    for _ in range(2):
        assert await rewards.shop.give_back(shelf, "r1", "M1") == 3
    assert await rewards.shop.left(shelf) == 5
    assert await audit.findings(rewards) == []


async def test_settling_and_giving_back_at_once_end_as_one_or_the_other(
    several: list[Rewards],
) -> None:
    """A settled take may go back after it; one that went back is never settled."""
    shelf = await stocked(several[0], 20)
    for n in range(20):
        await take(several[0], shelf, f"r{n}", f"M{n}")
    await asyncio.gather(
        *(several[0].shop.settle(shelf, f"r{n}", f"M{n}") for n in range(20)),
        *(several[1].shop.give_back(shelf, f"r{n}", f"M{n}") for n in range(20)),
        return_exceptions=True,
    )
    assert await several[0].shop.left(shelf) == 20
    assert await audit.findings(several[0]) == []


async def test_what_nobody_took_cannot_be_settled_and_gives_nothing_back(rewards: Rewards) -> None:
    shelf = await stocked(rewards, 5)
    with pytest.raises(NotOpen):
        await rewards.shop.settle(shelf, "r9", "M1")
    assert await rewards.shop.give_back(shelf, "r9", "M1") == 0
    assert len(await facts(rewards)) == 1 + 5


async def test_a_redemption_of_another_quantity_under_the_same_id_is_refused(
    rewards: Rewards,
) -> None:
    shelf = await stocked(rewards, 50, 1)
    assert await take(rewards, shelf, "r1", "M1", 2) == "taken"
    assert await take(rewards, shelf, "r1", "M1", 3) == "idempotency_key_reused"
    assert await rewards.shop.left(shelf) == 48


async def test_a_delivery_is_added_once_and_spread_evenly(rewards: Rewards) -> None:
    shelf = await stocked(rewards, 0)
    added = [await commands.add_stock(rewards, delivery(35), "d1") for _ in range(2)]
    assert added == [True, False]
    assert await rewards.shop.left(shelf) == 35
    with pytest.raises(ServiceError, match="idempotency_key_reused"):
        await commands.add_stock(rewards, delivery(36), "d1")
    assert await rewards.shop.left(shelf) == 35
    heads = await rewards.shop.streams.heads(shelf.owners, fresh=True)
    shares = sorted(head.state.left for head in heads.values())
    assert shares == [2] * 13 + [3] * 3


async def test_a_delivery_that_a_crash_cut_off_is_completed_by_its_retry(rewards: Rewards) -> None:
    shelf = await stocked(rewards, 0)
    await commands.add_stock(rewards, delivery(1), "d0")
    whole = delivery(35)
    first = rewards.shop.laying(shelf, whole, "d1")[0]
    await rewards.shop.streams.execute([first], facts_of)
    assert await rewards.shop.left(shelf) == 1 + 3
    assert await commands.add_stock(rewards, whole, "d1")
    assert await rewards.shop.left(shelf) == 36


async def test_a_caller_who_goes_away_takes_nobody_along(rewards: Rewards) -> None:
    shelf = await stocked(rewards, 20)
    takers = [asyncio.create_task(take(rewards, shelf, f"r{n}", f"M{n}")) for n in range(20)]
    await asyncio.sleep(0)
    takers[0].cancel()
    ends = await asyncio.gather(*takers, return_exceptions=True)
    assert ends[1:] == ["taken"] * 19


class Counting:
    """A store whose journals count how often the tails of streams are read."""

    def __init__(self, store: Store) -> None:
        self._store, self.views, self.reads = store, store.views, 0

    def journal(self, name: str) -> Journal:
        journal: Any = CountingJournal(self._store.journal(name), self)
        return cast(Journal, journal)

    async def close(self) -> None:
        await self._store.close()


class CountingJournal:
    def __init__(self, journal: Journal, counter: Counting) -> None:
        self._journal, self._counter = journal, counter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    async def read_many(self, after: dict[str, int]) -> dict[str, list[Fact]]:
        self._counter.reads += 1
        return await self._journal.read_many(after)


async def test_who_takes_alone_does_not_look_first_and_who_lost_a_race_does(
    tmp_path: Path, clock: TestClock, accounts: Accounts
) -> None:
    counting = Counting(open_store(f"sqlite:{tmp_path}", "points"))
    alone, other = (made(counting, clock, accounts) for _ in range(2))
    await alone.prepare()
    shelf = await stocked(alone, 200, 1)

    async def reads_of(rewards: Rewards, name: str) -> int:
        before = counting.reads
        command = rewards.shop.laying(shelf, delivery(1), name)[0]
        turnstile = turnstiles[id(rewards)]
        assert (await turnstile.pass_(command)).error is None
        await turnstile.idle()
        return counting.reads - before

    await alone.shop.idle()
    turnstiles = {id(each): Turnstile(each.shop.streams, facts_of) for each in (alone, other)}
    keeping = 2  # the document is written behind it, from fresh heads
    assert [await reads_of(alone, f"a{n}") for n in range(3)] == [keeping] * 3
    assert await reads_of(other, "b") == keeping + 1  # it has never seen the stream
    assert await reads_of(alone, "race") > keeping
    wary = [await reads_of(alone, f"w{n}") for n in range(WARY_BATCHES + 1)]
    assert wary == [keeping + 1] * WARY_BATCHES + [keeping]
    assert await alone.shop.left(shelf) == 200 + 3 + 1 + 1 + WARY_BATCHES + 1
    await counting.close()


class OutOfOrder(Exception):
    """Nobody foresaw it."""


async def test_an_error_that_nobody_foresaw_reaches_all_who_asked_and_the_next_go_on(
    rewards: Rewards,
) -> None:
    broken = [True]

    def decide(state: Slice, asked: Asked) -> list[New]:
        if broken.pop() if broken else False:
            raise OutOfOrder
        return facts_of(state, asked)

    shelf = await stocked(rewards, 160, 1)
    turnstile = Turnstile(rewards.shop.streams, decide)
    whole = delivery(5)
    ends = await asyncio.gather(
        *(turnstile.pass_(rewards.shop.laying(shelf, whole, f"d{n}")[0]) for n in range(3)),
        return_exceptions=True,
    )
    assert [type(end) for end in ends] == [OutOfOrder] * 3
    assert (await turnstile.pass_(rewards.shop.laying(shelf, whole, "d9")[0])).error is None
    await turnstile.idle()
    assert await rewards.shop.left(shelf) == 165


async def test_what_a_batch_is_too_contended_for_is_carried_out_one_by_one(
    rewards: Rewards,
) -> None:
    """Each repetition in a batch costs it a round, and a batch has only so many."""
    shelf = await stocked(rewards, 1_000, 1)
    commands_ = [rewards.shop.laying(shelf, delivery(5), f"d{n}")[0] for n in range(ATTEMPTS + 10)]
    turnstile = Turnstile(rewards.shop.streams, facts_of)
    first = await asyncio.gather(*map(turnstile.pass_, commands_))
    again = await asyncio.gather(*map(turnstile.pass_, commands_))
    assert {(result.error, result.repeated) for result in first} == {(None, False)}
    assert {(result.error, result.repeated) for result in again} == {(None, True)}
    await turnstile.idle()
    assert await rewards.shop.left(shelf) == 1_000 + 5 * (ATTEMPTS + 10)
