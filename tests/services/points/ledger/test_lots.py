"""When points open and expire: exact dates, in the programme's zone."""

from datetime import date
from zoneinfo import ZoneInfo

import pytest

from kit.clock import DAY
from services.points.domain.terms import (
    Activation,
    Expiry,
    LotRule,
    LotRules,
    VestingRule,
    add_months,
    credit,
    last_day,
    local_day,
    start_of,
)
from tests.services.points.ledger.book import HOUR, SLIDING, ZONE, moment
from tests.services.points.ledger.desk import NOON, desk, ruled

DATES = Expiry("dates", dates=((6, 30), (12, 31)))


def rolling(months: int = 0, days: int = 0, rounded_to: str | None = None) -> Expiry:
    return Expiry("rolling", months, days, rounded_to)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("expiry", "earned", "last"),
    [
        (rolling(12), date(2026, 3, 15), date(2027, 3, 15)),
        (rolling(1), date(2026, 1, 31), date(2026, 2, 28)),
        (rolling(1), date(2028, 1, 31), date(2028, 2, 29)),
        (rolling(12), date(2028, 2, 29), date(2029, 2, 28)),
        (rolling(days=30), date(2026, 2, 1), date(2026, 3, 3)),
        (rolling(12, rounded_to="month"), date(2026, 3, 15), date(2027, 3, 31)),
        (rolling(11, rounded_to="month"), date(2026, 3, 31), date(2027, 2, 28)),
        (rolling(12, rounded_to="quarter"), date(2026, 4, 1), date(2027, 6, 30)),
        (rolling(6, rounded_to="quarter"), date(2026, 6, 30), date(2026, 12, 31)),
        (rolling(24, rounded_to="year"), date(2026, 1, 1), date(2028, 12, 31)),
        (rolling(0, rounded_to="year"), date(2026, 12, 31), date(2026, 12, 31)),
        (DATES, date(2026, 6, 30), date(2026, 6, 30)),
        (DATES, date(2026, 7, 1), date(2026, 12, 31)),
        (Expiry("dates", days=90, dates=((6, 30), (12, 31))), date(2026, 5, 1), date(2026, 12, 31)),
        (Expiry("dates", days=90, dates=((1, 15),)), date(2026, 11, 1), date(2028, 1, 15)),
        (Expiry("dates", dates=((2, 29),)), date(2026, 2, 1), date(2026, 2, 28)),
        (Expiry("dates", dates=((2, 29),)), date(2028, 2, 1), date(2028, 2, 29)),
        (SLIDING, date(2026, 1, 20), date(2026, 3, 21)),
    ],
)
def test_points_are_good_until_the_end_of_their_last_day(
    expiry: Expiry, earned: date, last: date
) -> None:
    assert last_day(expiry, earned) == last


@pytest.mark.parametrize(
    ("day", "months", "then"),
    [
        (date(2026, 1, 31), 1, date(2026, 2, 28)),
        (date(2026, 12, 31), 2, date(2027, 2, 28)),
        (date(2026, 3, 15), 0, date(2026, 3, 15)),
        (date(2026, 1, 1), 120, date(2036, 1, 1)),
    ],
)
def test_a_month_ends_where_it_ends(day: date, months: int, then: date) -> None:
    assert add_months(day, months) == then


def test_points_that_never_expire_are_there_at_once_and_for_ever() -> None:
    one = desk()
    one.earn(10)
    assert one.buckets() == (10, 0, 0)
    assert one.account("M1").due == 0
    assert one.pass_time(NOON + 3650 * DAY) == []
    assert one.balance() == 10


def test_points_open_when_the_day_begins_and_not_before() -> None:
    one = desk()
    one.earn(10, campaign="later")
    opens = moment(2026, 2, 3)
    assert (one.buckets(), one.account("M1").due) == ((0, 10, 0), opens)
    assert one.pass_time(opens - 1) == []
    (step,) = one.pass_time(opens + 5 * HOUR)
    assert (step.at, step.fact.kind) == (opens, "activate")
    assert one.buckets() == (10, 0, 0)


