"""Takes whose redemption nobody finished are closed, once, however often somebody looks."""

import asyncio
from dataclasses import replace
from typing import Any

from msgspec.json import encode as encoded

from contracts.catalogue import StockAdded, StockGivenBack, StockSettled, StockTaken
from kit.clock import DAY, SECOND
from kit.journal.port import Draft
from kit.views.port import Collection, Query
from services.points.rewards import audit, commands
from services.points.rewards.duties import Became, Status, close_due, sweep
from services.points.rewards.rebuild import rebuild
from services.points.rewards.stock import Shelf
from services.points.rewards.views import COLLECTIONS, STOCK
from services.points.rewards.wiring import Rewards
from tests.services.points.rewards.making import delivery, facts, mug, stocked
from tests.services.starting import START, TestClock

UNTIL = START + 900 * SECOND
CAME: dict[str, Became] = {"r0": "live", "r1": "confirmed", "r2": "gone"}


async def status(member_id: str, redemption_id: str, reward_id: str) -> Became:
    assert member_id == "M" + redemption_id
    return CAME[redemption_id]


async def three_taken(rewards: Rewards) -> None:
    shelf = await stocked(rewards, 16)
    for name in CAME:
        await rewards.shop.take(shelf, name, "M" + name, UNTIL, 2)


async def left(rewards: Rewards) -> tuple[int, int, int]:
    """What is left, reserved, and redeemed."""
    heads = await rewards.shop.streams.heads([f"mug.{n}" for n in range(16)], fresh=True)
    states = [head.state for head in heads.values()]
    reserved = sum(take.quantity for each in states for take in each.open.values())
    return sum(s.left for s in states), reserved, sum(s.settled for s in states)


async def closed(rewards: Rewards, ask: Status, now: int) -> int:
    """What the duty closes, once the documents it looks at are written."""
    await rewards.shop.idle()
    return await close_due(rewards.shop, ask, now)


async def test_what_is_due_is_settled_or_given_back_and_what_lives_is_left_alone(
    rewards: Rewards, clock: TestClock
) -> None:
    await three_taken(rewards)
    assert await closed(rewards, status, UNTIL - 1) == 0
    assert await left(rewards) == (10, 6, 0)
    assert await closed(rewards, status, UNTIL) == 4
    assert await left(rewards) == (12, 2, 2)
    before = await facts(rewards)
    assert await closed(rewards, status, UNTIL + DAY) == 0
    assert await facts(rewards) == before


async def test_two_at_once_close_each_take_once(several: list[Rewards]) -> None:
    await three_taken(several[0])
    await several[0].shop.idle()
    ended = await asyncio.gather(*(closed(each, status, UNTIL) for each in several))
    assert sum(ended) == 4
    assert await left(several[0]) == (12, 2, 2)
    assert await audit.findings(several[1]) == []


async def test_a_slice_is_due_when_the_first_of_its_takes_is(rewards: Rewards) -> None:
    shelf = await stocked(rewards, 9, 1)
    for name, until in (("r0", UNTIL), ("r2", UNTIL - 9), ("r1", UNTIL + 9)):
        await rewards.shop.take(shelf, name, "M" + name, until)
    assert await closed(rewards, status, UNTIL - 9) == 1
    await rewards.shop.idle()
    (document,) = (await rewards.views.load(STOCK, ["mug.0"])).values()
    assert dict(document.index) == {"due": UNTIL, "left": 7}


async def test_what_the_index_does_not_know_is_found_by_the_sweep(rewards: Rewards) -> None:
    await three_taken(rewards)
    await rewards.shop.idle()
    await rewards.views.drop(STOCK)
    rewards.shop.streams.forget()
    assert await closed(rewards, status, UNTIL) == 0
    assert await sweep(rewards.shop, rewards.catalogue, status, UNTIL) == 4
    assert await left(rewards) == (12, 2, 2)
    await rewards.shop.idle()
    due = await rewards.views.find(STOCK, Query(order_by="due", lower=0, upper=UNTIL + 1))
    assert len(due) == 2


async def test_more_slices_than_a_page_that_live_on_do_not_hide_the_others(
    rewards: Rewards,
) -> None:
    """Four rewards of 64 slices each make more than one page of the index."""
    shelves = [await shelf_of(rewards, f"mug{n}") for n in range(4)]
    for n, shelf in enumerate(shelves):
        for place in range(64):
            member = next(f"M{m}" for m in range(9999) if shelf.home(f"M{m}") == place)
            await rewards.shop.take(shelf, f"x{n}-{place}", member, UNTIL - 256 + n * 64 + place)

    async def last_is_gone(member_id: str, redemption_id: str, reward_id: str) -> Became:
        return "gone" if redemption_id == "x3-63" else "live"

    assert await closed(rewards, last_is_gone, UNTIL) == 1


