"""Versions of a reward: defined, replaced, retired; and what stands between a member and one."""

import asyncio

import pytest

from contracts.catalogue import EarlyAccess, PeriodLimit, RewardPrice
from kit.clock import DAY, SECOND
from kit.errors import ServiceError
from services.points.domain.account import Redeemed
from services.points.domain.catalogue import Candidate, Reason, Reward, phase, reasons
from services.points.rewards import commands, queries
from services.points.rewards.wiring import Rewards
from tests.services.points.rewards.making import facts, mug, stocked
from tests.services.starting import START, TestClock

RICH = Candidate("member", {"base": 10_000})
HOUR = 3_600 * SECOND


def why(reward: Reward, who: Candidate = RICH, now: int = START, quantity: int = 1) -> list[Reason]:
    return reasons(reward, who, now, quantity)


def only(found: list[Reason]) -> tuple[str, str, dict[str, int | str]]:
    (reason,) = found
    return reason.code, reason.words["en"], dict(reason.facts)


async def test_a_version_is_made_once_however_often_it_is_saved(rewards: Rewards) -> None:
    saved = [await commands.define(rewards, mug()) for _ in range(3)]
    assert [one.changed for one in saved] == [True, False, False]
    assert [one.reward.revision for one in saved] == [1, 1, 1]
    again = await commands.define(rewards, mug(prices=(RewardPrice("base", 900),), by="ben"))
    assert (again.changed, again.reward.revision) == (True, 2)
    back = await commands.define(rewards, mug())
    assert (back.changed, back.reward.revision) == (True, 3)
    assert len(await facts(rewards, "RewardDefined")) == 3


async def test_of_two_who_change_the_same_revision_one_is_told(several: list[Rewards]) -> None:
    for name in (f"mug{n}" for n in range(10)):
        await commands.define(several[0], mug(reward_id=name))
        changed = [mug(reward_id=name, prices=(RewardPrice("base", 900 + n),)) for n in range(2)]
        ends = await asyncio.gather(
            *(commands.define(several[n], changed[n], replaces=1) for n in range(2)),
            return_exceptions=True,
        )
        (refused,) = [end for end in ends if isinstance(end, ServiceError)]
        assert (refused.code, refused.facts) == ("revision_conflict", {"revision": 2})
        assert (await queries.reward(several[0], name)).revision == 2


async def test_of_two_who_change_it_at_once_without_looking_both_are_kept(
    several: list[Rewards],
) -> None:
    await commands.define(several[0], mug())
    changed = [mug(prices=(RewardPrice("base", 900 + n),)) for n in range(8)]
    saved = await asyncio.gather(*(commands.define(several[n % 2], changed[n]) for n in range(8)))
    assert {one.changed for one in saved} == {True}
    assert len(await facts(several[0], "RewardDefined")) == 9
    assert (await queries.reward(several[1], "mug")).revision == 9


async def test_a_retired_reward_stays_retired(rewards: Rewards) -> None:
    await commands.define(rewards, mug())
    saved = [await commands.retire(rewards, "mug", "broken", "mara") for _ in range(2)]
    assert [one.changed for one in saved] == [True, False]
    with pytest.raises(ServiceError, match="reward_retired"):
        await commands.define(rewards, mug(prices=(RewardPrice("base", 900),)))
    assert only(why(await queries.reward(rewards, "mug"))) == (
        "retired",
        "It is offered no more.",
        {},
    )
    assert len(await facts(rewards)) == 2


async def test_what_is_not_there_cannot_be_retired_or_stocked(rewards: Rewards) -> None:
    with pytest.raises(ServiceError, match="no_such_reward"):
        await commands.retire(rewards, "mug", "broken", "mara")
    assert await facts(rewards) == []


async def test_the_slices_of_a_stock_stay_what_they_were(rewards: Rewards) -> None:
    await stocked(rewards, 5)
    with pytest.raises(ServiceError, match="stock_fixed"):
        await commands.define(rewards, mug(slices=8))
    assert (await queries.reward(rewards, "mug")).revision == 1


async def test_every_mistake_in_a_version_is_named_with_its_field_and_fix(rewards: Rewards) -> None:
    wrong = mug(
        prices=(RewardPrice("bsae", 1), RewardPrice("tier", 1)),
        early_access=(EarlyAccess("platinum", 1),),
        eligibility='member.teir == "gold"',
    )
    with pytest.raises(ServiceError) as refused:
        await commands.define(rewards, wrong)
    assert refused.value.facts["errors"] == [
        {
            "field": "prices[0].wallet",
            "message": "'bsae' is no wallet that points are spent from",
            "fix": "Did you mean 'base'?",
        },
        {
            "field": "prices[1].wallet",
            "message": "'tier' is no wallet that points are spent from",
            "fix": "Use one of base.",
        },
        {
            "field": "early_access[0].tier",
            "message": "'platinum' is no tier of the programme",
            "fix": "Use one of member, silver, gold.",
        },
        {
            "field": "eligibility",
            "message": "Unknown field 'member.teir'. Did you mean 'member.tier'?",
            "fix": 'Write a rule on the member card, e.g. member.tier == "gold".',
        },
    ]
    assert await facts(rewards) == []


