"""A bonus unlocks in instalments while a condition holds, and forfeits the rest.

A period counts when it saw a purchase, or two activities (book.policy).
"""

from kit.clock import DAY
from services.points.domain.terms import Expiry, LotRule, VestingRule
from tests.services.points.ledger.book import moment
from tests.services.points.ledger.desk import NOON, Desk, ruled

FIRST, SECOND, THIRD = (moment(2026, month, 20) for month in (2, 3, 4))


def bonus() -> Desk:
    """10 points in three instalments, good until the end of 2027."""
    expiry = Expiry("rolling", 12, rounded_to="year")
    one = ruled(LotRule(expiry=expiry, vesting=VestingRule("loyal", 3, months=1)))
    one.earn(10)
    return one


def visit(one: Desk, at: int) -> None:
    one.note("visit", at)
    one.note("visit", at + 1)


def test_the_schedule_is_known_from_the_start() -> None:
    (vesting,) = bonus().account("M1").vesting.values()
    assert [tuple(each) for each in ((i.due, i.points) for i in vesting.instalments)] == [
        (FIRST, 4),
        (SECOND, 3),
        (THIRD, 3),
    ]


def test_the_purchase_that_earned_a_bonus_is_no_step_of_it() -> None:
    one = bonus()
    (vesting,) = one.account("M1").vesting.values()
    assert (vesting.purchases, vesting.activities) == (0, 0)
    one.pass_time(FIRST)
    assert one.kinds() == ["earn", "forfeit"]
    assert one.buckets() == (0, 0, 0)


def test_each_period_is_judged_by_itself() -> None:
    one = bonus()
    visit(one, NOON + DAY)
    one.pass_time(FIRST)
    assert one.buckets() == (4, 6, 0)
    visit(one, FIRST)
    one.pass_time(SECOND)
    assert one.buckets() == (7, 3, 0)
    one.note("visit", SECOND)
    one.pass_time(THIRD)
    assert one.buckets() == (7, 0, 0)
    assert one.account("M1").vesting == {}
    totals = one.account("M1").totals["base"]
    assert (totals.credited, totals.expired) == (10, 3)


def test_a_condition_that_always_holds_unlocks_everything() -> None:
    one = bonus()
    for begins in (NOON + DAY, FIRST, SECOND):
        visit(one, begins)
    one.pass_time(THIRD)
    assert one.buckets() == (10, 0, 0)
    assert one.account("M1").lots["base.2027-12-31"].left == 10


def test_a_return_takes_the_purchase_out_of_its_period() -> None:
    one = bonus()
    one.policy = one.policy.__class__(one.policy.lots, "unlimited", lambda rule, v: v.purchases > 0)
    bought = one.earn(3, NOON + DAY)
    one.back(bought, NOON + 2 * DAY)
    one.pass_time(FIRST)
    assert one.kinds()[-1] == "forfeit"
    assert one.balance() == 0


def test_a_partial_return_does_not() -> None:
    one = bonus()
    one.policy = one.policy.__class__(one.policy.lots, "unlimited", lambda rule, v: v.purchases > 0)
    bought = one.earn(3, NOON + DAY)
    one.back(bought, NOON + 2 * DAY, after=500)
    one.pass_time(FIRST)
    assert "vest" in one.kinds()


def test_a_return_of_the_whole_bonus_ends_its_schedule() -> None:
    one = bonus()
    one.back(1, NOON + DAY)
    assert one.account("M1").vesting == {}
    assert one.account("M1").due == 0
    assert one.pass_time(THIRD) == []


def test_a_return_in_between_leaves_less_to_unlock() -> None:
    one = bonus()
    visit(one, NOON + DAY)
    one.pass_time(FIRST)
    one.back(1, FIRST + DAY, after=500)
    assert one.buckets() == (4, 1, 0)
    visit(one, FIRST + DAY)
    one.pass_time(SECOND)
    assert one.buckets() == (5, 0, 0)
    assert one.account("M1").vesting == {}


def test_an_instalment_fills_a_negative_balance() -> None:
    one = bonus()
    visit(one, NOON + DAY)
    one.pass_time(FIRST)
    one.redeem("r", 4, FIRST)
    one.back(1, FIRST, after=500)
    one.back(1, FIRST, before=500)
    assert one.buckets() == (-4, 0, 0)


def test_what_has_not_unlocked_when_the_bonus_expires_is_gone() -> None:
    one = ruled(
        LotRule(
            expiry=Expiry("rolling", 1, rounded_to="month"),
            vesting=VestingRule("loyal", 3, months=1),
        )
    )
    one.earn(10)
    visit(one, NOON + DAY)
    one.pass_time(THIRD)
    assert one.buckets() == (0, 0, 0)
    assert one.kinds()[-2:] == ["expire", "expire"]
    assert one.account("M1").vesting == {}
    assert one.account("M1").due == 0


def test_more_instalments_than_points_unlock_a_point_each_until_none_is_left() -> None:
    one = ruled(LotRule(vesting=VestingRule("loyal", 12, days=1)))
    one.earn(2)
    visit(one, NOON + 1)
    visit(one, moment(2026, 1, 21))
    one.pass_time(moment(2026, 2, 20))
    assert one.buckets() == (2, 0, 0)
    assert one.kinds().count("vest") == 2
    assert one.account("M1").vesting == {}
