"""What a return takes back: exactly what was earned, whatever has become of it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.events import Grant, ReturnedLine
from contracts.points import Posting
from kit.clock import DAY
from services.points.domain.earning import Earned, taken_back
from tests.services.points.ledger.book import moment
from tests.services.points.ledger.desk import NOON, Desk, desk

MARCH = moment(2026, 3, 1, 12)


def sums(one: Desk) -> tuple[int, int, int, int]:
    totals = one.account("M1").totals["base"]
    return totals.credited, totals.spent, totals.expired, totals.reversed


def test_a_full_return_takes_back_all_that_was_earned() -> None:
    one = desk()
    bought = one.earn(10)
    one.back(bought, NOON + DAY)
    entry = one.last()
    assert (entry.kind, entry.reverses, entry.reward_seq) == ("return", "act_1", 2)
    assert entry.postings == (
        Posting("issuance/base", "base", 10, "base.never"),
        Posting("member/base", "base", -10, "base.never"),
    )
    assert one.balance() == 0


def test_a_partial_return_takes_its_share_rounded_down_and_the_last_part_the_rest() -> None:
    one = desk()
    bought = one.earn(10)
    one.back(bought, NOON, after=150)
    assert one.balance() == 9
    one.back(bought, NOON, before=150, after=999)
    assert one.balance() == 1
    one.back(bought, NOON, before=999)
    assert one.balance() == 0


def test_a_return_of_one_line_leaves_what_the_others_earned() -> None:
    one = desk()
    bought = one.earn(10, lines=((1, 700, 7), (2, 300, 3)))
    one.lines_back(bought, NOON, [ReturnedLine(2, 300, 0, 300)])
    assert one.balance() == 7


def test_what_every_campaign_and_bonus_gave_for_a_line_goes_back_with_it() -> None:
    one = desk()
    one.seq += 1
    lines = ((1, 700, 7), (2, 300, 3))
    grants = tuple(Grant(name, "base", 10, lines) for name in ("plain", "later", "bonus"))
    bought = one.post(grants, NOON)
    assert one.buckets() == (10, 20, 0)
    one.lines_back(bought, NOON, [ReturnedLine(1, 700, 0, 700)])
    assert one.buckets() == (3, 6, 0)
    one.lines_back(bought, NOON, [ReturnedLine(2, 300, 0, 300)], full=True)
    assert one.buckets() == (0, 0, 0)
    assert one.account("M1").vesting == {}


def test_a_return_that_takes_nothing_makes_no_entry() -> None:
    one = desk()
    bought = one.earn(10)
    assert one.lines_back(bought, NOON, [ReturnedLine(9, 5, 0, 5)]) == []
    assert one.back(bought, NOON, after=10) == []


@pytest.mark.parametrize("policy", ["only_pending", "within_balance", "unlimited"])
def test_what_still_waits_is_taken_under_every_policy(policy: str) -> None:
    one = desk(policy)
    one.earn(10)
    bought = one.earn(8, campaign="later")
    one.back(bought, NOON)
    assert one.buckets() == (10, 0, 0)
    assert one.last().forgiven == {}


@pytest.mark.parametrize(
    ("policy", "balance", "forgiven"),
    [
        ("only_pending", 6, {"base": 10}),
        ("within_balance", 0, {"base": 4}),
        ("unlimited", -4, {}),
    ],
)
def test_what_has_been_spent_is_forgiven_or_owed(
    policy: str, balance: int, forgiven: dict[str, int]
) -> None:
    one = desk(policy)
    bought = one.earn(10)
    one.hold("h", 4, NOON)
    one.capture("h", NOON)
    one.back(bought, NOON + DAY)
    assert one.balance() == balance
    assert one.last().forgiven == forgiven


def test_a_negative_balance_is_filled_by_the_next_earnings() -> None:
    one = desk()
    bought = one.earn(10)
    one.redeem("h", 10, NOON)
    one.back(bought, NOON)
    assert one.balance() == -10
    one.earn(4, campaign="month")
    assert one.balance() == -6
    assert one.account("M1").due == 0
    one.earn(8, campaign="later")
    assert one.buckets() == (-6, 8, 0)
    one.pass_time(NOON + 20 * DAY)
    assert one.buckets() == (2, 0, 0)
    assert {n: lot.left for n, lot in one.account("M1").lots.items() if lot.left} == {
        "base.2026-06-30": 2
    }
    assert sums(one) == (22, 10, 0, 10)


def test_a_negative_balance_can_buy_nothing() -> None:
    one = desk()
    bought = one.earn(10)
    one.redeem("h", 10, NOON)
    one.back(bought, NOON)
    before = one.account("M1")
    with pytest.raises(Exception, match="there are 0"):
        one.hold("i", 1, NOON)
    assert one.account("M1") == before


def test_what_expired_goes_back_before_what_the_member_still_has() -> None:
    one = desk()
    bought = one.earn(10, campaign="month")
    one.earn(20)
    one.pass_time(MARCH)
    assert (one.balance(), sums(one)) == (20, (30, 0, 10, 0))
    one.back(bought, MARCH)
    assert (one.balance(), sums(one)) == (20, (30, 0, 0, 10))


def test_what_expired_in_a_lot_covers_only_what_was_not_spent_of_it() -> None:
    one = desk()
    bought = one.earn(10, campaign="month")
    one.redeem("h", 6, NOON)
    one.earn(20)
    one.back(bought, MARCH)
    assert (one.balance(), sums(one)) == (14, (30, 6, 0, 10))


def test_what_was_forfeited_goes_back_before_what_the_member_still_has() -> None:
    one = desk()
    bought = one.earn(9, campaign="bonus")
    one.earn(20)
    one.pass_time(moment(2026, 3, 20))
    assert one.kinds() == ["earn", "earn", "vest", "forfeit"]
    assert (one.balance(), sums(one)) == (23, (29, 0, 6, 0))
    one.back(bought, moment(2026, 3, 21))
    assert (one.balance(), sums(one)) == (20, (29, 0, 0, 9))


def test_an_expired_lot_is_remembered_for_400_days_and_no_longer() -> None:
    late = moment(2026, 3, 1) + 400 * DAY
    for at, balance in ((late, 20), (late + 1, 10)):
        one = desk()
        bought = one.earn(10, campaign="month")
        one.pass_time(MARCH)
        one.earn(20, at)
        one.back(bought, at)
        assert one.balance() == balance


def test_a_return_after_a_redemption_takes_other_points_in_the_order_of_spending() -> None:
    one = desk()
    bought = one.earn(10, campaign="month")
    one.redeem("h", 10, NOON)
    one.earn(6)
    one.earn(6, campaign="slide")
    one.back(bought, NOON)
    assert {n: lot.left for n, lot in one.account("M1").lots.items()} == {"base.never": 2}


def test_a_return_of_points_that_are_held_is_owed_until_the_hold_ends() -> None:
    one = desk()
    bought = one.earn(10)
    one.hold("h", 10, NOON)
    one.back(bought, NOON)
    assert one.buckets() == (-10, 0, 10)
    one.release("h", NOON)
    assert one.buckets() == (0, 0, 0)


def test_a_return_of_points_given_away_is_owed_by_who_gave_them() -> None:
    one = desk()
    bought = one.earn(10)
    one.send("t", 10, NOON)
    one.receive("t", NOON)
    one.back(bought, NOON)
    assert (one.balance("M1"), one.balance("M2")) == (-10, 10)
    one.end("t", NOON, accepted=True)
    assert one.balance("M1") == -10


def test_a_return_takes_from_the_last_instalments_of_a_bonus() -> None:
    one = desk()
    bought = one.earn(9, campaign="bonus")
    one.back(bought, NOON, after=500)
    assert one.buckets() == (0, 5, 0)
    one.earn(1, NOON + DAY)
    one.earn(1, NOON + 2 * DAY)
    one.pass_time(moment(2026, 2, 20))
    assert one.buckets() == (5, 2, 0)


def test_a_return_before_its_points_could_be_spent_takes_them_as_they_open() -> None:
    one = desk()
    bought = one.earn(10, campaign="await")
    one.back(bought, NOON + DAY, after=400)
    assert one.buckets() == (0, 6, 0)
    one.note("delivered", NOON + 2 * DAY, f"act_{bought}")
    one.back(bought, NOON + 3 * DAY, before=400)
    assert (one.buckets(), sums(one)) == ((0, 0, 0), (10, 0, 0, 10))


def test_a_return_posted_again_takes_nothing() -> None:
    one = desk()
    bought = one.earn(10)
    one.back(bought, NOON, after=500)
    one.seq -= 1
    one.keys.clear()
    assert one.back(bought, NOON, after=500) == []
    assert one.balance() == 5


@given(
    points=st.integers(0, 10**9),
    amount=st.integers(1, 10**12),
    cuts=st.lists(st.integers(0, 10**12), max_size=8),
)
def test_in_however_many_parts_a_line_comes_back_it_gives_what_it_earned(
    points: int, amount: int, cuts: list[int]
) -> None:
    steps = [0, *sorted(min(cut, amount) for cut in cuts), amount]
    earned = Earned((Grant("plain", "base", points, ((1, amount, points),)),))
    parts = [
        sum(n for _, _, n in taken_back(earned, [ReturnedLine(1, amount, before, after)]))
        for before, after in pairwise(steps)
    ]
    assert all(part >= 0 for part in parts)
    assert sum(parts) == points
