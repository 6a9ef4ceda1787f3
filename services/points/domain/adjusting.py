"""Manual corrections: a reason, a limit above which a second person must agree, both names kept.

Invariants: a request is decided once, by the one fact that bears ``adjustment:{id}``; who approves
is not who asked; a correction never takes more than there is, nor gives more than can be told.
"""

from dataclasses import dataclass

import msgspec

from contracts.points import AdjustmentTerms, LotTerms, Parcel, Posting
from services.points.domain.advancing import advance
from services.points.domain.entries import (
    MOST_POINTS,
    Course,
    Policy,
    between,
    given_back,
    opening,
    require_amount,
    take,
)
from services.points.domain.errors import AmountOutOfBounds, LimitReached, NotKnown, SamePerson
from services.points.domain.terms import Credit

MOST_REQUESTS = 20


@dataclass(frozen=True, slots=True)
class Adjust:
    """Correct a balance. ``credit`` says into which lot, for points that are given.

    ``alone_up_to``: as many points as one person may move; more waits for a second, and so does
    what ``asked`` says of itself that it waits.
    ``account`` is the system account on the other side.
    """

    owner: str
    key: str
    asked: AdjustmentTerms
    at: int
    alone_up_to: int
    credit: Credit | None = None
    account: str = "adjustment"


@dataclass(frozen=True, slots=True)
class Approve:
    """Agree to a correction that somebody else asked for."""

    owner: str
    request_id: str
    at: int
    by: str
    credit: Credit | None = None
    account: str = "adjustment"


@dataclass(frozen=True, slots=True)
class Reject:
    """Refuse a correction that somebody else asked for, or take back one's own."""

    owner: str
    request_id: str
    at: int
    by: str
    reason: str


def adjustment_key(request_id: str) -> str:
    """The key of the fact that decides a request."""
    return f"adjustment:{request_id}"


def adjust(course: Course, command: Adjust, policy: Policy) -> None:
    """Add a correction, or the request for one. Raises InsufficientPoints, LimitReached."""
    now = advance(course, command.at, policy)
    asked = command.asked
    require_amount(abs(asked.points))
    if abs(asked.points) <= command.alone_up_to and asked.waits_because is None:
        _book(course, command.key, asked, command.credit, command.account, now)
        return
    if len(course.account.requests) >= MOST_REQUESTS:
        raise LimitReached("open_requests", f"At most {MOST_REQUESTS} requests wait at a time")
    course.mark(
        "adjustment_requested", command.key, now, asked.request_id, adjustment=asked, by=asked.by
    )


def approve(course: Course, command: Approve, policy: Policy) -> None:
    """Add the correction that was asked for. Raises NotKnown, SamePerson, InsufficientPoints."""
    now = advance(course, command.at, policy)
    if (asked := course.account.requests.get(command.request_id)) is None:
        raise NotKnown("adjustment", command.request_id)
    if asked.by == command.by:
        raise SamePerson(command.by)
    both = msgspec.structs.replace(asked, approved_by=command.by)
    key = adjustment_key(command.request_id)
    _book(course, key, both, command.credit, command.account, now)


def reject(course: Course, command: Reject, policy: Policy) -> None:
    """Mark that the correction will not be made. Raises NotKnown."""
    now = advance(course, command.at, policy)
    if (asked := course.account.requests.get(command.request_id)) is None:
        raise NotKnown("adjustment", command.request_id)
    course.mark(
        "adjustment_rejected",
        adjustment_key(command.request_id),
        now,
        command.request_id,
        adjustment=asked,
        by=command.by,
        reason=command.reason,
    )


def _book(
    course: Course,
    key: str,
    asked: AdjustmentTerms,
    into: Credit | None,
    account: str,
    now: int,
) -> None:
    postings: list[Posting] = []
    terms: tuple[LotTerms, ...] = ()
    if asked.points < 0:
        for lot, points in take(course.account, asked.wallet, -asked.points):
            postings += between("member", account, asked.wallet, lot, points)
    else:
        if into is None:
            raise ValueError("points that are given need a lot to go into")
        if course.account.balances.get(asked.wallet, 0) + asked.points > MOST_POINTS:
            raise AmountOutOfBounds("points", asked.points)
        there = into.target or into.terms
        given = Parcel(there.lot, asked.wallet, there.expires, asked.points)
        postings += given_back(course.account, [given], now, source=account)
        terms = opening(course.account, [there])
    course.post("adjust", key, now, postings, adjustment=asked, terms=terms, by=asked.by)