def test_points_expire_with_the_end_of_the_day_where_the_programme_is() -> None:
    one = desk()
    one.earn(10, campaign="month")
    midnight = moment(2026, 3, 1)
    assert one.pass_time(midnight - 1) == []
    (step,) = one.pass_time(midnight)
    assert (step.at, step.fact.kind) == (midnight, "expire")
    totals = one.account("M1").totals["base"]
    assert (one.balance(), totals.credited, totals.expired) == (0, 10, 10)


def test_points_wait_for_the_delivery_of_their_own_purchase() -> None:
    one = desk()
    bought = one.earn(10, campaign="await")
    one.earn(5, campaign="await")
    one.note("delivered", NOON + DAY, "act_of_another")
    one.note("visit", NOON + DAY, f"act_{bought}")
    assert one.buckets() == (0, 15, 0)
    one.note("delivered", NOON + 2 * DAY, f"act_{bought}")
    assert one.buckets() == (10, 5, 0)


def test_a_delivery_that_earns_points_itself_opens_what_waited_for_it() -> None:
    one = desk()
    bought = one.earn(10, campaign="await")
    one.earn(1, NOON + DAY, kind="delivered", about=f"act_{bought}")
    assert one.buckets() == (11, 0, 0)


def test_without_a_delivery_points_open_after_their_days() -> None:
    one = desk()
    one.earn(10, campaign="await")
    one.pass_time(moment(2026, 2, 19))
    assert one.buckets() == (10, 0, 0)


def test_what_waits_for_a_delivery_that_never_comes_expires_in_the_end() -> None:
    one = ruled(LotRule(Activation(0, "delivered"), DATES))
    one.earn(10)
    assert one.account("M1").due == moment(2026, 7, 1)
    one.pass_time(moment(2026, 7, 1))
    assert one.buckets() == (0, 0, 0)
    assert one.account("M1").totals["base"].expired == 10


def test_two_campaigns_that_wait_for_different_things_do_not_share_a_lot() -> None:
    delivered, reviewed = Activation(0, "delivered"), Activation(0, "reviewed")
    rules = LotRules(ZONE)
    first = credit(rules, LotRule(delivered, DATES), "base", 5, NOON, "act_1", "1.0")
    second = credit(rules, LotRule(reviewed, DATES), "base", 5, NOON, "act_1", "1.1")
    assert first.terms.lot == "base.2026-06-30~act_1.delivered"
    assert second.terms.lot == "base.2026-06-30~act_1.reviewed"


def test_a_visit_keeps_all_sliding_points_alive_together() -> None:
    one = desk()
    one.earn(10, campaign="slide")
    one.earn(5, NOON + 40 * DAY, campaign="slide")
    assert one.account("M1").due == moment(2026, 5, 1)
    one.note("visit", NOON + 50 * DAY)
    assert one.account("M1").due == moment(2026, 5, 11)
    one.pass_time(moment(2026, 5, 11))
    assert one.balance() == 0


def test_a_late_visit_does_not_shorten_what_slides() -> None:
    one = desk()
    one.earn(10, NOON + 40 * DAY, campaign="slide")
    assert one.note("visit", NOON) == []
    assert one.account("M1").due == moment(2026, 5, 1)


def test_a_visit_after_the_expiry_brings_nothing_back() -> None:
    one = desk()
    one.earn(10, campaign="slide")
    one.note("visit", NOON + 70 * DAY)
    assert (one.balance(), one.account("M1").totals["base"].expired) == (0, 10)


def test_what_opens_into_a_sliding_lot_that_has_expired_lives_its_own_time() -> None:
    waits = LotRule(Activation(30), Expiry("sliding", days=60, name="visits"))
    one = ruled(waits)
    one.earn(10)
    one.pass_time(moment(2026, 3, 22))
    one.earn(5, moment(2026, 3, 30))
    one.pass_time(moment(2026, 4, 30))
    assert one.buckets() == (5, 0, 0)
    assert one.account("M1").due == moment(2026, 5, 30)


def test_a_visit_keeps_alive_what_waits_and_what_is_held() -> None:
    one = ruled(LotRule(Activation(59), SLIDING), sliding=(SLIDING,))
    one.earn(10)
    one.note("visit", NOON + 30 * DAY)
    assert one.pass_time(moment(2026, 3, 25))[-1].fact.kind == "activate"
    one.hold("h", 10, moment(2026, 4, 1), until=moment(2026, 6, 20))
    one.note("visit", moment(2026, 4, 15))
    one.release("h", moment(2026, 5, 1))
    assert one.buckets() == (10, 0, 0)


