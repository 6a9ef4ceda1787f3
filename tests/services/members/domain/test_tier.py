"""The tier: the highest whose spend is reached within the window, by days of the programme."""

from dataclasses import replace
from datetime import UTC, datetime

from services.members.domain.calendar import Calendar
from services.members.domain.relationship import advance
from tests.services.members.domain.rules_for_tests import (
    DAY,
    RULES,
    START,
    given_back,
    lived,
    purchase,
    records,
)

NEW_YORK = replace(RULES, calendar=Calendar("America/New_York"))


def instant(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000


def test_a_tier_is_reached_at_once_and_exactly() -> None:
    below, _ = lived([(START, purchase("p1", 599_99))])
    exactly, steps = lived([(START, purchase("p1", 599_99)), (START + DAY, purchase("p2", 1))])
    assert (below.tier, exactly.tier) == ("member", "silver")
    (changed,) = [t for t in steps[1].transitions if t.key.startswith("tier:")]
    assert changed.key == f"tier:2:{START + DAY}:silver"
    assert (changed.body.previous, changed.body.spend, changed.body.after_seq) == (
        "member",
        600_00,
        2,
    )


def test_one_purchase_may_skip_a_tier() -> None:
    _, steps = lived([(START, purchase("p1", 2000_00))])
    assert records(steps)[0] == ("gold", 0)


def test_a_tier_drops_when_the_day_of_the_spend_leaves_the_window() -> None:
    state, _ = lived([(START, purchase("p1", 600_00))], NEW_YORK)
    (drop,) = state.due
    assert drop.at == instant("2026-01-01T00:00:00-05:00")
    assert advance(state, "M1", drop.at - 1, NEW_YORK).state.tier == "silver"
    assert advance(state, "M1", drop.at, NEW_YORK).state.tier == "member"


def test_a_tier_drops_step_by_step_as_days_leave_the_window() -> None:
    spent = [(START, purchase("p1", 1300_00)), (START + 100 * DAY, purchase("p2", 700_00))]
    state, _ = lived(spent)
    midnight = START - DAY // 2
    drops = [(c.at, c.tier) for c in state.due]
    assert drops == [
        (midnight + 365 * DAY, "silver"),
        (midnight + 465 * DAY, "member"),
    ]


def test_a_return_takes_the_money_off_the_day_of_the_purchase() -> None:
    bought = purchase("p1", 700_00)
    back = given_back("r1", bought, 1, START, 100_01)
    state, _ = lived([(START, bought), (START + 30 * DAY, back)])
    assert (state.spend.amounts, state.tier) == ((599_99,), "member")


def test_a_return_after_the_day_has_left_the_window_costs_nothing_more() -> None:
    bought = purchase("p1", 700_00)
    later = (START + 366 * DAY, purchase("p2", 600_00))
    back = (START + 367 * DAY, given_back("r1", bought, 1, START))
    state, _ = lived([(START, bought), later, back])
    assert (state.spend.total, state.tier) == (600_00, "silver")


def test_purchases_of_a_day_share_a_bucket_and_free_ones_have_none() -> None:
    day = [(START, purchase("a", 5)), (START + 1, purchase("b", 7)), (START, purchase("c", 0))]
    state, _ = lived(day)
    assert (len(state.spend.days), state.spend.amounts, state.spend.total) == (1, (12,), 12)
    free, _ = lived([(START, purchase("a", 0))])
    assert (free.spend.days, free.known.kept) == ((), 1)


def test_a_late_purchase_older_than_the_window_counts_for_nothing() -> None:
    state, _ = lived([(START, purchase("a", 100)), (START - 366 * DAY, purchase("b", 900_00))])
    assert (state.spend.total, state.tier, state.known.kept) == (100, "member", 2)


def test_a_late_purchase_revises_the_tier_as_of_the_clock() -> None:
    state, steps = lived([(START, purchase("a", 300_00)), (START - 9 * DAY, purchase("b", 300_00))])
    assert (state.tier, state.clock) == ("silver", START)
    assert records(steps)[-2:] == [("silver", 0), ("satisfaction", 0)]


def test_days_are_the_programmes_and_begin_at_its_midnight() -> None:
    calendar = Calendar("America/New_York")
    day = datetime(2025, 3, 9, tzinfo=UTC).toordinal()
    start = instant("2025-03-09T00:00:00-05:00")
    assert (calendar.start(day), calendar.start(day + 1) - start) == (start, 23 * DAY // 24)
    assert (calendar.day(start - 1), calendar.day(start)) == (day - 1, day)


def test_a_day_begins_after_the_hour_that_clocks_skip() -> None:
    calendar = Calendar("America/Sao_Paulo")
    day = datetime(2018, 11, 4, tzinfo=UTC).toordinal()
    start = instant("2018-11-04T01:00:00-02:00")
    assert calendar.start(day) == start
    assert (calendar.day(start - 1), calendar.day(start)) == (day - 1, day)
