"""Meters: how often, and for how many points, a device or a payee was used lately.

A meter remembers the requests of the longest window and no more than ``MOST_ENTRIES`` of them, so
a limit on the count is at most that. A request that is refused leaves no trace.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from contracts.catalogue import MeterCounted
from kit.clock import SECOND, from_micros
from kit.errors import ServiceError

MOST_ENTRIES = 500
HOUR = 3_600 * SECOND


class Meter(msgspec.Struct, frozen=True, array_like=True):
    """Times and points of the requests counted, oldest first."""

    at: tuple[int, ...] = ()
    points: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class MeterLimit:
    """At most ``count`` requests, and ``points`` of all of them, within any ``hours`` hours."""

    hours: int
    count: int = MOST_ENTRIES
    points: int | None = None

    def __post_init__(self) -> None:
        if not (1 <= self.count <= MOST_ENTRIES and self.hours >= 1):
            raise ValueError(f"a meter counts 1 to {MOST_ENTRIES} within whole hours: {self}")


@dataclass(frozen=True, slots=True)
class Count:
    """Count a request of ``points`` at ``now`` against ``limits``."""

    kind: str
    request: str
    points: int
    now: int
    limits: tuple[MeterLimit, ...]


class VelocityExceeded(ServiceError):
    """A limit of a meter; says which, and when the same request would pass."""

    def __init__(self, count: Count, limit: MeterLimit, what: str, used: int, again: int) -> None:
        allowed = limit.count if what == "requests" else limit.points
        when = from_micros(again).strftime("%Y-%m-%dT%H:%M:%SZ")
        super().__init__(
            "too_many",
            f"{count.kind}_velocity",
            f"Too many {what} for this {count.kind}: at most {allowed} within {limit.hours} hours. "
            f"Possible again at {when}.",
            meter=count.kind,
            limited=what,
            limit=allowed,
            used=used,
            window_hours=limit.hours,
            possible_again_at=when,
            retry_after_seconds=max(1, -(-(again - count.now) // SECOND)),
        )


def decide(state: Meter, count: Count) -> MeterCounted:
    """The fact of a request that is within its limits; raises VelocityExceeded.

    A request that by itself asks for more points than a limit allows is ``refused`` for good.
    """
    for limit in count.limits:
        if limit.points is not None and count.points > limit.points:
            raise _never(count, limit, limit.points)
        _check(state, count, limit)
    return MeterCounted(count.request, count.points)


def _check(state: Meter, count: Count, limit: MeterLimit) -> None:
    """A window is full until enough of its oldest requests have left it."""
    window = limit.hours * HOUR
    recent = [
        (at, points)
        for at, points in zip(state.at, state.points, strict=True)
        if at > count.now - window
    ]
    if len(recent) >= limit.count:
        again = recent[len(recent) - limit.count][0] + window
        raise VelocityExceeded(count, limit, "requests", len(recent), again)
    used = sum(points for _, points in recent)
    if limit.points is not None and used + count.points > limit.points:
        again = _free_at(recent, used + count.points - limit.points) + window
        raise VelocityExceeded(count, limit, "points", used, again)


def _free_at(recent: Sequence[tuple[int, int]], excess: int) -> int:
    """When the request was made with whose leaving ``excess`` points have left the window."""
    for at, points in recent:
        excess -= points
        if excess <= 0:
            return at
    return recent[-1][0]


def _never(count: Count, limit: MeterLimit, most: int) -> ServiceError:
    return ServiceError(
        "refused",
        f"{count.kind}_points_limit",
        f"At most {most} points within {limit.hours} hours for one {count.kind}; ask for less",
        meter=count.kind,
        limit=most,
        asked=count.points,
        window_hours=limit.hours,
    )


def apply(state: Meter, fact: MeterCounted, at: int) -> Meter:
    """The meter after a request at ``at``; the oldest is forgotten when there are too many."""
    latest = max(at, state.at[-1]) if state.at else at
    times, points = (*state.at, latest), (*state.points, fact.points)
    return Meter(times[-MOST_ENTRIES:], points[-MOST_ENTRIES:])
