"""Redeeming: once, for whoever may, and undone whole."""

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from contracts.catalogue import PeriodLimit, RewardPrice
from kit.clock import DAY, SECOND
from kit.errors import ServiceError
from kit.store import open_store
from programmes.ledger import Expiry, Fraud, Lots, Velocity
from services.points.cards import absorb
from services.points.domain.errors import AlreadyEnded, LimitReached, NotKnown, StepUpNeeded
from services.points.domain.meters import VelocityExceeded
from services.points.rewards import commands
from services.points.rewards.redeeming import Caller, cancel, confirm, fulfil, redeem
from services.points.rewards.redemptions import REDEMPTIONS, Redemptions, noting, page, rebuild
from services.points.rewards.stock import Shelf
from tests.services.points.rewards.making import card, carded, delivery, mug
from tests.services.points.rewards.redeeming import (
    CLERK,
    MEMBER,
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


async def test_a_redemption_takes_points_and_stock_once(redemptions: Redemptions) -> None:
    await shop(redemptions, 5)
    found, made = await redeem(redemptions, wish())
    assert (made, found.status, found.points, found.confirmed_at) == (True, "confirmed", 800, START)
    again, made = await redeem(redemptions, wish())
    assert (made, again) == (False, found)
    assert await balance(redemptions) == 200
    assert await stock(redemptions) == (4, 0, 1)
    assert await findings(redemptions) == []


async def test_a_hundred_at_once_for_the_last_item_sell_it_once(tills: list[Redemptions]) -> None:
    await shop(tills[0], 1, 0)
    for n in range(100):
        await earned(tills[0], 1_000, f"M{n}")

    async def one(n: int) -> str:
        try:
            return (await redeemed(tills[n % 2], wish(member=f"M{n}"))).status
        except ServiceError as error:
            return error.code

    ends = await asyncio.gather(*(one(n) for n in range(100)))
    assert Counter(ends) == {"confirmed": 1, "sold_out": 99}
    assert sorted([await balance(tills[0], f"M{n}") for n in range(100)]) == [200] + [1_000] * 99
    assert await stock(*tills) == (0, 0, 1)
    assert await findings(tills[0]) == []


async def test_the_same_request_many_times_at_once_is_one_redemption(
    tills: list[Redemptions],
) -> None:
    await shop(tills[0], 5, 5_000)
    ends = await asyncio.gather(*(redeemed(tills[n % 2], wish()) for n in range(20)))
    assert {end.status for end in ends} == {"confirmed"}
    assert len({end.redemption_id for end in ends}) == 1
    assert await balance(tills[0]) == 4_200
    assert await stock(*tills) == (4, 0, 1)


async def test_a_reservation_confirmed_and_cancelled_at_once_ends_one_way(
    tills: list[Redemptions],
) -> None:
    await shop(tills[0], 20, 20_000)
    held = [await redeemed(tills[0], wish(f"k{n}", confirm=False)) for n in range(10)]
    await asyncio.gather(
        *(confirm(tills[0], "M1", each.redemption_id, MEMBER) for each in held),
        *(cancel(tills[1], "M1", each.redemption_id, MEMBER, "no") for each in held),
        return_exceptions=True,
    )
    for each in tills:
        await followed(each)
    left, reserved, sold = await stock(*tills)
    assert (left + sold, reserved) == (20, 0)
    assert await balance(tills[1]) == 20_000 - 800 * sold
    assert await findings(tills[0]) == []


async def test_another_content_under_the_same_key_is_refused(redemptions: Redemptions) -> None:
    await shop(redemptions, 5, 5_000)
    await redeem(redemptions, wish())
    for other in ({"quantity": 2}, {"reward_id": "tea"}, {"wallet": "miles"}):
        with pytest.raises(ServiceError, match="idempotency_key_reused"):
            await redeem(redemptions, wish(**other))
    assert await balance(redemptions) == 4_200


async def test_what_is_in_the_way_is_all_said_and_nothing_happens(
    redemptions: Redemptions,
) -> None:
    await shop(redemptions, 5, 100, eligibility='member.tier == "gold"', member_limit=1)
    await absorb(redemptions.rewards.views, [carded(4, card("M1"))])
    before = await entries(redemptions)
    with pytest.raises(ServiceError) as refused:
        await redeem(redemptions, wish(quantity=2))
    assert (refused.value.kind, refused.value.code) == ("refused", "not_eligible")
    why: Any = refused.value.facts["why_not"]
    assert [one["code"] for one in why] == ["not_eligible", "member_limit", "points_missing"]
    assert await entries(redemptions) == before
    assert await stock(redemptions) == (5, 0, 0)


async def test_what_is_sold_out_leaves_no_trace_and_may_be_asked_for_again(
    redemptions: Redemptions,
) -> None:
    await shop(redemptions, 0)
    before = await entries(redemptions)
    with pytest.raises(ServiceError, match="sold_out"):
        await redeem(redemptions, wish())
    assert await entries(redemptions) == before
    await commands.add_stock(redemptions.rewards, delivery(3), "more")
    assert (await redeemed(redemptions, wish())).status == "confirmed"
    assert await findings(redemptions) == []


async def test_a_reservation_of_what_is_sold_out_gives_the_points_back_and_stays_refused(
    redemptions: Redemptions,
) -> None:
    await shop(redemptions, 0)
    asked = wish(confirm=False)
    with pytest.raises(ServiceError, match="sold_out"):
        await redeem(redemptions, asked)
    assert await balance(redemptions) == 1_000
    await commands.add_stock(redemptions.rewards, delivery(3), "more")
    for again in (asked, wish()):
        with pytest.raises(ServiceError, match="sold_out"):
            await redeem(redemptions, again)
    assert await redemptions.rewards.shop.left(Shelf("mug", 16)) == 3
    assert (await redeemed(redemptions, wish("k2"))).status == "confirmed"
    assert await findings(redemptions) == []


async def test_limits_for_a_member_hold_for_many_at_once(tills: list[Redemptions]) -> None:
    await shop(tills[0], 50, 50_000, period_limit=PeriodLimit(3, 30))
    ends = await asyncio.gather(
        *(redeem(tills[n % 2], wish(f"k{n}")) for n in range(12)), return_exceptions=True
    )
    refused = [end for end in ends if isinstance(end, ServiceError)]
    assert len(refused) == 9
    assert {end.code for end in refused} <= {"limit_reached", "period_limit"}
    assert await stock(*tills) == (47, 0, 3)


async def test_a_reservation_stands_until_its_time_and_then_all_goes_back(
    redemptions: Redemptions, clock: TestClock
) -> None:
    await shop(redemptions, 5)
    held = await redeemed(redemptions, wish(confirm=False))
    assert (held.status, held.reserved_until) == ("reserved", START + 15 * MINUTE)
    assert (await balance(redemptions), await stock(redemptions)) == (200, (4, 1, 0))
    clock.now = held.reserved_until
    with pytest.raises(AlreadyEnded, match="expired"):
        await confirm(redemptions, "M1", held.redemption_id, MEMBER)
    await followed(redemptions)
    assert (await balance(redemptions), await stock(redemptions)) == (1_000, (5, 0, 0))
    assert (await redeemed(redemptions, wish(confirm=False))).status == "expired"
    assert await findings(redemptions) == []


async def test_a_life_from_reserved_to_fulfilled_each_step_once(
    redemptions: Redemptions, clock: TestClock
) -> None:
    await shop(redemptions, 5)
    held = await redeemed(redemptions, wish(confirm=False))
    whose = ("M1", held.redemption_id)
    with pytest.raises(ServiceError, match="not_confirmed"):
        await fulfil(redemptions, *whose, "till")
    clock.now += MINUTE
    for _ in range(2):
        assert (await confirm(redemptions, *whose, MEMBER)).status == "confirmed"
    clock.now += MINUTE
    for by in ("till", "other till"):
        done = await fulfil(redemptions, *whose, by)
    assert (done.status, done.confirmed_at, done.ended_at) == (
        "fulfilled",
        START + MINUTE,
        START + 2 * MINUTE,
    )
    with pytest.raises(AlreadyEnded, match="fulfilled"):
        await cancel(redemptions, *whose, CLERK, "too late")
    assert (await balance(redemptions), await stock(redemptions)) == (200, (4, 0, 1))
    assert len(await entries(redemptions)) == 4


async def test_a_cancelled_redemption_gives_back_points_and_stock_once(
    redemptions: Redemptions,
) -> None:
    await shop(redemptions, 5, 2_000)
    kept = await redeemed(redemptions, wish("k1", quantity=2))
    with pytest.raises(ServiceError, match="ask_the_desk"):
        await cancel(redemptions, "M1", kept.redemption_id, MEMBER, "changed my mind")
    for _ in range(2):
        gone = await cancel(redemptions, "M1", kept.redemption_id, CLERK, "broken")
        assert (gone.status, gone.reason) == ("cancelled", "broken")
    assert (await balance(redemptions), await stock(redemptions)) == (2_000, (5, 0, 0))
    with pytest.raises(AlreadyEnded, match="cancelled"):
        await confirm(redemptions, "M1", kept.redemption_id, MEMBER)
    with pytest.raises(AlreadyEnded, match="cancelled"):
        await fulfil(redemptions, "M1", kept.redemption_id, "till")
    assert await findings(redemptions) == []


async def test_cancelled_points_come_back_with_their_old_expiry_and_the_expired_ones_expired(
    tmp_path: Any, clock: TestClock
) -> None:
    store = open_store(f"sqlite:{tmp_path}", "points")
    lots = (Lots(wallet="base", expiry=Expiry(kind="rolling", days=30)),)
    redemptions = await prepared(redemptions_on(store, clock, lots=lots))
    await shop(redemptions, 5, 0)
    await earned(redemptions, 500, seq=1, at=START)
    clock.now += 20 * DAY
    await earned(redemptions, 500, seq=2, at=clock.now)
    found = await redeemed(redemptions, wish())
    assert await balance(redemptions) == 200
    clock.now += 20 * DAY
    await cancel(redemptions, "M1", found.redemption_id, CLERK, "broken")
    assert await balance(redemptions) == 500
    clock.now += 20 * DAY
    assert await balance(redemptions) == 0
    await store.close()


async def test_what_costs_money_is_confirmed_by_who_takes_the_money(
    redemptions: Redemptions,
) -> None:
    await shop(redemptions, 5, prices=(RewardPrice("base", 300, 500),))
    with pytest.raises(ServiceError, match="payment_needed"):
        await redeem(redemptions, wish())
    assert await balance(redemptions) == 1_000
    held = await redeemed(redemptions, wish(confirm=False, quantity=2))
    assert (held.points, held.money) == (600, 1_000)
    with pytest.raises(ServiceError, match="payment_needed"):
        await confirm(redemptions, "M1", held.redemption_id, MEMBER)
    assert (await confirm(redemptions, "M1", held.redemption_id, CLERK)).status == "confirmed"


async def test_a_price_of_another_wallet_is_paid_from_it_and_an_unknown_one_is_refused(
    redemptions: Redemptions,
) -> None:
    await shop(redemptions, 5)
    with pytest.raises(ServiceError, match="no_such_price"):
        await redeem(redemptions, wish(wallet="miles"))
    assert (await redeemed(redemptions, wish(wallet="base"))).wallet == "base"


async def test_much_at_once_needs_a_second_factor(tmp_path: Any, clock: TestClock) -> None:
    store = open_store(f"sqlite:{tmp_path}", "points")
    fraud = Fraud(step_up_above=1_000, per_device=(Velocity(hours=1, times=2),))
    redemptions = await prepared(redemptions_on(store, clock, fraud=fraud))
    await shop(redemptions, 9, 9_000)
    with pytest.raises(StepUpNeeded):
        await redeem(redemptions, wish(quantity=2))
    proven = Caller("member:M1", stepped_up=True)
    assert (await redeemed(redemptions, wish(quantity=2, caller=proven))).status == "confirmed"
    assert (await redeemed(redemptions, wish("k2"))).status == "confirmed"
    await store.close()


async def test_a_device_is_counted_for_all_members_and_a_retry_counts_once(
    tmp_path: Any, clock: TestClock
) -> None:
    store = open_store(f"sqlite:{tmp_path}", "points")
    fraud = Fraud(per_device=(Velocity(hours=1, times=2),))
    redemptions = await prepared(redemptions_on(store, clock, fraud=fraud))
    await shop(redemptions, 9, 9_000)
    await earned(redemptions, 9_000, "M2")
    for _ in range(3):
        await redeem(redemptions, wish(device_id="phone-01"))
    await redeem(redemptions, wish(member="M2", device_id="phone-01"))
    before = await balance(redemptions)
    with pytest.raises(VelocityExceeded):
        await redeem(redemptions, wish("k2", device_id="phone-01"))
    assert await balance(redemptions) == before
    await redeem(redemptions, wish("k3", device_id="phone-02"))
    clock.now += 60 * MINUTE
    await redeem(redemptions, wish("k2", device_id="phone-01"))
    await store.close()


async def test_how_fast_a_member_redeems_is_limited_by_the_account(
    tmp_path: Any, clock: TestClock
) -> None:
    store = open_store(f"sqlite:{tmp_path}", "points")
    fraud = Fraud(per_member=(Velocity(hours=1, times=1),))
    redemptions = await prepared(redemptions_on(store, clock, fraud=fraud))
    await shop(redemptions, 9, 9_000)
    await redeem(redemptions, wish())
    with pytest.raises(LimitReached):
        await redeem(redemptions, wish("k2"))
    assert await stock(redemptions) == (8, 0, 1)
    await store.close()


async def test_a_donation_fulfils_itself(redemptions: Redemptions) -> None:
    await shop(redemptions, 0, gives="donation", slices=0)
    assert (await redeemed(redemptions, wish())).status == "fulfilled"
    assert (await redeemed(redemptions, wish())).status == "fulfilled"
    assert await balance(redemptions) == 200


class Series:
    """Vouchers of one series: so many, each once for its key."""

    def __init__(self, there_are: int) -> None:
        self.left, self.issued = there_are, dict[str, str]()

    async def __call__(self, series_id: str, member_id: str, key: str) -> None:
        if key in self.issued:
            return
        if not self.left:
            raise ServiceError("refused", "budget_spent", "There are no more")
        self.left -= 1
        self.issued[key] = member_id


async def test_vouchers_are_issued_with_the_redemption_and_without_them_it_is_undone(
    tmp_path: Any, clock: TestClock
) -> None:
    store, series = open_store(f"sqlite:{tmp_path}", "points"), Series(3)
    redemptions = await prepared(redemptions_on(store, clock, series))
    await shop(redemptions, 9, 9_000, gives="voucher", series="ten-off")
    found = await redeemed(redemptions, wish(quantity=2))
    assert found.status == "fulfilled"
    assert series.issued == {f"{found.redemption_id}.{n}": "M1" for n in range(2)}
    with pytest.raises(ServiceError, match="budget_spent"):
        await redeem(redemptions, wish("k2", quantity=2))
    assert await balance(redemptions) == 9_000 - 1_600
    assert await stock(redemptions) == (7, 0, 2)
    assert (await redeemed(redemptions, wish("k2", quantity=2))).status == "cancelled"
    assert await findings(redemptions) == []
    await store.close()


async def test_what_is_not_there_is_not_found(redemptions: Redemptions) -> None:
    await shop(redemptions, 5)
    found = await redeemed(redemptions, wish())
    for whose in (("M1", "rdm_x"), ("M2", found.redemption_id)):
        with pytest.raises(NotKnown):
            await confirm(redemptions, *whose, CLERK)
        with pytest.raises(NotKnown):
            await cancel(redemptions, *whose, CLERK, "x")


async def test_a_new_price_leaves_reservations_as_they_were(redemptions: Redemptions) -> None:
    await shop(redemptions, 5)
    held = await redeemed(redemptions, wish(confirm=False))
    dear = mug(slices=16, prices=(RewardPrice("base", 990),))
    await commands.define(redemptions.rewards, dear)
    await commands.retire(redemptions.rewards, "mug", "broken", "mara")
    assert (await confirm(redemptions, "M1", held.redemption_id, MEMBER)).points == 800
    assert await balance(redemptions) == 200


async def test_the_list_is_newest_first_and_is_rebuilt_from_the_ledger(
    redemptions: Redemptions, clock: TestClock
) -> None:
    await shop(redemptions, 9, 9_000)
    ids = []
    for n in range(5):
        clock.now += MINUTE
        ids.append((await redeemed(redemptions, wish(f"k{n}"))).redemption_id)
    await cancel(redemptions, "M1", ids[1], CLERK, "broken")

    async def listed() -> list[tuple[str, str]]:
        first = await page(redemptions, "M1", 3, None)
        rest = await page(redemptions, "M1", 3, first.next)
        assert rest.next is None
        return [(each.redemption_id, each.status) for each in (*first.items, *rest.items)]

    expected = [(each, "cancelled" if each == ids[1] else "confirmed") for each in reversed(ids)]
    assert await listed() == expected
    assert await rebuild(redemptions) == 5
    assert await listed() == expected
    assert (await page(redemptions, "M2", 3, None)).items == []


async def test_whoever_looks_at_the_list_does_not_wait_for_it_to_be_written(
    redemptions: Redemptions,
) -> None:
    await shop(redemptions, 9, 9_000)
    slowly = replace(redemptions, notes=noting(60.0))
    async with asyncio.timeout(5):
        for n in range(1, 3):
            await redeem(slowly, wish(f"k{n}"))
            assert await redemptions.rewards.views.count(REDEMPTIONS) == {"": n - 1}
            assert len((await page(slowly, "M1", 9, None)).items) == n


async def test_who_follows_the_ledger_writes_the_list(redemptions: Redemptions) -> None:
    await shop(redemptions, 9, 9_000)
    slowly = replace(redemptions, notes=noting(60.0))
    for n in range(3):
        await redeem(slowly, wish(f"k{n}"))
    for _ in range(2):
        await followed(redemptions)
        assert await redemptions.rewards.views.count(REDEMPTIONS) == {"": 3}


async def test_a_retry_is_not_refused_for_what_is_in_the_way_by_now(
    redemptions: Redemptions,
) -> None:
    await shop(redemptions, 5)
    found, _ = await redeem(redemptions, wish())
    await commands.retire(redemptions.rewards, "mug", "gone", "omar")
    assert await redeem(redemptions, wish()) == (found, False)
    with pytest.raises(ServiceError, match="another content"):
        await redeem(redemptions, wish(quantity=2))


async def test_nobody_is_refused_for_what_an_account_was_lately(tills: list[Redemptions]) -> None:
    await shop(tills[0], 5, 0)
    with pytest.raises(ServiceError) as refused:
        await redeem(tills[0], wish("k1"))
    assert refused.value.facts["why_not"][0]["code"] == "points_missing"
    await earned(tills[1], 1_000)
    assert (await redeemed(tills[0], wish("k2"))).status == "confirmed"
    await earned(tills[1], 1_000, seq=2)
    assert (await redeemed(tills[1], wish("k3"))).status == "confirmed"
    with pytest.raises(ServiceError):
        await redeem(tills[0], wish("k4"))
    assert await balance(tills[0]) == 400


async def test_a_key_that_comes_again_with_another_device_counts_on_none(
    tmp_path: Any, clock: TestClock
) -> None:
    limits = Fraud(per_device=(Velocity(hours=24, times=1),))
    store = open_store(f"sqlite:{tmp_path}", "points")
    redemptions = await prepared(redemptions_on(store, clock, fraud=limits))
    await shop(redemptions, 5, 5_000)
    await redeem(redemptions, wish("k1"))
    with pytest.raises(ServiceError, match="another content"):
        await redeem(redemptions, wish("k1", quantity=2, device_id="phone-01"))
    assert (await redeemed(redemptions, wish("k2", device_id="phone-01"))).status == "confirmed"
    await store.close()


async def test_what_another_process_retires_is_refused_within_a_second(
    tills: list[Redemptions],
) -> None:
    await shop(tills[0], 5, 5_000)
    await redeemed(tills[0], wish("k1"))
    await commands.retire(tills[1].rewards, "mug", "gone", "omar")
    tills[0].rewards.read_at["mug"] -= 1.0
    with pytest.raises(ServiceError) as refused:
        await redeem(tills[0], wish("k2"))
    assert refused.value.facts["why_not"][0]["code"] == "retired"
