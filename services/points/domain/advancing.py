"""What time alone brings: lots open, vest and expire, holds time out.

Every command first lets the account's time pass up to its own, so that the result does not depend
on when the daily duty ran, whether it ran twice, late, or not at all: the duty is nothing but a
command that lets time pass. Each fact is stamped with the moment it fell due. At one moment lots
open before they vest, holds end before points expire: so what comes out of a hold at the end of a
lot's last day expires with it. What still waits when its lot expires, expires too.
"""

from dataclasses import dataclass

from contracts.points import HoldTerms, LotTerms, Posting
from services.points.domain.account import Hold, Lot, target_lot
from services.points.domain.entries import (
    Course,
    Policy,
    across,
    between,
    fill_debt,
    given_back,
    opening,
    parcels_of,
)


@dataclass(frozen=True, slots=True)
class Advance:
    """Let time pass up to ``to``."""

    owner: str
    to: int


def advance(course: Course, to: int, policy: Policy) -> int:
    """Add what falls due up to ``to``, and return the account's present.

    That is ``to``, or what its clock says already: a machine's clock may go back, an account's does
    not.
    """
    now = max(to, course.account.at)
    while 0 < (due := course.account.due) <= now:
        _open(course, due)
        _vest(course, due, policy)
        _time_out(course, due)
        _expire(course, due)
    return now


def _open(course: Course, now: int) -> None:
    for name, lot in list(course.account.lots.items()):
        if "~" in name and 0 < lot.opens <= now and lot.left > 0:
            open_lot(course, name, lot, now)


def open_lot(course: Course, name: str, lot: Lot, now: int, activity_id: str = "") -> None:
    """Move a waiting lot into the one it was earned for; a negative balance is filled first."""
    target = target_lot(name)
    terms = opening(course.account, [LotTerms(target, lot.wallet, 0, lot.expires)])
    postings = [
        *across("pending", lot.wallet, name, lot.left, into=target),
        *fill_debt(course.account, lot.wallet, [(target, lot.left)]),
    ]
    key = course.time_key()
    course.post("activate", key, now, postings, terms=terms, activity_id=activity_id)


def _vest(course: Course, now: int, policy: Policy) -> None:
    for name, vesting in list(course.account.vesting.items()):
        if not vesting.instalments or vesting.instalments[0].due > now:
            continue
        lot = course.account.lots[name]
        if not policy.vests(vesting.rule, vesting):
            postings = between("pending", "breakage", lot.wallet, name, lot.left)
            over = (LotTerms(name, lot.wallet, 0, now),)
            key = course.time_key()
            course.post("forfeit", key, now, postings, terms=over, reason=vesting.rule)
            continue
        last = len(vesting.instalments) == 1
        part = lot.left if last else min(lot.left, vesting.instalments[0].points)
        target = target_lot(name)
        terms = opening(course.account, [LotTerms(target, lot.wallet, 0, lot.expires)])
        vested: list[Posting] = [
            *across("pending", lot.wallet, name, part, into=target),
            *fill_debt(course.account, lot.wallet, [(target, part)]),
        ]
        course.post("vest", course.time_key(), now, vested, terms=terms, reason=vesting.rule)


def _time_out(course: Course, now: int) -> None:
    for hold_id, hold in list(course.account.holds.items()):
        if hold.until <= now:
            release(course, hold_id, hold, now, "timed_out")


def release(course: Course, hold_id: str, hold: Hold, now: int, reason: str) -> None:
    """End a hold without taking anything; what has expired meanwhile comes back expired."""
    parcels = parcels_of(course.account, hold.wallet, hold.parts)
    postings = given_back(course.account, parcels, now, source="held")
    key = end_of_hold(hold_id)
    course.post("release", key, now, postings, hold=told(hold_id, hold), reason=reason)


def end_of_hold(hold_id: str) -> str:
    """The key of the fact that ends a hold: there can be only one."""
    return f"hold-end:{hold_id}"


def told(hold_id: str, hold: Hold) -> HoldTerms:
    """The terms of a hold, for the entry that ends it."""
    return HoldTerms(hold_id, hold.until, hold.purpose, hold.reward_id, hold.quantity, hold.money)


def _expire(course: Course, now: int) -> None:
    for name, lot in list(course.account.lots.items()):
        if 0 < lot.expires <= now and lot.left > 0:
            source = "pending" if "~" in name else "member"
            postings = between(source, "breakage", lot.wallet, name, lot.left)
            course.post("expire", course.time_key(), now, postings)
