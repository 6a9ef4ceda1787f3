"""However long an account lives, it is bounded by its rules; and clocks that err break nothing.

For each wallet and rule there are at most, besides ``never``, ``debt`` and a sliding lot:

* rolling by L months, rounded to R: ``ceil(L / R) + 1`` lots with points, and
  ``ceil(400 days / R) + 1`` that expired and are remembered;
* rolling without rounding: a lot a day, for the life of the points and 400 days;
* waiting for d days: ``d + 1`` lots; for an activity: one for each purchase that still waits;
* vesting: one for each bonus whose instalments are not over, and 400 days if it was forfeited.
"""

import msgspec
import pytest

from kit.clock import DAY
from services.points.domain.account import Account
from services.points.domain.errors import LimitReached
from services.points.domain.terms import Activation, Expiry, LotRule, VestingRule
from tests.services.points.ledger.book import HOUR, moment
from tests.services.points.ledger.desk import NOON, Desk, desk, ruled

BY_MONTH = Expiry("rolling", 12, rounded_to="month")
YEAR_END = Expiry("rolling", 12, rounded_to="year")


def size(account: Account) -> int:
    return len(msgspec.json.encode(account))


def live(one: Desk, days: int) -> tuple[int, int]:
    """A purchase and a visit a day, a redemption a week; the most lots and the largest state."""
    lots = largest = 0
    for day in range(days):
        at = NOON + day * DAY
        one.earn(7, at)
        if day % 3 == 0:
            one.note("delivered", at + HOUR, f"act_{one.seq}")
        if day % 7 == 0 and one.balance() > 5:
            one.hold(f"h{day}", 5, at + HOUR, until=at + 2 * HOUR)
            if day % 2:
                one.capture(f"h{day}", at + HOUR)
        lots = max(lots, len(one.account("M1").lots))
        if day % 30 == 0:
            largest = max(largest, size(one.account("M1")))
        one.facts.clear()
        one.keys.clear()
    return lots, largest


@pytest.mark.parametrize(
    ("rule", "most_lots", "most_bytes"),
    [
        (LotRule(), 1, 500),
        (LotRule(expiry=BY_MONTH), 13 + 15, 2_500),
        (LotRule(expiry=YEAR_END), 2 + 3, 800),
        (LotRule(expiry=Expiry("dates", dates=((6, 30), (12, 31)))), 2 + 4, 800),
        (LotRule(expiry=Expiry("sliding", days=60, name="visits")), 1, 600),
        (LotRule(Activation(30), BY_MONTH), 31 + 14 + 15, 5_500),
        (LotRule(Activation(14, "delivered"), YEAR_END), 15 + 5, 2_200),
        (LotRule(expiry=Expiry("rolling", days=90)), 91 + 401, 34_000),
    ],
    ids=["never", "month", "year", "dates", "sliding", "after 30 days", "delivered", "by the day"],
)
def test_ten_years_of_daily_activity_leave_a_bounded_account(
    rule: LotRule, most_lots: int, most_bytes: int
) -> None:
    lots, largest = live(ruled(rule), 3_653)
    assert lots <= most_lots
    assert largest <= most_bytes


def test_the_second_five_years_need_no_more_room_than_the_first() -> None:
    one = ruled(LotRule(Activation(14), BY_MONTH))
    first = live(one, 1_826)
    balance = one.account("M1")
    assert first[0] <= 15 + 14 + 15
    assert size(balance) <= first[1] + 200


def test_bonuses_that_vest_are_forgotten_when_they_are_over() -> None:
    rule = LotRule(expiry=YEAR_END, vesting=VestingRule("loyal", 3, days=10))
    one = ruled(rule)
    lots, _ = live(one, 600)
    assert lots <= 31 + 5
    assert len(one.account("M1").vesting) == 30


def test_forfeited_bonuses_are_remembered_for_400_days() -> None:
    rule = LotRule(vesting=VestingRule("loyal", 2, days=10))
    one = ruled(rule)
    one.earn(10)
    one.pass_time(NOON + 11 * DAY)
    (forfeited,) = (lot for name, lot in one.account("M1").lots.items() if "vest" in name)
    assert (forfeited.expired, forfeited.expires) == (10, moment(2026, 1, 30))
    one.earn(1, moment(2026, 1, 30) + 400 * DAY)
    assert len(one.account("M1").lots) == 2
    one.earn(1, moment(2026, 1, 30) + 400 * DAY + 1)
    assert len([n for n in one.account("M1").lots if "vest-1" in n]) == 0


