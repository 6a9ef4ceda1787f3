"""Redeeming with a household pool's points, over HTTP."""

from typing import Any

import httpx
import pytest

from kit.clock import DAY
from services.points.cards import absorb
from services.points.rewards import commands
from tests.services.points.club import Club, refused
from tests.services.points.rewards.making import card, carded, delivery, mug
from tests.services.points.rewards.redeeming import findings, followed, stock
from tests.services.points.test_pools import family, owner

PRICE = 400
WISH = {"reward_id": "mug"}


async def shop(club: Club, **fields: Any) -> str:
    """A family with 900 points in its pool, and five mugs for 400 each; the pool's path."""
    pool = await family(club)
    price = mug().prices[0]
    cheap = type(price)(price.wallet, PRICE)
    await commands.define(club.wiring.rewards, mug(prices=(cheap,), slices=16, **fields))
    await commands.add_stock(club.wiring.rewards, delivery(5), "first")
    return pool


async def redeem(club: Club, who: str, pool: str, **more: Any) -> httpx.Response:
    key = more.pop("key", None)
    return await club.post(who, f"{pool}/redemptions", {**WISH, **more}, key=key)


async def all_is_well(club: Club) -> None:
    await club.follow()
    await followed(club.wiring.redemptions)
    assert await club.findings() == []
    assert await findings(club.wiring.redemptions) == []


async def test_who_may_spend_redeems_with_the_pools_points_for_themselves(club: Club) -> None:
    pool = await shop(club)
    pool_id = pool.rpartition("/")[2]
    answer = await redeem(club, "M2", pool)
    assert answer.status_code == 201, answer.text
    shown = answer.json()
    assert (shown["member_id"], shown["pool_id"], shown["points"], shown["status"]) == (
        "M2",
        pool_id,
        PRICE,
        "confirmed",
    )
    assert (await club.balance(owner(pool)), await club.balance("M2")) == (500, 0)
    assert await stock(club.wiring.redemptions) == (4, 0, 1)
    for who in ("M1", "M3", "agent", "partner"):
        listed = await club.get(who, f"{pool}/redemptions")
        assert listed == {"pool_id": pool_id, "items": [shown]}
        assert await club.get(who, f"{pool}/redemptions/{shown['redemption_id']}") == shown
    assert (await club.get("M2", "/v1/members/M2/redemptions"))["items"] == []
    await all_is_well(club)


@pytest.mark.parametrize(
    ("who", "code"),
    [
        ("M3", "pool_role_missing"),
        ("M4", "not_in_pool"),
        ("agent", "role_missing"),
        ("operator", "role_missing"),
    ],
)
async def test_nobody_else_redeems_with_them(club: Club, who: str, code: str) -> None:
    pool = await shop(club)
    answer = await redeem(club, who, pool)
    assert refused(answer) == (403, code)
    if who == "M4":
        assert refused(await club.ask(who, "GET", f"{pool}/redemptions", key="")) == (403, code)
    assert await club.balance(owner(pool)) == 900
    assert await stock(club.wiring.redemptions) == (5, 0, 0)


async def test_a_request_counts_once_and_members_do_not_share_their_keys(club: Club) -> None:
    pool = await shop(club)
    first, again = [await redeem(club, "M2", pool, key="k") for _ in range(2)]
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    other = await redeem(club, "M1", pool, key="k")
    assert (other.status_code, other.json()["member_id"]) == (201, "M1")
    assert await club.balance(owner(pool)) == 100
    assert refused(await redeem(club, "M2", pool, key="k", quantity=2)) == (
        409,
        "idempotency_key_reused",
    )
    await all_is_well(club)


async def test_a_retry_gets_its_answer_after_the_asker_has_left(club: Club) -> None:
    pool = await shop(club)
    first = await redeem(club, "M2", pool, key="k")
    await club.post("M2", f"{pool}/members/M2:leave")
    again = await redeem(club, "M2", pool, key="k")
    assert (again.status_code, again.json()) == (200, first.json())
    assert refused(await redeem(club, "M2", pool)) == (403, "not_in_pool")


async def test_too_few_points_are_said_of_the_pool(club: Club) -> None:
    pool = await shop(club)
    await club.earn("M2", 5_000)
    answer = await redeem(club, "M2", pool, quantity=3)
    assert refused(answer) == (409, "points_missing")
    assert answer.json()["why_not"][0]["facts"] == {
        "wallet": "base",
        "needed": 1_200,
        "available": 900,
        "missing": 300,
    }


async def test_what_is_limited_for_each_member_is_not_to_be_had_from_a_pool(club: Club) -> None:
    pool = await shop(club, member_limit=2)
    answer = await redeem(club, "M2", pool)
    assert refused(answer) == (409, "not_from_pools")
    assert [each["code"] for each in answer.json()["why_not"]] == ["not_from_pools"]
    await club.earn("M2", PRICE)
    mine = await club.post("M2", "/v1/members/M2/redemptions", WISH)
    assert mine.status_code == 201


async def test_the_askers_own_card_says_whether_they_may(club: Club) -> None:
    pool = await shop(club, eligibility='member.tier == "gold"')
    assert refused(await redeem(club, "M2", pool)) == (409, "no_card")
    cards = [carded(1, card("M1", "gold")), carded(1, card("M2"))]
    await absorb(club.wiring.rewards.views, cards)
    assert refused(await redeem(club, "M2", pool)) == (409, "not_eligible")
    assert (await redeem(club, "M1", pool)).status_code == 201


