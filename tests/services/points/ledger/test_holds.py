"""Holds end once; redemptions are confirmed, then fulfilled or cancelled."""

import pytest

from contracts.points import Posting
from kit.clock import DAY, from_micros
from services.points.domain.advancing import Advance
from services.points.domain.deciding import ChangeContact
from services.points.domain.errors import (
    AmountOutOfBounds,
    CoolingOff,
    InsufficientPoints,
    LimitReached,
    NotKnown,
)
from services.points.domain.holding import Capture, Fulfil, Release, RewardLimits, Velocity
from tests.services.points.ledger.book import HOUR, moment
from tests.services.points.ledger.desk import NOON, Desk, desk


def rich() -> Desk:
    """30 points: 10 until the end of February, 20 for ever."""
    one = desk()
    one.earn(10, campaign="month")
    one.earn(20)
    return one


def test_what_is_held_is_not_spent_and_cannot_be_spent_again() -> None:
    one = rich()
    one.hold("h", 25, NOON)
    assert one.buckets() == (5, 0, 25)
    with pytest.raises(InsufficientPoints) as refused:
        one.hold("i", 6, NOON)
    assert refused.value.facts == {"wallet": "base", "needed": 6, "available": 5}
    assert one.buckets() == (5, 0, 25)


@pytest.mark.parametrize("points", [0, -1, 2**53])
def test_an_amount_must_be_from_1_to_below_2_to_the_53(points: int) -> None:
    one = rich()
    before = one.account("M1")
    with pytest.raises(AmountOutOfBounds):
        one.hold("h", points, NOON)
    with pytest.raises(AmountOutOfBounds):
        one.send("t", points, NOON)
    assert one.account("M1") == before


def test_a_capture_takes_what_is_held() -> None:
    one = rich()
    one.hold("h", 12, NOON)
    one.capture("h", NOON + 1)
    assert one.last().postings == (
        Posting("redemption/base", "base", 10, "base.2026-02-28"),
        Posting("held/base", "base", -10, "base.2026-02-28"),
        Posting("redemption/base", "base", 2, "base.never"),
        Posting("held/base", "base", -2, "base.never"),
    )
    assert one.buckets() == (18, 0, 0)


def test_a_part_capture_gives_back_what_expires_last() -> None:
    one = rich()
    one.hold("h", 15, NOON)
    one.capture("h", NOON, points=4)
    left = {name: lot.left for name, lot in one.account("M1").lots.items()}
    assert left == {"base.2026-02-28": 6, "base.never": 20}


@pytest.mark.parametrize("points", [0, -1, 16])
def test_a_capture_takes_no_more_than_is_held(points: int) -> None:
    one = rich()
    one.hold("h", 15, NOON)
    with pytest.raises(AmountOutOfBounds):
        one.capture("h", NOON, points)
    assert one.buckets() == (15, 0, 15)


def test_a_hold_ends_once() -> None:
    one = rich()
    one.hold("h", 15, NOON)
    one.capture("h", NOON)
    for again in (one.capture, one.release):
        with pytest.raises(NotKnown):
            again("h", NOON)
    one.hold("i", 5, NOON)
    one.release("i", NOON)
    with pytest.raises(NotKnown):
        one.capture("i", NOON)
    assert one.buckets() == (15, 0, 0)


def test_a_capture_and_a_release_bear_the_same_key_so_that_only_one_is_kept() -> None:
    one = rich()
    one.hold("h", 15, NOON)
    endings = [
        Capture("M1", "h", NOON, "till"),
        Release("M1", "h", NOON, "till"),
        Advance("M1", NOON + HOUR),
    ]
    assert {one.decide(command)[-1].key for command in endings} == {"hold-end:h"}


def test_a_hold_times_out_at_its_moment_even_when_it_is_being_captured() -> None:
    one = rich()
    one.hold("h", 15, NOON, until=NOON + HOUR)
    one.hold("i", 5, NOON, until=NOON + HOUR)
    one.capture("i", NOON + HOUR - 1)
    with pytest.raises(NotKnown):
        one.capture("h", NOON + HOUR)
    (step,) = one.pass_time(NOON + HOUR)
    assert (step.key, step.at) == ("hold-end:h", NOON + HOUR)
    assert one.last().reason == "timed_out"
    assert one.buckets() == (25, 0, 0)


def test_what_a_hold_gives_back_after_its_expiry_comes_back_expired() -> None:
    one = rich()
    one.hold("h", 15, moment(2026, 2, 28, 12), until=moment(2026, 3, 2))
    assert one.pass_time(moment(2026, 3, 1)) == []
    one.release("h", moment(2026, 3, 1, 1))
    assert one.last().postings[:4] == (
        Posting("member/base", "base", 10, "base.2026-02-28"),
        Posting("held/base", "base", -10, "base.2026-02-28"),
        Posting("breakage/base", "base", 10, "base.2026-02-28"),
        Posting("member/base", "base", -10, "base.2026-02-28"),
    )
    assert one.buckets() == (20, 0, 0)


def test_what_was_held_in_time_is_captured_after_its_lot_expired() -> None:
    one = rich()
    one.hold("h", 10, moment(2026, 2, 28, 12), until=moment(2026, 3, 2))
    one.capture("h", moment(2026, 3, 1, 1))
    assert one.buckets() == (20, 0, 0)
    assert one.account("M1").totals["base"].expired == 0


