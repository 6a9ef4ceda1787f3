"""Household pools: who may put in, take out, and what everyone takes home."""

import pytest

from services.points.domain.errors import (
    AlreadyEnded,
    LimitReached,
    NotKnown,
    PoolRoleMissing,
)
from services.points.domain.moving import PoolChange, fair_share
from tests.services.points.ledger.book import moment
from tests.services.points.ledger.desk import NOON, Desk, desk


def household(m1: int = 10, m2: int = 10, m3: int = 10) -> Desk:
    """M1 owns it, M2 spends, M3 only puts in."""
    one = desk()
    for owner in ("M1", "M2", "M3"):
        one.earn(50, owner=owner)
    one.pool("found", "M1")
    for member, role in (("M2", "spender"), ("M3", "contributor")):
        one.pool("invite", member, role=role)
        one.pool("join", member)
    for owner, points in (("M1", m1), ("M2", m2), ("M3", m3)):
        if points:
            one.give(f"g{owner}", points, owner=owner)
    return one


def shares(one: Desk, member: str) -> int:
    account = one.account("@home")
    parts = fair_share(account, account.pool[member])
    return sum(n for _, n in parts.get("base", []))


def test_what_members_put_in_is_counted() -> None:
    one = household(20, 10, 5)
    assert one.balance("@home") == 35
    assert {who: seat.contributed for who, seat in one.account("@home").pool.items()} == {
        "M1": 20,
        "M2": 10,
        "M3": 5,
    }


def test_spenders_take_out_and_contributors_do_not() -> None:
    one = household()
    one.send("out", 5, NOON, owner="@home", to="M2", by="M2", at_once=True)
    one.hold("h", 5, NOON, owner="@home", by="M1")
    for refused in (
        lambda: one.send("no", 5, NOON, owner="@home", to="M3", by="M3"),
        lambda: one.hold("no", 5, NOON, owner="@home", by="M3"),
        lambda: one.hold("no", 5, NOON, owner="@home", by="stranger"),
    ):
        with pytest.raises(PoolRoleMissing):
            refused()
    assert one.buckets("@home") == (20, 0, 5)


def test_what_expires_on_its_way_into_a_pool_is_no_contribution() -> None:
    one = household(20, 10, 5)
    one.earn(7, campaign="month", owner="M3")
    one.send("late", 9, moment(2026, 2, 27), owner="M3", to="@home", at_once=True)
    one.receive("late", moment(2026, 3, 1), "@home", "M3")
    assert one.account("@home").pool["M3"].contributed == 5 + 2
    assert one.balance("@home") == 37


def test_somebody_outside_puts_nothing_in() -> None:
    one = household()
    one.earn(10, owner="M4")
    one.give("g", 5, owner="M4")
    assert one.marks("@home")[-1].reason == "not in the pool"
    one.end("g", NOON, accepted=False, owner="M4")
    assert (one.balance("M4"), one.balance("@home")) == (10, 30)


def test_an_invited_member_puts_nothing_in_before_joining() -> None:
    one = household()
    one.earn(10, owner="M4")
    one.pool("invite", "M4")
    one.give("g", 5, owner="M4")
    assert one.balance("@home") == 30


def test_only_the_owner_invites_and_nobody_twice() -> None:
    one = household()
    with pytest.raises(PoolRoleMissing):
        one.pool("invite", "M4", by="M2")
    with pytest.raises(AlreadyEnded):
        one.pool("invite", "M2")
    assert one.account("@home").pool["M2"].joined


def test_a_pool_is_founded_once() -> None:
    one = household()
    for member in ("M3", "M4"):
        with pytest.raises(AlreadyEnded):
            one.pool("found", member)


def test_nobody_joins_uninvited() -> None:
    one = household()
    with pytest.raises(NotKnown):
        one.pool("join", "M4")


def test_who_leaves_takes_a_fair_share_rounded_down() -> None:
    one = household(10, 10, 10)
    one.hold("h", 5, NOON, owner="@home", by="M1")
    one.pool("leave", "M3")
    one.receive("pool-leave.M3.base", NOON, "M3", "@home")
    assert (one.balance("M3"), one.balance("@home")) == (40 + 8, 17)
    assert "M3" not in one.account("@home").pool


def test_a_share_is_of_every_lot() -> None:
    one = desk()
    one.earn(9, campaign="month", owner="M1")
    one.earn(9, owner="M2")
    one.pool("found", "M1")
    one.pool("invite", "M2")
    one.pool("join", "M2")
    one.give("a", 9, owner="M1")
    one.give("b", 9, owner="M2")
    account = one.account("@home")
    assert fair_share(account, account.pool["M2"]) == {
        "base": [("base.2026-02-28", 4), ("base.never", 4)]
    }


def test_what_rounding_leaves_belongs_to_those_who_stay_and_the_last_one_takes_it_all() -> None:
    one = household(1, 1, 1)
    one.send("out", 1, NOON, owner="@home", to="M2", by="M2", at_once=True)
    one.receive("out", NOON, "M2", "@home")
    one.end("out", NOON, accepted=True, owner="@home")
    assert [shares(one, who) for who in ("M1", "M2", "M3")] == [0, 0, 0]
    one.pool("leave", "M3")
    one.pool("leave", "M2")
    one.pool("leave", "M1")
    one.receive("pool-leave.M2.base", NOON, "M2", "@home")
    one.receive("pool-leave.M1.base", NOON, "M1", "@home")
    assert [one.balance(who) for who in ("M1", "M2", "M3", "@home")] == [50, 51, 49, 0]


def test_who_put_in_nothing_takes_nothing() -> None:
    one = household(10, 0, 0)
    one.pool("leave", "M3")
    assert one.balance("@home") == 10


def test_who_was_only_invited_takes_nothing() -> None:
    one = desk()
    one.earn(50)
    one.pool("found", "M1")
    one.give("g", 20)
    one.pool("invite", "M2")
    one.pool("leave", "M2")
    assert one.balance("@home") == 20
    assert set(one.account("@home").pool) == {"M1"}


def test_the_owner_leaves_last() -> None:
    one = household()
    with pytest.raises(LimitReached):
        one.pool("leave", "M1")


def test_nobody_but_the_owner_makes_another_leave() -> None:
    one = household()
    with pytest.raises(PoolRoleMissing):
        one.pool("leave", "M3", by="M2")
    one.pool("leave", "M3", by="M1")
    assert "M3" not in one.account("@home").pool


def test_the_last_one_does_not_leave_points_behind_that_are_held_or_on_their_way() -> None:
    one = household()
    one.pool("leave", "M2")
    one.pool("leave", "M3")
    one.hold("h", 1, NOON, until=moment(2026, 1, 21), owner="@home", by="M1")
    with pytest.raises(LimitReached):
        one.pool("leave", "M1")
    one.pass_time(moment(2026, 1, 21), "@home")
    one.pool("leave", "M1", at=moment(2026, 1, 21))
    assert one.balance("@home") == 0


def test_a_departure_that_was_cut_short_sends_no_share_twice() -> None:
    one = household()
    command = PoolChange("@home", "k", "leave", "M3", "M3", NOON)
    first, second = one.decide(command)
    one.append("@home", [first])
    assert [step.key for step in one.do(command)] == [second.key] == ["k"]
    assert one.balance("@home") == 20