def test_a_campaigns_terms_come_before_a_tiers_and_both_before_the_wallets() -> None:
    def rule(days: int) -> LotRule:
        return LotRule(expiry=rolling(days=days))

    rules = LotRules(
        ZONE,
        {"base": rule(1)},
        {
            ("base", "spring", None): rule(2),
            ("base", None, "gold"): rule(3),
            ("base", "spring", "gold"): rule(4),
            ("base", "autumn", "silver"): rule(5),
        },
    )
    found = {
        (campaign, tier): rules.rule("base", campaign, tier).expiry.days
        for campaign in ("spring", "autumn", "other")
        for tier in ("gold", "silver")
    }
    assert found == {
        ("spring", "gold"): 4,
        ("spring", "silver"): 2,
        ("autumn", "gold"): 3,
        ("autumn", "silver"): 5,
        ("other", "gold"): 3,
        ("other", "silver"): 1,
    }
    assert rules.rule("tier", "spring", "gold") == LotRule()


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("America/New_York", date(2026, 3, 8), 23),
        ("America/New_York", date(2026, 11, 1), 25),
        ("Asia/Shanghai", date(2026, 3, 8), 24),
        ("Africa/Cairo", date(2026, 4, 24), 23),
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
    ],
)
def test_a_day_is_as_long_as_it_is_there(zone: str, day: date, hours: float) -> None:
    there = ZoneInfo(zone)
    tomorrow = date.fromordinal(day.toordinal() + 1)
    begins, ends = start_of(there, day), start_of(there, tomorrow)
    assert (ends - begins) / HOUR == hours
    assert (local_day(there, begins), local_day(there, ends - 1)) == (day, day)
    assert local_day(there, begins - 1) < day < local_day(there, ends)


def test_the_same_moment_is_another_day_elsewhere() -> None:
    late = moment(2026, 12, 31, 23, 30)
    rule = LotRule(expiry=rolling(0, rounded_to="month"))
    here = credit(LotRules(ZONE), rule, "base", 1, late, "a", "1")
    there = credit(LotRules(ZoneInfo("Asia/Shanghai")), rule, "base", 1, late, "a", "1")
    assert here.terms.lot == "base.2026-12-31"
    assert there.terms.lot == "base.2027-01-31"


def test_a_bonus_that_vests_says_when_each_part_unlocks() -> None:
    rule = LotRule(expiry=rolling(12), vesting=VestingRule("loyal", 3, months=1))
    at = moment(2026, 1, 31, 10)
    made = credit(LotRules(ZONE), rule, "base", 11, at, "act_1", "7.0")
    assert made.terms.lot == "base.2027-01-31~vest-7.0"
    assert made.vesting is not None
    assert [(each.due, each.points) for each in made.vesting.instalments] == [
        (moment(2026, 2, 28), 4),
        (moment(2026, 3, 31), 4),
        (moment(2026, 4, 30), 3),
    ]


def test_two_purchases_with_the_same_rule_and_date_share_a_lot() -> None:
    one = desk()
    one.earn(10, campaign="later")
    one.earn(7, NOON + HOUR, campaign="later")
    one.earn(5, NOON + DAY, campaign="later")
    waiting = {name: lot.left for name, lot in one.account("M1").lots.items()}
    assert waiting == {"base.2026-06-30~2026-02-03": 17, "base.2026-06-30~2026-02-04": 5}
    one.pass_time(NOON + 30 * DAY)
    assert {n: lot.left for n, lot in one.account("M1").lots.items()} == {"base.2026-06-30": 22}


def test_what_expires_first_is_spent_first() -> None:
    one = desk()
    one.earn(10)
    one.earn(10, campaign="slide")
    one.earn(10, campaign="month")
    one.hold("h", 15, NOON)
    assert one.account("M1").holds["h"].parts == (
        ("base.2026-02-28", 10),
        ("base.sliding-visits", 5),
    )
