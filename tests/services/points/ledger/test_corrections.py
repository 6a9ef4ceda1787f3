"""Manual corrections: one person up to a limit, two above it, and never more than there is."""

import pytest

from contracts.points import Posting
from kit.clock import DAY
from services.points.domain.adjusting import Approve, Reject
from services.points.domain.errors import (
    AmountOutOfBounds,
    InsufficientPoints,
    LimitReached,
    NotKnown,
    SamePerson,
)
from tests.services.points.ledger.desk import NOON, Desk, desk


def approve(one: Desk, name: str, by: str, points: int = 0) -> None:
    one.do(Approve("M1", name, NOON, by, one.gift(points, NOON)))


def test_up_to_the_limit_one_person_is_enough() -> None:
    one = desk()
    one.adjust("a", 100)
    assert one.balance() == 100
    assert one.last().postings == (
        Posting("member/base", "base", 100, "base.never"),
        Posting("adjustment/base", "base", -100, "base.never"),
    )
    one.adjust("b", -100)
    assert one.balance() == 0


def test_above_the_limit_somebody_else_agrees_and_both_names_are_kept() -> None:
    one = desk()
    one.adjust("a", 101)
    assert one.balance() == 0
    with pytest.raises(SamePerson):
        approve(one, "a", "anna", 101)
    approve(one, "a", "ben", 101)
    assert one.balance() == 101
    asked = one.last().adjustment
    assert asked is not None
    assert (asked.by, asked.approved_by, asked.reason) == ("anna", "ben", "goodwill")


def test_a_request_is_decided_once() -> None:
    one = desk()
    one.adjust("a", 101)
    approve(one, "a", "ben", 101)
    with pytest.raises(NotKnown):
        approve(one, "a", "cleo", 101)
    with pytest.raises(NotKnown):
        one.do(Reject("M1", "a", NOON, "cleo", "no"))
    assert one.balance() == 101


def test_who_asked_may_take_it_back() -> None:
    one = desk()
    one.adjust("a", 101)
    one.do(Reject("M1", "a", NOON, "anna", "a slip"))
    assert one.account("M1").requests == {}
    assert one.balance() == 0


def test_no_correction_makes_a_balance_that_readers_of_json_would_get_wrong() -> None:
    one = desk()
    one.earn(2)
    one.adjust("a", 2**53 - 2)
    with pytest.raises(AmountOutOfBounds):
        approve(one, "a", "ben", 2**53 - 2)
    assert one.balance() == 2


def test_a_correction_takes_no_more_than_there_is() -> None:
    one = desk()
    one.earn(150)
    one.hold("h", 100, NOON)
    with pytest.raises(InsufficientPoints):
        one.adjust("a", -51)
    one.adjust("b", -101)
    with pytest.raises(InsufficientPoints):
        approve(one, "b", "ben")
    assert one.buckets() == (50, 0, 100)
    assert "b" in one.account("M1").requests


@pytest.mark.parametrize("points", [0, 2**53, -(2**53)])
def test_a_correction_has_an_amount(points: int) -> None:
    one = desk()
    with pytest.raises(AmountOutOfBounds):
        one.adjust("a", points)
    assert one.facts == {}


def test_compensation_comes_from_its_own_account() -> None:
    one = desk()
    one.adjust("a", 5, account="compensation")
    assert one.last().postings[1].account == "compensation/base"


def test_a_correction_fills_a_negative_balance() -> None:
    one = desk()
    bought = one.earn(10)
    one.redeem("r", 10, NOON)
    one.back(bought, NOON)
    one.adjust("a", 7)
    assert one.balance() == -3


def test_points_that_are_given_need_a_lot() -> None:
    one = desk()
    one.adjust("a", 101)
    with pytest.raises(ValueError, match="need a lot"):
        one.do(Approve("M1", "a", NOON, "ben"))
    assert "a" in one.account("M1").requests


def test_a_correction_that_comes_again_much_later_changes_nothing_else() -> None:
    one = desk()
    one.adjust("a", 5)
    again = one.adjust("a", 5, at=NOON + 400 * DAY)
    assert (again, one.balance()) == ([], 5)


def test_at_most_20_requests_wait() -> None:
    one = desk()
    for number in range(20):
        one.adjust(f"a{number}", 101)
    with pytest.raises(LimitReached):
        one.adjust("more", 101)
