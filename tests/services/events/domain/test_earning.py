"""Points are exact, and their shares sum to them."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.events import (
    ActivityRecorded,
    AsOf,
    Considered,
    Grant,
    PurchaseLine,
    ReturnedPurchase,
    ReturnMatched,
    RewardGranted,
    RewardReturned,
    RewardWithheld,
)
from services.events.domain.earning import Award, Campaign, Rate, decide, decide_return, shares

CENT = Rate.exact(Fraction(1, 100))
GOLD = Rate.exact(Fraction(3, 200))
AS_OF = AsOf("gold", "loyalty", None, 4)


def basket(*amounts: int) -> ActivityRecorded:
    lines = tuple(PurchaseLine(n, amount) for n, amount in enumerate(amounts, 1))
    return ActivityRecorded("act_p", "M1", "pos", "1", "purchase", "store", sum(amounts), lines)


def campaign(failed: str | None = None, *, floor: bool = False) -> Campaign:
    awards = (Award("base", CENT, {"gold": GOLD}), Award("tier", CENT, {}))
    return Campaign("base", awards, lambda _: failed, floor)


@pytest.mark.parametrize(
    ("amount", "half_up", "floor"), [(0, 0, 0), (49, 0, 0), (50, 1, 0), (149, 1, 1), (150, 2, 1)]
)
def test_halves_are_rounded_up_or_fractions_dropped(amount: int, half_up: int, floor: int) -> None:
    assert (CENT.half_up(amount), CENT.floor(amount)) == (half_up, floor)


def test_a_purchase_earns_by_tier_in_one_wallet_and_flat_in_the_other() -> None:
    decision = decide(basket(1000, 333), [campaign()], None, AS_OF, "r1")
    assert decision == RewardGranted(
        "act_p",
        "M1",
        "r1",
        AS_OF,
        (Considered("base", True),),
        (
            Grant("base", "base", 20, ((1, 1000, 15), (2, 333, 5))),
            Grant("base", "tier", 13, ((1, 1000, 10), (2, 333, 3))),
        ),
    )


def test_a_campaign_may_drop_fractions() -> None:
    decision = decide(basket(199), [campaign(floor=True)], None, AS_OF, "r1")
    assert isinstance(decision, RewardGranted)
    assert [grant.points for grant in decision.grants] == [2, 1]


def test_a_condition_that_fails_is_named() -> None:
    decision = decide(basket(100), [campaign("activity.amount > 5")], None, AS_OF, "r1")
    considered = (Considered("base", False, "activity.amount > 5"),)
    assert decision == RewardWithheld("act_p", "M1", "r1", AS_OF, considered, "no campaign matched")


def test_an_amount_too_small_for_a_point_earns_nothing() -> None:
    decision = decide(basket(30), [campaign()], None, AS_OF, "r1")
    assert isinstance(decision, RewardWithheld)
    assert decision.reason == "too small to earn a point"


def test_an_activity_that_no_campaign_concerns_earns_nothing() -> None:
    decision = decide(basket(), [], None, AS_OF, "r1")
    assert decision == RewardWithheld(
        "act_p", "M1", "r1", AS_OF, (), "no campaign concerns this kind of activity"
    )


def test_a_matched_return_is_passed_on_and_an_unmatched_one_withheld() -> None:
    returned = ReturnedPurchase("act_p", 1, 5, 100, True, ())
    assert decide_return(ReturnMatched("act_r", "M1", returned), "r1") == RewardReturned(
        "act_r", "M1", returned
    )
    waiting = ActivityRecorded("act_r", "M1", "pos", "2", "return", "store")
    assert decide_return(waiting, "r1") == RewardWithheld(
        "act_r", "M1", "r1", AsOf("", ""), (), "return waits for its purchase"
    )


def test_what_is_left_over_goes_to_the_largest_remainders_then_to_earlier_lines() -> None:
    lines = basket(100, 100, 100, 50).lines
    assert shares(lines, 350, 4) == ((1, 100, 1), (2, 100, 1), (3, 100, 1), (4, 50, 1))
    assert shares(lines, 350, 2) == ((1, 100, 1), (2, 100, 1), (3, 100, 0), (4, 50, 0))


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=40), st.integers(0, 10**9))
def test_shares_sum_to_the_points_and_are_fair_to_a_point(amounts: list[int], points: int) -> None:
    total = sum(amounts)
    if total == 0:
        return
    shared = shares(basket(*amounts).lines, total, points)
    assert sum(share for _, _, share in shared) == points
    for _, amount, share in shared:
        assert abs(Fraction(points * amount, total) - share) < 1
