"""Stock that is written down: once for a key, all or nothing, and only what nobody else has."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from contracts.catalogue import StockTaken, StockWrittenDown
from kit.clock import SECOND
from kit.errors import ServiceError
from kit.store import open_store
from services.points.domain import stock as domain
from services.points.domain.stock import (
    GiveBack,
    NotOpen,
    SetAside,
    Slice,
    StockShort,
    WriteDown,
)
from services.points.rewards import audit, commands, queries
from services.points.rewards.duties import close_due, sweep
from services.points.rewards.presenting import stock_view
from services.points.rewards.stock import Shelf
from services.points.rewards.wiring import Rewards
from tests.services.points.rewards.crashing import Died, DyingStore, Fuse, without_last_words
from tests.services.points.rewards.making import Accounts, delivery, facts, made, stocked
from tests.services.starting import START, TestClock

MINUTE = 60 * SECOND
UNTIL = START + 60 * MINUTE
MOST_WRITES = 30
SHELF = Shelf("mug", 4)


def lost(many: int, **more: Any) -> StockWrittenDown:
    """Some mugs that are not where they should be."""
    return replace(StockWrittenDown("mug", "", 0, many, "lost", "mara"), **more)


async def written(rewards: Rewards, many: int, key: str) -> str:
    """Write down, and say in a word how it ended."""
    try:
        fresh = await commands.write_down(rewards, lost(many), key)
    except ServiceError as error:
        return error.code
    return "written down" if fresh else "before"


async def taken(rewards: Rewards, shelf: Shelf, name: str, many: int = 1) -> str:
    """Take for a redemption, and say in a word how it ended."""
    try:
        await rewards.shop.take(shelf, name, f"M{name}", UNTIL, many)
    except ServiceError as error:
        return error.code
    return "taken"


async def gone(rewards: Rewards) -> int:
    """How many are written down in all slices."""
    return stock_view("mug", await queries.slices(rewards, "mug")).written_down


async def unknown(member_id: str, redemption_id: str, reward_id: str) -> Any:
    """Nobody may ask the ledger about a write-down."""
    raise AssertionError(redemption_id)


def test_a_slice_sets_aside_what_it_has_and_writes_down_what_it_set_aside() -> None:
    aside = StockTaken("mug", "write-down:0:k", "", 5, UNTIL)
    state = Slice(added=4, taken=1)
    first = domain.decide(state, SetAside(aside))
    assert first == replace(aside, quantity=3)
    state = domain.apply(state, first, START)
    assert (state.left, state.due) == (0, UNTIL)
    down = domain.decide(state, WriteDown(lost(5, write_down_id="write-down:0:k")))
    assert down == lost(5, write_down_id="write-down:0:k", quantity=3)
    state = domain.apply(state, down, START + 1)
    assert (state.left, state.open, state.written_down) == (0, {}, {"lost": 3})
    assert [(one.at, one.quantity, one.by) for one in state.lately] == [(START + 1, 5, "mara")]


def test_an_empty_slice_sets_nothing_aside_and_remembers_that_it_was_asked() -> None:
    aside = StockTaken("mug", "write-down:0:k", "", 5, UNTIL)
    first = domain.decide(Slice(), SetAside(aside))
    assert first == replace(aside, quantity=0)
    state = domain.apply(Slice(), first, START)
    back = domain.decide(state, GiveBack("mug", "write-down:0:k"))
    ended = domain.apply(state, back, START)
    assert (ended.left, ended.open) == (0, {})
    with pytest.raises(NotOpen):
        domain.decide(ended, WriteDown(lost(5, write_down_id="write-down:0:k")))


def test_a_slice_remembers_the_last_twenty_write_downs() -> None:
    state = Slice(added=30, taken=30)
    for n in range(25):
        fact = lost(1, write_down_id=f"write-down:0:{n}", quantity=1)
        state = domain.apply(state, fact, START + n)
    assert [one.at - START for one in state.lately] == list(range(5, 25))
    assert state.written_down == {"lost": 25}


async def test_what_is_gone_comes_from_several_slices_once_for_a_key(rewards: Rewards) -> None:
    shelf = await stocked(rewards, 32)
    asked = lost(20, note="Shelf 4")
    assert [await commands.write_down(rewards, asked, "k") for _ in range(2)] == [True, False]
    assert await rewards.shop.left(shelf) == 12
    assert (await rewards.shop.left_lately([shelf])) == {"mug": 12}
    shown = stock_view("mug", await queries.slices(rewards, "mug"))
    assert (shown.added, shown.left, shown.reserved, shown.redeemed) == (32, 12, 0, 0)
    assert (shown.written_down, shown.written_down_for) == (20, {"lost": 20})
    assert [(one.quantity, one.note, one.by) for one in shown.corrections] == [
        (-20, "Shelf 4", "mara")
    ]
    assert await audit.findings(rewards) == []


@pytest.mark.parametrize("changed", [{"whole": 3}, {"reason": "damaged"}, {"note": "x"}])
async def test_another_write_down_under_the_same_key_is_refused(
    rewards: Rewards, changed: dict[str, Any]
) -> None:
    shelf = await stocked(rewards, 32)
    await commands.write_down(rewards, lost(2), "k")
    with pytest.raises(ServiceError, match="idempotency_key_reused"):
        await commands.write_down(rewards, lost(2, **changed), "k")
    assert await rewards.shop.left(shelf) == 30
    assert await gone(rewards) == 2


async def test_more_than_is_left_is_refused_with_how_many_can_be_and_nothing_is_written(
    rewards: Rewards,
) -> None:
    shelf = await stocked(rewards, 10)
    assert await taken(rewards, shelf, "r1", 3) == "taken"
    await rewards.shop.settle(shelf, "r1", "Mr1", 3)
    assert await taken(rewards, shelf, "r2", 2) == "taken"
    before = len(await facts(rewards))
    with pytest.raises(StockShort) as refused:
        await commands.write_down(rewards, lost(6), "k")
    assert refused.value.facts == {"reward_id": "mug", "asked": 6, "left": 5}
    assert len(await facts(rewards)) == before
    assert await written(rewards, 5, "k") == "written down"  # the key is still free
    shown = stock_view("mug", await queries.slices(rewards, "mug"))
    assert (shown.left, shown.reserved, shown.redeemed, shown.written_down) == (0, 2, 3, 5)
    assert await rewards.shop.give_back(shelf, "r2", "Mr2") == 2
    assert await rewards.shop.left(shelf) == 2
    assert await audit.findings(rewards) == []


async def test_reasons_are_added_up_apart_and_the_newest_stands_first(
    rewards: Rewards, clock: TestClock
) -> None:
    await stocked(rewards, 100)
    for n, reason in enumerate(("damaged", "lost", "damaged")):
        clock.now += 1
        await commands.write_down(rewards, lost(n + 1, reason=reason), f"k{n}")
    shown = stock_view("mug", await queries.slices(rewards, "mug"))
    assert shown.written_down_for == {"damaged": 4, "lost": 2}
    assert [one.quantity for one in shown.corrections] == [-3, -2, -1]


@pytest.mark.parametrize("slices", [1, 16])
async def test_members_and_staff_at_once_get_no_more_than_there_is(
    several: list[Rewards], slices: int
) -> None:
    shelf = await stocked(several[0], 60, slices)
    ends = await asyncio.gather(
        *(taken(several[n % 2], shelf, f"r{n}") for n in range(50)),
        *(written(several[n % 2], 5, f"k{n}") for n in range(8)),
    )
    counted = Counter(ends)
    assert set(counted) <= {
        "taken", "sold_out", "written down", "stock_short", "write_down_dropped", "contended"
    }  # fmt: skip
    left = await several[0].shop.left(shelf)
    assert left == 60 - counted["taken"] - 5 * counted["written down"]
    assert left >= 0
    assert await gone(several[1]) == 5 * counted["written down"]
    assert await audit.findings(several[0]) == []


async def test_the_same_write_down_from_many_at_once_is_written_once(
    several: list[Rewards],
) -> None:
    shelf = await stocked(several[0], 60)
    ends = await asyncio.gather(
        *(written(several[n % 2], 20, "k") for n in range(10)),
        *(taken(several[n % 2], shelf, f"r{n}") for n in range(20)),
    )
    assert ends[10:] == ["taken"] * 20
    assert set(ends[:10]) <= {"written down", "before"}
    assert await several[0].shop.left(shelf) == 20
    assert await gone(several[0]) == 20
    assert await audit.findings(several[1]) == []


async def crashed(path: Path, clock: TestClock, fuse: Fuse, one_by_one: bool) -> bool:
    """Fill a shelf in one process, die in another while 20 of 32 are written down."""
    without_last_words()
    first = made(open_store(f"sqlite:{path}", "points"), clock, Accounts())
    await first.prepare()
    await stocked(first, 32, SHELF.slices)
    await first.shop.idle()
    store = DyingStore(open_store(f"sqlite:{path}", "points"), fuse, one_by_one)
    dying = made(store, clock, Accounts())
    try:
        await commands.write_down(dying, lost(20), "k")
        await dying.shop.idle()
    except Died:
        return True
    return False


@pytest.mark.parametrize("one_by_one", [False, True], ids=["together", "one by one"])
@pytest.mark.parametrize("after", ["sent again", "sent again late", "left alone"])
async def test_after_a_crash_at_any_write_all_is_written_down_or_nothing(
    tmp_path: Path, clock: TestClock, one_by_one: bool, after: str
) -> None:
    """Sent again soon it is written down; left to the duty it is, or nothing of it."""
    ends: set[str] = set()
    for write in range(1, MOST_WRITES):
        path = tmp_path / f"{write}"
        path.mkdir()
        died = await crashed(path, clock, Fuse(write), one_by_one)
        store = open_store(f"sqlite:{path}", "points")
        second = made(store, clock, Accounts())
        if after != "sent again":
            clock.now += 20 * MINUTE
            await close_due(second.shop, unknown, clock())
            await sweep(second.shop, second.catalogue, unknown, clock())
        if after != "left alone":
            end = await written(second, 20, "k")
            assert await written(second, 20, "k") in (end, "before"), write
            ends.add(end)
        shown = stock_view("mug", await queries.slices(second, "mug"))
        figures = (shown.left, shown.reserved, shown.written_down)
        assert figures in ([(12, 0, 20)] if after == "sent again" else [(12, 0, 20), (32, 0, 0)])
        assert await audit.findings(second) == [], write
        await second.shop.idle()
        await store.close()
        if not died:
            assert write > 6  # home, two parts, the decision, two that follow, the documents
            assert ends <= {"written down", "before", "write_down_dropped"}
            assert after != "sent again" or ends == {"written down", "before"}
            return
    raise AssertionError("it never ended")


async def test_a_write_down_whose_time_is_over_is_given_up_for_good(
    tmp_path: Path, clock: TestClock
) -> None:
    assert await crashed(tmp_path, clock, Fuse(5), one_by_one=True)
    rewards = made(open_store(f"sqlite:{tmp_path}", "points"), clock, Accounts())
    await sweep(rewards.shop, rewards.catalogue, unknown, clock())
    aside = [each for each in await rewards.shop.slices(SHELF) if each.open]
    assert aside  # of how many slices depends on when documents are written
    assert await rewards.shop.left(SHELF) < 32
    clock.now += 15 * MINUTE
    assert await sweep(rewards.shop, rewards.catalogue, unknown, clock()) == len(aside)
    assert await rewards.shop.left(SHELF) == 32
    ends = [await written(rewards, 20, key) for key in ("k", "k", "another")]
    assert ends == ["write_down_dropped", "write_down_dropped", "written down"]
    assert await audit.findings(rewards) == []


async def test_the_audit_finds_a_write_down_whose_slices_do_not_add_up(rewards: Rewards) -> None:
    shelf = await stocked(rewards, 32)
    home = shelf.home("k")
    name, owner = f"write-down:{home}:k", shelf.owners[home]
    aside = StockTaken("mug", name, "", 2, UNTIL)
    await rewards.shop.ask(owner, f"take:{name}", SetAside(aside))
    other = shelf.owners[(home + 1) % 16]
    wrong = lost(5, write_down_id=name, shares={other: 2})
    await rewards.shop.ask(owner, f"down:{name}", WriteDown(wrong))
    await rewards.shop.idle()
    assert await audit.findings(rewards) == [
        f"stock:{owner}: {name} is of 5, its shares are not",
        f"stock:{other}: {name} took 0, its share is 2",
    ]


async def test_a_delivery_lets_a_refused_write_down_pass(rewards: Rewards) -> None:
    await stocked(rewards, 2)
    assert await written(rewards, 3, "k") == "stock_short"
    await commands.add_stock(rewards, delivery(1), "more")
    assert await written(rewards, 3, "k") == "written down"