def test_a_hold_that_ends_with_its_lot_gives_the_points_back_before_they_expire() -> None:
    one = rich()
    midnight = moment(2026, 3, 1)
    one.hold("h", 10, moment(2026, 2, 28, 12), until=midnight)
    one.pass_time(midnight)
    assert one.kinds()[-1] == "release"
    assert one.buckets() == (20, 0, 0)


def test_a_clock_that_was_set_back_does_not_shorten_a_hold() -> None:
    one = rich()
    one.pass_time(moment(2026, 3, 1))
    one.hold("h", 5, NOON, until=NOON + HOUR)
    assert one.account("M1").holds["h"].until == moment(2026, 3, 1) + HOUR
    one.capture("h", NOON + HOUR)
    assert one.buckets() == (15, 0, 0)


def test_at_most_50_holds_are_open() -> None:
    one = desk()
    one.earn(100)
    for number in range(50):
        one.hold(f"h{number}", 1, NOON)
    with pytest.raises(LimitReached):
        one.hold("more", 1, NOON)
    one.release("h7", NOON)
    one.hold("more", 1, NOON)


def test_a_cancelled_redemption_gives_points_back_with_their_old_expiry() -> None:
    one = rich()
    one.redeem("r", 15, NOON)
    one.cancel("r", NOON + DAY)
    left = {name: (lot.left, lot.expires) for name, lot in one.account("M1").lots.items()}
    assert left == {"base.2026-02-28": (10, moment(2026, 3, 1)), "base.never": (20, 0)}


def test_points_that_expired_meanwhile_come_back_expired() -> None:
    one = rich()
    one.redeem("r", 15, NOON)
    one.cancel("r", moment(2026, 3, 1))
    assert one.buckets() == (20, 0, 0)
    totals = one.account("M1").totals["base"]
    assert (totals.spent, totals.expired) == (0, 10)


def test_a_cancelled_redemption_fills_a_negative_balance_but_not_with_expired_points() -> None:
    one = desk()
    bought = one.earn(10, campaign="month")
    one.earn(3)
    one.redeem("r", 13, NOON)
    one.back(bought, NOON)
    assert one.balance() == -10
    one.cancel("r", moment(2026, 3, 1))
    assert one.balance() == -7


def test_a_redemption_ends_once() -> None:
    one = rich()
    one.redeem("r", 5, NOON)
    one.redeem("s", 5, NOON)
    one.do(Fulfil("M1", "r", NOON, "shop"))
    one.cancel("s", NOON)
    for name in ("r", "s"):
        with pytest.raises(NotKnown):
            one.cancel(name, NOON)
        with pytest.raises(NotKnown):
            one.do(Fulfil("M1", name, NOON, "shop"))
    assert one.balance() == 25


def test_limits_of_a_reward_count_what_is_held_and_forget_what_is_given_back() -> None:
    one = rich()
    limits = RewardLimits(most=3, per_period=2, days=7)
    one.redeem("a", 1, NOON, limits=limits)
    one.hold("b", 1, NOON, reward_id="cup", limits=limits)
    with pytest.raises(LimitReached) as refused:
        one.hold("c", 1, NOON, reward_id="cup", limits=limits)
    assert refused.value.facts["again_at"] == from_micros(NOON + 7 * DAY)
    one.release("b", NOON)
    one.redeem("c", 1, NOON, limits=limits)
    one.cancel("a", NOON)
    one.redeem("d", 1, NOON, limits=limits)
    one.redeem("e", 1, NOON + 7 * DAY, limits=limits)
    with pytest.raises(LimitReached) as refused:
        one.hold("f", 1, NOON + 30 * DAY, reward_id="cup", limits=limits)
    assert refused.value.facts["limit"] == "per_member"


def test_points_leave_an_account_only_so_fast() -> None:
    one = rich()
    limits = (Velocity(DAY, points=12, times=3),)
    one.hold("a", 5, NOON, velocity=limits)
    one.send("t", 5, NOON + HOUR, velocity=limits)
    with pytest.raises(LimitReached) as refused:
        one.hold("b", 3, NOON + 2 * HOUR, velocity=limits)
    assert refused.value.facts == {
        "limit": "velocity_points",
        "allowed": 2,
        "again_at": from_micros(NOON + DAY),
    }
    one.hold("b", 2, NOON + 2 * HOUR, velocity=limits)
    with pytest.raises(LimitReached) as refused:
        one.hold("c", 1, NOON + 3 * HOUR, velocity=(Velocity(DAY, times=3),))
    assert refused.value.facts["limit"] == "velocity_times"
    one.hold("c", 5, NOON + DAY, velocity=limits)


def test_points_stay_for_a_while_after_contact_details_changed() -> None:
    one = rich()
    one.do(ChangeContact("M1", 4, NOON))
    with pytest.raises(CoolingOff) as refused:
        one.hold("h", 5, NOON + HOUR, cooling=DAY)
    assert refused.value.facts == {"until": from_micros(NOON + DAY)}
    one.hold("h", 5, NOON + DAY, cooling=DAY)


def test_a_change_of_contact_details_lets_time_pass_first() -> None:
    one = rich()
    steps = one.do(ChangeContact("M1", 4, moment(2026, 3, 5)))
    assert [(s.fact.kind, s.at) for s in steps] == [
        ("expire", moment(2026, 3, 1)),
        ("contact_changed", moment(2026, 3, 5)),
    ]
    assert one.do(ChangeContact("M1", 3, NOON)) == []