async def shelf_of(rewards: Rewards, reward_id: str) -> Shelf:
    """A reward of 64 slices with two in each."""
    await commands.define(rewards, mug(reward_id=reward_id, slices=64))
    await commands.add_stock(rewards, StockAdded(reward_id, 128, 128, "omar"), "d")
    return Shelf(reward_id, 64)


async def test_a_take_that_stays_open_long_after_it_was_due_is_found_by_the_audit(
    rewards: Rewards, clock: TestClock
) -> None:
    await three_taken(rewards)
    clock.now = UNTIL + DAY
    assert await audit.findings(rewards) == []
    clock.now += 1
    found = await audit.findings(rewards)
    assert len(found) == 6
    assert found[0].endswith("took is open since 2026-01-01T00:15:00+00:00")


async def test_documents_dropped_and_rebuilt_are_what_they_were(rewards: Rewards) -> None:
    await three_taken(rewards)
    await rewards.shop.idle()
    await commands.define(rewards, mug(reward_id="b", valid_until=START + DAY))
    await commands.retire(rewards, "b", "broken", "mara")
    await rewards.meters.count("device", "phone", "r1", 5)
    before = [await documents(rewards, each) for each in COLLECTIONS]
    assert await rebuild(rewards) == 2
    after = [await documents(rewards, each) for each in COLLECTIONS]
    assert before[:2] == after[:2]
    assert len(after[2]) == 1
    assert await audit.findings(rewards) == []


async def documents(rewards: Rewards, collection: Collection) -> dict[str, tuple[Any, Any]]:
    """Every document, without its version: that counts writes, and a rebuild writes once."""
    found = await rewards.views.find(collection, Query(limit=200))
    return {each.id: (each.body, dict(each.index)) for each in found}


async def test_what_somebody_changed_in_a_document_is_found_by_the_audit(rewards: Rewards) -> None:
    await three_taken(rewards)
    await rewards.shop.idle()
    stored = await rewards.views.load(STOCK, ["mug.0", "mug.1"])
    assert len(stored) == 2
    one, two = stored.values()
    await rewards.views.save(
        STOCK,
        [
            replace(one, index={**one.index, "due": None, "left": 7}),
            replace(two, body=two.body.replace(b'"added":1', b'"added":9')),
        ],
    )
    found = await audit.findings(rewards)
    assert len(found) == 2
    assert "stock:mug.0: the document is found by" in found[0]
    assert found[1].startswith("stock:mug.1: the document at")


async def test_a_document_from_a_future_that_never_was_is_found_by_the_audit(
    rewards: Rewards,
) -> None:
    await stocked(rewards, 1, 1)
    await rewards.shop.idle()
    (document,) = (await rewards.views.load(STOCK, ["mug.0"])).values()
    ahead = replace(document, body=document.body.replace(b'"seq":1', b'"seq":2'))
    await rewards.views.save(STOCK, [ahead])
    (found,) = await audit.findings(rewards)
    assert found.startswith("stock:mug.0: the document at 2 is not its fold")


async def test_facts_that_do_not_follow_from_each_other_are_found_by_the_audit(
    rewards: Rewards,
) -> None:
    await stocked(rewards, 1, 1)
    odd = [
        StockTaken("mug", "r1", "M1", 2, UNTIL),
        StockSettled("mug", "r1", 3),
        StockGivenBack("mug", "r2", 1),
        StockGivenBack("mug", "r2", 1),
        StockTaken("mug", "r1", "M1", 1, UNTIL),
    ]
    await rewards.journal.append(
        [
            Draft("stock:mug.0", n, f"k{n}", b"", type(body).__name__, START, START, encoded(body))
            for n, body in enumerate(odd, 2)
        ]
    )
    await rewards.journal.append(
        [Draft("stock:mug.5", 1, "k", b"", "StockAdded", START, START, encoded(delivery(1)))]
    )
    assert await audit.findings(rewards) == [
        "stock:mug.0/000000000002: -1 are left",
        "stock:mug.0/000000000003: r1 took 2, not 3",
        "stock:mug.0/000000000003: -1 are left",
        "stock:mug.0/000000000004: r2 took 0, not 1",
        "stock:mug.0/000000000005: r2 took 0, not 1",
        "stock:mug.0/000000000005: r2 was given back before",
        "stock:mug.0/000000000006: r1 takes a second time",
        "stock:mug.0: of 1 added 0 are left, 1 reserved, 1 redeemed and 0 written down",
        "stock:mug.5: mug has no such slice",
    ]
