"""Transfers: two entries in two streams, and points that keep their expiry."""

import pytest

from contracts.points import Posting
from kit.clock import DAY
from services.points.domain.errors import InsufficientPoints, LimitReached, SameOwner
from tests.services.points.ledger.book import moment
from tests.services.points.ledger.desk import NOON, Desk, desk


def rich() -> Desk:
    one = desk()
    one.earn(10, campaign="month")
    one.earn(20)
    return one


def in_transit(one: Desk) -> int:
    return sum(
        posting.amount
        for owner in one.facts
        for entry in one.entries(owner)
        for posting in entry.postings
        if posting.account == "transfer/base"
    )


def test_points_keep_their_expiry_on_their_way() -> None:
    one = rich()
    one.send("t", 15, NOON)
    assert (one.balance("M1"), one.balance("M2"), in_transit(one)) == (15, 0, 15)
    one.receive("t", NOON + DAY)
    one.end("t", NOON + DAY, accepted=True)
    assert (one.balance("M1"), one.balance("M2"), in_transit(one)) == (15, 15, 0)
    assert one.last("M2").postings == (
        Posting("member/base", "base", 10, "base.2026-02-28"),
        Posting("transfer/base", "base", -10, "base.2026-02-28"),
        Posting("member/base", "base", 5, "base.never"),
        Posting("transfer/base", "base", -5, "base.never"),
    )
    assert one.account("M2").due == moment(2026, 3, 1)
    assert one.account("M1").sent == {}


def test_a_declined_transfer_comes_back() -> None:
    one = rich()
    one.send("t", 15, NOON)
    one.decline("t", NOON + DAY)
    one.end("t", NOON + DAY, accepted=False)
    left = {name: lot.left for name, lot in one.account("M1").lots.items()}
    assert left == {"base.2026-02-28": 10, "base.never": 20}
    assert (one.balance("M2"), in_transit(one)) == (0, 0)
    one.keys.clear()
    assert one.end("t", NOON + DAY, accepted=False) == []


def test_one_fact_decides_a_transfer() -> None:
    one = rich()
    one.send("t", 15, NOON)
    one.decline("t", NOON)
    assert one.receive("t", NOON) == []
    assert one.balance("M2") == 0


def test_a_transfer_accepted_after_its_time_is_declined() -> None:
    one = rich()
    one.send("t", 15, NOON)
    one.send("u", 5, NOON)
    (on_time,) = one.receive("u", NOON + 5 * DAY - 1)
    (late,) = one.receive("t", NOON + 5 * DAY)
    assert (on_time.fact.kind, late.fact.kind) == ("transfer_in", "transfer_declined")
    assert late.fact.reason == "timed_out"
    assert one.balance("M2") == 5


def test_a_transfer_that_needs_no_acceptance_has_no_time_to_be_accepted_in() -> None:
    one = rich()
    one.send("t", 15, NOON, at_once=True)
    assert one.account("M1").sent["t"].until == 0
    one.receive("t", NOON + 30 * DAY)
    assert one.balance("M2") == 15


def test_points_that_expire_on_their_way_arrive_expired() -> None:
    one = rich()
    one.send("t", 15, moment(2026, 2, 27))
    (step,) = one.receive("t", moment(2026, 3, 1))
    assert (step.at, step.fact.kind) == (moment(2026, 3, 1), "transfer_in")
    assert one.balance("M2") == 5
    assert one.account("M2").totals["base"].expired == 10
    assert one.account("M2").due == 0


def test_points_that_expire_on_their_way_come_back_expired() -> None:
    one = rich()
    one.send("t", 15, moment(2026, 2, 27))
    one.decline("t", moment(2026, 3, 1))
    one.end("t", moment(2026, 3, 1), accepted=False)
    assert one.balance("M1") == 20
    assert one.account("M1").totals["base"].expired == 10


def test_a_gift_fills_the_receivers_negative_balance_with_what_is_alive() -> None:
    one = desk()
    bought = one.earn(10)
    one.redeem("r", 10, NOON)
    one.back(bought, NOON)
    one.earn(10, campaign="month", owner="M2")
    one.earn(3, owner="M2")
    one.send("t", 13, moment(2026, 2, 27), owner="M2", to="M1")
    one.receive("t", moment(2026, 3, 1), "M1", "M2")
    assert one.balance("M1") == -7


def test_a_gift_into_what_slides_keeps_the_later_expiry() -> None:
    one = desk()
    one.earn(10, campaign="slide")
    one.earn(10, NOON + 20 * DAY, campaign="slide", owner="M2")
    one.send("t", 10, NOON + 20 * DAY)
    one.receive("t", NOON + 20 * DAY)
    assert one.account("M2").due == moment(2026, 4, 11)
    one.note("visit", NOON)
    one.send("u", 20, NOON + 20 * DAY, owner="M2", to="M1")
    one.receive("u", NOON + 20 * DAY, "M1", "M2")
    assert one.account("M1").due == moment(2026, 4, 11)


def test_nothing_goes_to_oneself() -> None:
    one = rich()
    with pytest.raises(SameOwner):
        one.send("t", 5, NOON, to="M1")
    assert one.balance() == 30


def test_nobody_sends_what_they_do_not_have() -> None:
    one = rich()
    one.hold("h", 25, NOON)
    with pytest.raises(InsufficientPoints):
        one.send("t", 6, NOON)
    one.earn(10, campaign="later")
    with pytest.raises(InsufficientPoints):
        one.send("t", 6, NOON)
    assert one.balance() == 5


def test_at_most_50_transfers_are_on_their_way() -> None:
    one = desk()
    one.earn(100)
    for number in range(50):
        one.send(f"t{number}", 1, NOON)
    with pytest.raises(LimitReached):
        one.send("more", 1, NOON)
