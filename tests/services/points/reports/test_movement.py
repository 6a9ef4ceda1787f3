"""The movement report: exact columns, both ways of dating, and damage that shows."""

import msgspec

from services.points.domain.advancing import Advance
from services.points.domain.entries import Policy
from services.points.domain.holding import Cancel, Capture
from services.points.domain.movement import MOST_MONTHS, MovementRow, by_month
from services.points.domain.moving import EndSent
from services.points.reports.documents import MovementReport, make
from tests.services.points.reports.histories import AMOUNT, RULES, History, moment
from tests.services.points.reports.programme import TERMS

AS_OF = moment(2026, 4, 15)


def _rows(report: MovementReport) -> list[dict[str, object]]:
    """Each row without what is zero, so that an example is readable."""
    return [
        {name: value for name, value in msgspec.structs.asdict(row).items() if value}
        for row in report.rows
    ]


def _eventful() -> History:
    """Every column once: January earns, February spends and returns, March and April expire."""
    history = History()
    first = history.earn("A", 100, moment(2026, 1, 10))
    history.earn("A", 60, moment(2026, 1, 20), "bonus")
    history.take_back("A", first, 30, moment(2026, 1, 25))
    history.hold("A", "h1", 40, moment(2026, 2, 1), moment(2026, 2, 2))
    history.do(Capture("A", "h1", moment(2026, 2, 1, 13), "m"))
    history.do(Cancel("A", "h1", moment(2026, 2, 3), "m", "changed my mind"))
    history.adjust("A", "a1", -5, moment(2026, 2, 4), "adjustment")
    history.adjust("A", "a2", 7, moment(2026, 2, 4), "compensation")
    history.send("A", "t1", "B", 20, moment(2026, 2, 27))
    history.receive("B", "A", "t1", moment(2026, 3, 2))
    history.do(EndSent("A", "t1", moment(2026, 3, 2), True))
    history.do(Advance("A", moment(2026, 4, 10)))
    history.take_back("A", first, 50, moment(2026, 4, 12), before=30)
    return history


def test_every_posting_has_its_column_and_each_month_closes_where_the_next_opens() -> None:
    report = make(_eventful().walked(AS_OF), TERMS).movement["value"]
    assert _rows(report) == [
        {"month": "2026-01", "wallet": "base", "issued": 160, "returned": 30, "closing": 130},
        {
            "month": "2026-02",
            "wallet": "base",
            "opening": 130,
            "redeemed": 40,
            "cancelled": 40,
            "adjusted": -5,
            "compensated": 7,
            "transferred": -20,
            "closing": 112,
        },
        {"month": "2026-03", "wallet": "base", "opening": 112, "transferred": 20, "closing": 132},
        {
            "month": "2026-04",
            "wallet": "base",
            "opening": 132,
            "returned": 20,
            "expired": 105,
            "unexpired": 20,
            "closing": 27,
        },
    ]


def test_bonuses_that_do_not_vest_are_forfeited_not_expired() -> None:
    history = History(Policy(RULES, vests=lambda rule, vesting: False))
    history.earn("A", 60, moment(2026, 1, 20), "bonus")
    history.do(Advance("A", moment(2026, 2, 20)))
    [_, february, *_] = make(history.walked(AS_OF), TERMS).movement["value"].rows
    assert (february.month, february.forfeited, february.expired) == ("2026-02", 60, 0)
    assert (february.closing, february.difference) == (0, 0)


def test_by_booking_a_late_purchase_leaves_closed_months_alone() -> None:
    history = History()
    history.earn("A", 10, moment(2026, 1, 5))
    before = make(history.walked(moment(2026, 2, 10)), TERMS)
    history.earn("A", 7, moment(2026, 1, 31), booked=moment(2026, 2, 20))
    after = make(history.walked(moment(2026, 2, 25)), TERMS)
    assert [row.closing for row in after.movement["value"].rows] == [17, 17]
    assert [row.closing for row in after.movement["booking"].rows] == [10, 17]
    assert before.movement["booking"].rows[0] == after.movement["booking"].rows[0]
    assert [row.closed for row in after.movement["booking"].rows] == [True, False]
    assert [row.closed for row in after.movement["value"].rows] == [False, False]