def test_what_lately_left_an_account_is_remembered_200_times_or_31_days() -> None:
    one = desk()
    one.earn(1_000)
    for number in range(210):
        one.hold(f"h{number}", 1, NOON + number)
        one.release(f"h{number}", NOON + number)
    assert len(one.account("M1").recent) == 200
    one.hold("much later", 1, NOON + 40 * DAY)
    assert len(one.account("M1").recent) == 1


def test_many_small_amounts_do_not_make_a_large_one_forgotten() -> None:
    one = desk()
    one.earn(10_000)
    one.hold("large", 1_000, NOON)
    one.release("large", NOON)
    for number in range(300):
        one.hold(f"h{number}", 1, NOON + number)
        one.release(f"h{number}", NOON + number)
    recent = one.account("M1").recent
    assert (len(recent), sum(points for _, points in recent)) == (200, 1_300)


def test_rewards_that_were_let_go_are_not_remembered() -> None:
    one = desk()
    one.earn(100)
    one.redeem("r", 1, NOON)
    assert len(one.account("M1").redeemed) == 1
    one.cancel("r", NOON)
    assert one.account("M1").redeemed == {}


def test_at_most_200_redemptions_wait_for_their_goods() -> None:
    one = desk()
    one.earn(1_000)
    for number in range(200):
        one.redeem(f"r{number}", 1, NOON)
    with pytest.raises(LimitReached):
        one.hold("more", 1, NOON)
    assert size(one.account("M1")) <= 40_000
    one.cancel("r7", NOON)
    one.hold("more", 1, NOON)


def test_a_clock_that_goes_back_neither_unexpires_nor_delays() -> None:
    one = desk()
    one.earn(10, campaign="month")
    one.earn(5)
    one.pass_time(moment(2026, 3, 1))
    one.hold("h", 5, NOON)
    assert one.account("M1").at == moment(2026, 3, 1)
    assert one.buckets() == (0, 0, 5)
    assert one.pass_time(NOON) == []


def test_a_late_purchase_lives_as_if_it_had_come_in_time() -> None:
    one = desk()
    one.earn(5)
    one.pass_time(NOON)
    one.earn(1, moment(2026, 3, 5))
    steps_before = len(one.facts["M1"])
    one.earn(10, NOON, campaign="month")
    late = one.facts["M1"][steps_before:]
    assert [(step.fact.kind, step.at) for step in late] == [
        ("earn", NOON),
        ("expire", moment(2026, 3, 1)),
    ]
    one.earn(10, NOON, campaign="later")
    assert one.kinds()[-2:] == ["earn", "activate"]
    assert one.buckets() == (16, 0, 0)


def test_a_decision_already_posted_is_not_posted_again() -> None:
    one = desk()
    one.earn(5)
    before = one.account("M1")
    one.seq -= 1
    one.keys.clear()  # the account knows it by its seq, before the journal does by its key
    one.earn(500, NOON + DAY)
    assert one.account("M1") == before


def test_a_decision_that_grants_nothing_makes_no_entry() -> None:
    one = desk()
    one.earn(0)
    assert one.facts.get("M1", []) == []


def test_time_passes_the_same_in_one_jump_and_in_many() -> None:
    def begun() -> Desk:
        one = desk()
        for campaign in ("month", "later", "await", "slide", "bonus"):
            one.earn(9, campaign=campaign)
        one.hold("h", 12, NOON, until=NOON + 35 * DAY)
        return one

    quick, slow = begun(), begun()
    quick.pass_time(NOON + 300 * DAY)
    for day in range(301):
        slow.pass_time(NOON + day * DAY)
    assert quick.facts == slow.facts
    assert quick.account("M1") == slow.account("M1")
    assert quick.buckets() == (0, 0, 0)


def test_every_bucket_adds_up_to_what_was_credited() -> None:
    one = desk()
    bought = one.earn(100, campaign="month")
    one.earn(50, campaign="later")
    one.redeem("r", 30, NOON)
    one.hold("h", 20, NOON, until=moment(2026, 4, 1))
    one.back(bought, NOON, after=100)
    one.pass_time(moment(2026, 3, 1))
    totals = one.account("M1").totals["base"]
    assert one.buckets() == (50, 0, 20)
    assert (totals.credited, totals.spent, totals.expired, totals.reversed) == (150, 30, 40, 10)
    assert 150 == 30 + 40 + 10 + 50 + 20