def test_early_access_opens_for_its_tier_alone() -> None:
    reward = Reward(mug(early_access=(EarlyAccess("gold", 48),)))
    before = START - 48 * HOUR
    assert phase(reward, before, "gold") == "live"
    assert phase(reward, before - 1, "gold") == "upcoming"
    assert phase(reward, START - 1, "silver") == "upcoming"
    assert phase(reward, START, "silver") == "live"
    assert only(why(reward, now=before)) == (
        "not_yet",
        "You may redeem it from 2026-01-01T00:00:00Z.",
        {"at": "2026-01-01T00:00:00Z"},
    )


def test_it_ends_at_its_end() -> None:
    reward = Reward(mug(valid_until=START + DAY))
    assert why(reward, now=START + DAY - 1) == []
    assert only(why(reward, now=START + DAY))[:2] == (
        "ended",
        "It could be redeemed until 2026-01-02T00:00:00Z.",
    )


def test_points_missing_names_the_price_that_lacks_least() -> None:
    reward = Reward(mug(prices=(RewardPrice("base", 800), RewardPrice("miles", 500, 200))))
    poor = Candidate("member", {"base": 100, "miles": 450})
    assert only(why(reward, poor)) == (
        "points_missing",
        "50 more points are needed.",
        {"wallet": "miles", "needed": 500, "available": 450, "missing": 50},
    )
    assert why(reward, Candidate("member", {"base": 800})) == []
    assert only(why(reward, Candidate("member", {"base": 1_599}), quantity=2))[2]["missing"] == 1


def test_who_is_below_zero_lacks_the_whole_price() -> None:
    assert only(why(Reward(mug()), Candidate("member", {"base": -50})))[2]["missing"] == 800


def test_the_limit_for_each_member_counts_what_they_have_had() -> None:
    reward = Reward(mug(member_limit=3))
    two = Candidate("member", {"base": 10_000}, Redeemed(2, (("r1", START - DAY, 2),)))
    assert why(reward, two) == []
    assert only(why(reward, two, quantity=2)) == (
        "member_limit",
        "At most 3 for each member; you have had 2.",
        {"limit": 3, "used": 2},
    )


def test_the_limit_for_a_period_says_when_it_is_possible_again() -> None:
    reward = Reward(mug(period_limit=PeriodLimit(2, 30)))
    had = Redeemed(3, (("r0", START - 30 * DAY, 1), ("r1", START - 20 * DAY, 1), ("r2", START, 1)))
    who = Candidate("member", {"base": 10_000}, had)
    assert only(why(reward, who, now=START + 1)) == (
        "period_limit",
        "At most 2 within 30 days; you have had 2. Possible again from 2026-01-11T00:00:00Z.",
        {"limit": 2, "days": 30, "used": 2, "at": "2026-01-11T00:00:00Z"},
    )
    assert why(reward, who, now=START + 10 * DAY) == []
    assert "at" not in only(why(reward, who, now=START + 1, quantity=3))[2]


def test_what_is_left_is_told_when_it_is_too_little() -> None:
    reward = Reward(mug(slices=16))
    few = Candidate("member", {"base": 10_000}, left=1)
    assert why(reward, few) == []
    assert only(why(reward, few, quantity=2))[1] == "Only 1 are left."
    assert only(why(reward, Candidate("member", {"base": 800}, left=0)))[1] == "It is sold out."


def test_without_a_card_a_rule_is_not_judged_and_says_so() -> None:
    reward = Reward(mug(eligibility='member.tier == "gold"'))
    assert only(why(reward, Candidate(None, {"base": 800})))[0] == "no_card"
    assert why(Reward(mug()), Candidate(None, {"base": 800})) == []


async def test_a_list_is_of_the_rewards_as_they_are_now(
    several: list[Rewards], clock: TestClock
) -> None:
    for name in ("a", "b", "c"):
        await commands.define(several[0], mug(reward_id=name))
    await commands.define(several[0], mug(reward_id="d", valid_from=START + DAY))
    page = await queries.page(several[1], ("live",), 2, None, None)
    assert [one.reward.defined.reward_id for one in page.items if one.reward.defined] == ["a", "b"]
    await commands.retire(several[0], "c", "broken", "mara")
    rest = await queries.page(several[1], ("live",), 2, page.next, None)
    assert (rest.items, rest.next) == ([], None)
    clock.now = START + DAY
    assert len((await queries.page(several[1], ("live",), 9, None, None)).items) == 3