async def test_a_taken_over_account_does_not_reach_the_pool_for_a_day(club: Club) -> None:
    pool = await shop(club)
    first = await redeem(club, "M2", pool, key="k")
    await club.change_contact("M2")
    assert refused(await redeem(club, "M2", pool)) == (409, "cooling_off")
    assert (await redeem(club, "M2", pool, key="k")).json() == first.json()
    assert (await redeem(club, "M1", pool)).status_code == 201


async def test_a_reservation_is_confirmed_by_who_may_spend_and_cancelled_into_the_pool(
    club: Club,
) -> None:
    pool = await shop(club)
    held = await redeem(club, "M2", pool, confirm=False)
    path = f"{pool}/redemptions/{held.json()['redemption_id']}"
    reason = {"reason": "Changed our minds"}
    assert (await club.balance(owner(pool)), held.json()["status"]) == (500, "reserved")
    for who, code in (("M3", "pool_role_missing"), ("M4", "not_in_pool")):
        assert refused(await club.post(who, f"{path}:confirm")) == (403, code)
        assert refused(await club.post(who, f"{path}:cancel", reason)) == (403, code)
    assert (await club.post("M1", f"{path}:confirm")).json()["status"] == "confirmed"
    assert refused(await club.post("M1", f"{path}:cancel", reason)) == (403, "ask_the_desk")
    assert refused(await club.post("M1", f"{path}:fulfil")) == (403, "role_missing")
    cancelled = await club.post("agent", f"{path}:cancel", reason)
    assert (cancelled.json()["status"], cancelled.json()["member_id"]) == ("cancelled", "M2")
    assert await club.balance(owner(pool)) == 900
    assert await stock(club.wiring.redemptions) == (5, 0, 0)
    await all_is_well(club)


async def test_who_has_left_confirms_nothing_any_more_not_by_a_retry_either(club: Club) -> None:
    pool = await shop(club)
    held = await redeem(club, "M2", pool, key="k", confirm=False)
    await club.post("M2", f"{pool}/members/M2:leave")
    assert (await redeem(club, "M2", pool, key="k", confirm=False)).json() == held.json()
    assert refused(await redeem(club, "M2", pool, key="k")) == (403, "not_in_pool")
    listed = await club.get("M1", f"{pool}/redemptions")
    assert [each["status"] for each in listed["items"]] == ["reserved"]


async def test_a_till_hands_over_what_a_pool_paid_for(club: Club) -> None:
    pool = await shop(club)
    made = (await redeem(club, "M2", pool)).json()
    path = f"{pool}/redemptions/{made['redemption_id']}"
    assert (await club.post("partner", f"{path}:fulfil")).json()["status"] == "fulfilled"
    late = await club.post("agent", f"{path}:cancel", {"reason": "x"})
    assert refused(late) == (409, "redemption_ended")


async def test_a_voucher_is_for_who_redeemed_it(club: Club) -> None:
    pool = await shop(club)
    series: dict[str, Any] = {"name": "Ten off", "kind": "value", "amount": 1_000, "valid_days": 90}
    series["most_vouchers"] = 10
    made = await club.ask("marketer", "PUT", "/v1/voucher-series/ten-off", series)
    assert made.is_success, made.text
    voucher = mug(reward_id="ten-off", gives="voucher", series="ten-off")
    await commands.define(club.wiring.rewards, voucher)
    answer = await redeem(club, "M2", pool, reward_id="ten-off")
    assert (answer.status_code, answer.json()["status"]) == (201, "fulfilled")
    (given,) = (await club.get("M2", "/v1/members/M2/vouchers"))["items"]
    assert given["series_id"] == "ten-off"
    await all_is_well(club)


async def test_the_last_one_stays_while_points_may_come_back_to_the_pool(club: Club) -> None:
    pool = await shop(club)
    made = (await redeem(club, "M1", pool)).json()
    for member in ("M2", "M3"):
        await club.post(member, f"{pool}/members/{member}:leave")
    await club.follow()
    leave = f"{pool}/members/M1:leave"
    busy = await club.post("M1", leave)
    assert (*refused(busy), busy.json()["limit"]) == (409, "limit_reached", "pool_busy")
    path = f"{pool}/redemptions/{made['redemption_id']}"
    await club.post("partner", f"{path}:fulfil")
    assert (await club.post("M1", leave)).status_code == 200
    await all_is_well(club)


async def test_much_asks_for_a_second_factor_and_time_is_now(club: Club) -> None:
    pool = await shop(club)
    await club.earn("M1", 2_000)
    club.clock.now += DAY  # two have put points in today
    await club.post("M1+", f"{pool}/contributions", {"points": 2_000})
    await club.follow()
    assert refused(await redeem(club, "M2", pool, quantity=3)) == (403, "step_up_needed")
    assert (await redeem(club, "M2+", pool, quantity=3)).status_code == 201
    past = await redeem(club, "M2", pool, occurred_at="2025-12-01T00:00:00Z")
    assert refused(past) == (403, "time_not_allowed")