def test_a_month_is_closed_only_when_what_was_stamped_in_it_is_written() -> None:
    history = History()
    history.earn("A", 10, moment(2026, 1, 5))
    midnight = moment(2026, 2, 1, 0)
    for seconds, closed in ((0, False), (59, False), (60, True)):
        made = make(history.walked(midnight + seconds * 1_000_000), TERMS)
        assert made.movement["booking"].rows[0].closed is closed


def test_months_end_at_midnight_of_the_programme_not_of_utc() -> None:
    history = History()
    history.earn("A", 1, moment(2026, 1, 31, 23))
    history.earn("A", 2, moment(2026, 2, 1, 0))
    rows = make(history.walked(AS_OF), TERMS).movement["value"].rows
    assert [(row.month, row.issued) for row in rows[:2]] == [("2026-01", 1), ("2026-02", 2)]


def test_what_was_booked_after_the_pass_began_is_left_out() -> None:
    history = History()
    history.earn("A", 10, moment(2026, 1, 5))
    history.earn("A", 5, moment(2026, 1, 6), booked=AS_OF + 1)
    assert history.walked(AS_OF).entries == 1


def test_a_balance_that_was_tampered_with_shows_as_a_difference() -> None:
    history = History()
    history.earn("A", 10, moment(2026, 1, 5))
    history.earn("A", 10, moment(2026, 2, 5))
    fact = history.facts["A"][1]
    body = bytes(fact.body).replace(b'"balances":{"base":20}', b'"balances":{"base":25}')
    history.facts["A"][1] = msgspec.structs.replace(fact, body=msgspec.Raw(body))
    rows = make(history.walked(AS_OF), TERMS).movement["value"].rows
    assert [(row.closing, row.difference) for row in rows[:3]] == [(10, 0), (25, -5), (25, 0)]


def test_an_entry_that_is_gone_shows_where_the_next_one_is_and_in_the_lots() -> None:
    history = _eventful()
    [gone] = [fact for fact in history.facts["A"] if fact.key == "reward:3"]
    history.facts["A"].remove(gone)
    made = make(history.walked(AS_OF), TERMS)
    assert [row.difference for row in made.movement["booking"].rows] == [0, 30, 0, 0]
    alerts = [(alert.kind, alert.when, alert.by_booking) for alert in made.alerts.alerts]
    assert alerts == [("difference", "lots", 30), ("difference", "2026-02", 30)]


def test_a_posting_to_an_account_nobody_knows_shows_as_a_difference() -> None:
    history = History()
    history.earn("A", 10, moment(2026, 1, 5))
    body = bytes(history.facts["A"][0].body).replace(b"issuance/", b"fountain/")
    history.facts["A"][0] = msgspec.structs.replace(history.facts["A"][0], body=msgspec.Raw(body))
    rows = make(history.walked(AS_OF), TERMS).movement["value"].rows
    assert [(row.issued, row.difference) for row in rows] == [(0, -10), (0, 0), (0, 0), (0, 0)]


def test_the_oldest_months_of_a_long_history_go_into_the_opening() -> None:
    history = History()
    history.earn("A", 10, moment(1950, 1, 5), "ever")
    history.earn("A", AMOUNT, moment(2026, 1, 5), "ever")
    rows: list[MovementRow] = make(history.walked(AS_OF), TERMS).movement["value"].rows
    assert (len(rows), rows[0].opening, rows[-1].closing) == (MOST_MONTHS, 10, 110)


def test_without_entries_there_are_no_rows() -> None:
    assert by_month({}, "2026-01") == []
