"""Liability: what is owed, by month of expiry, in points and money, gross and net."""

from dataclasses import replace
from fractions import Fraction

import msgspec
import pytest

from contracts.points import PointsPosted, Posting, Progress
from services.points.domain.advancing import Advance
from services.points.domain.earning import Note
from services.points.domain.entries import Policy
from services.points.domain.holding import Capture
from services.points.domain.liability import Cost, Holdings, rounded
from services.points.domain.moving import EndSent
from services.points.domain.terms import Expiry, LotRule, LotRules
from services.points.reports.documents import exact_text, make
from tests.services.points.reports.histories import ZONE, History, moment
from tests.services.points.reports.programme import TERMS

AS_OF = moment(2026, 1, 31)


def _row(history: History, as_of: int = AS_OF, place: int = 0) -> dict[str, object]:
    row = make(history.walked(as_of), TERMS).liability.rows[place]
    return {name: getattr(row, name) for name in row.__struct_fields__}


def test_points_are_told_apart_by_what_they_are_and_by_the_month_of_their_last_day() -> None:
    history = History()
    history.earn("A", 100, moment(2026, 1, 5))
    history.earn("A", 30, moment(2026, 1, 28), "slow")
    history.earn("A", 9, moment(2026, 1, 5), "ever")
    history.hold("A", "h", 25, moment(2026, 1, 6), moment(2026, 6, 1))
    history.send("A", "t", "B", 15, moment(2026, 1, 7))
    liability = make(history.walked(AS_OF), TERMS).liability
    shown = [
        (row.rule, row.month, row.active, row.pending, row.held, row.in_transit, row.outstanding)
        for row in liability.rows
    ]
    assert shown == [
        ("dated", "2026-03", 60, 30, 25, 15, 130),
        ("never", None, 9, 0, 0, 0, 9),
    ]
    [wallet] = liability.wallets
    assert (wallet.outstanding, wallet.negative, wallet.difference) == (139, 0, 0)
    assert (wallet.gross, wallet.net, wallet.rate) == (70, 70, None)


def test_negative_balances_stand_apart_and_reduce_nothing() -> None:
    history = History()
    purchase = history.earn("A", 100, moment(2026, 1, 5))
    history.hold("A", "h", 80, moment(2026, 1, 6), moment(2026, 2, 1))
    history.do(Capture("A", "h", moment(2026, 1, 6), "m"))
    history.take_back("A", purchase, 100, moment(2026, 1, 7))
    history.earn("B", 50, moment(2026, 1, 8))
    made = make(history.walked(AS_OF), TERMS)
    [wallet] = made.liability.wallets
    assert (wallet.outstanding, wallet.negative, wallet.difference) == (50, -80, 0)
    assert made.movement["value"].rows[-1].closing == -30


def test_without_history_no_breakage_is_taken_off_and_the_report_says_so() -> None:
    history = History()
    history.earn("A", 101, moment(2026, 1, 5))
    row = _row(history)
    assert (row["gross"], row["net"], row["breakage"]) == (51, 51, None)


def _with_past() -> History:
    """Twenty accounts had 100 points until the end of March; each spent 70 and let 30 expire."""
    history = History()
    for number in range(20):
        owner = f"P{number:02d}"
        history.earn(owner, 100, moment(2026, 1, 5))
        history.hold(owner, "h", 70, moment(2026, 2, 5), moment(2026, 3, 1))
        history.do(Capture(owner, "h", moment(2026, 2, 5), "m"))
        history.do(Advance(owner, moment(2026, 4, 2)))
    return history


def test_breakage_is_a_share_of_what_was_credited_and_at_most_what_is_left() -> None:
    history = _with_past()
    history.earn("A", 1_000, moment(2026, 4, 5))
    history.hold("A", "h", 600, moment(2026, 4, 6), moment(2026, 5, 1))
    history.do(Capture("A", "h", moment(2026, 4, 6), "m"))
    as_of = moment(2026, 4, 10)
    row = _row(history, as_of)
    # 30 % of the 1,000 credited, not of the 400 left; nobody differs, so nothing is uncertain
    assert (row["month"], row["outstanding"], row["breakage"]) == ("2026-06", 400, 300)
    assert (row["gross"], row["net"]) == (200, 50)
    [wallet] = make(history.walked(as_of), TERMS).liability.wallets
    assert (wallet.rate, wallet.rate_low, wallet.rate_high) == (0.3, 0.3, 0.3)
    assert (wallet.learnt_from_accounts, wallet.learnt_from_points) == (20, 2_000)
    assert wallet.expired_points == 600
    history.hold("A", "h2", 350, moment(2026, 4, 7), moment(2026, 5, 1))
    history.do(Capture("A", "h2", moment(2026, 4, 7), "m"))
    assert (_row(history, as_of)["outstanding"], _row(history, as_of)["breakage"]) == (50, 50)


def test_lots_that_can_still_be_spent_say_nothing_of_breakage() -> None:
    history = _with_past()
    assert make(history.walked(moment(2026, 3, 30)), TERMS).liability.wallets[0].rate is None


def test_points_past_their_expiry_count_as_expired_though_nobody_booked_it_yet() -> None:
    history = History()
    history.earn("A", 100, moment(2026, 1, 5))
    as_of = moment(2026, 4, 2)
    row = _row(history, as_of)
    assert (row["month"], row["active"], row["breakage"], row["net"]) == ("2026-03", 100, 100, 0)
    assert make(history.walked(as_of), TERMS).liability.wallets[0].rate == 1.0


def test_what_was_sent_away_is_the_receivers_credit() -> None:
    history = History()
    history.earn("A", 100, moment(2026, 1, 5))
    history.send("A", "t", "B", 100, moment(2026, 1, 6))
    history.receive("B", "A", "t", moment(2026, 1, 7))
    history.do(Advance("B", moment(2026, 4, 2)))
    [wallet] = make(history.walked(moment(2026, 4, 3)), TERMS).liability.wallets
    assert (wallet.learnt_from_accounts, wallet.learnt_from_points) == (1, 100)
    assert wallet.expired_points == 100


def test_points_that_come_back_from_a_transfer_are_no_longer_on_their_way() -> None:
    history = History()
    history.earn("A", 100, moment(2026, 1, 5))
    history.send("A", "t", "B", 40, moment(2026, 1, 6))
    assert _row(history)["in_transit"] == 40
    history.do(EndSent("A", "t", moment(2026, 1, 7), False, "declined"))
    assert (_row(history)["in_transit"], _row(history)["active"]) == (0, 100)


def test_a_sliding_lot_counts_in_the_month_that_the_last_activity_moved_it_to() -> None:
    sliding = Expiry("sliding", days=30, activities=frozenset(["visit"]), name="visits")
    rules = LotRules(ZONE, {"base": LotRule(expiry=sliding)}, sliding=(sliding,))
    history = History(Policy(rules), rules=rules)
    history.earn("A", 100, moment(2026, 1, 5))
    assert (_row(history)["rule"], _row(history)["month"]) == ("sliding", "2026-02")
    visited = moment(2026, 1, 31)
    history.do(Note("A", "act_2", 2, visited, Progress(visited, "visit")))
    row = _row(history, visited)
    assert (row["month"], row["breakage"], row["net"]) == ("2026-03", None, row["gross"])


def test_negative_points_of_entries_from_before_there_were_lots_stand_apart_too() -> None:
    history = History()
    history.earn("A", 10, moment(2026, 1, 5), "ever")
    postings = (Posting("member/base", "base", -10), Posting("issuance/base", "base", 10))
    old = PointsPosted("A-1", "A", "return", "act_1", 1, postings, {"base": -10})
    [fact] = history.facts["A"]
    body = msgspec.Raw(msgspec.json.encode(old))
    history.facts["A"] = [msgspec.structs.replace(fact, body=body)]
    history.earn("B", 25, moment(2026, 1, 5), "ever")
    liability = make(history.walked(AS_OF), TERMS).liability
    [wallet] = liability.wallets
    assert (wallet.outstanding, wallet.negative, wallet.difference) == (25, -10, 0)


def test_a_wallet_that_cannot_be_spent_costs_nothing() -> None:
    cost = Cost(Fraction(1, 2), {"tier": False})
    assert (cost.of("tier", 100), cost.of("base", 100)) == (0, 50)


def test_breakage_to_come_is_less_what_expired_already_and_never_negative() -> None:
    row = Holdings(active=50, credited=100, expired=20)
    assert row.expected_to_expire(Fraction(3, 10)) == 10
    assert row.expected_to_expire(Fraction(1, 10)) == 0


@pytest.mark.parametrize(
    ("exact", "shown"), [(Fraction(1, 2), 1), (Fraction(5, 2), 3), (Fraction(249, 100), 2)]
)
def test_money_is_rounded_half_up(exact: Fraction, shown: int) -> None:
    assert rounded(exact) == shown


def test_totals_are_rounded_from_the_exact_total() -> None:
    history = History()
    history.earn("A", 1, moment(2026, 1, 5))
    history.earn("A", 1, moment(2026, 1, 5), "ever")
    liability = make(history.walked(AS_OF), TERMS).liability
    assert [row.gross for row in liability.rows] == [1, 1]
    assert liability.wallets[0].gross == 1


@pytest.mark.parametrize(
    ("number", "text"),
    [(Fraction(1, 2), "0.5"), (Fraction(0), "0"), (Fraction(20), "20"), (Fraction(1, 3), "1/3")],
)
def test_the_cost_of_a_point_is_told_exactly(number: Fraction, text: str) -> None:
    assert exact_text(number) == text


def test_the_report_names_its_figures() -> None:
    liability = make(
        History().walked(AS_OF), replace(TERMS, cost_per_point=Fraction(3, 8))
    ).liability
    assert (liability.currency, liability.cost_per_point) == ("USD", "0.375")
    assert liability.rounding == "half up, each figure by itself"
