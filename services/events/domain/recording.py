"""Recording activities: the fold of a member's activity stream, and what a new one adds to it.

The state holds nothing that grows with the member's history: the stream's seq, the returns that
wait for their purchase (at most ``MOST_WAITING``), and matches that are *owed*: their purchase has
arrived, their ``ReturnMatched`` is not written yet. Purchase and matches are written together, but
an append of two facts may stop after the first; the next command on the stream writes what is owed.

What a return takes back depends on the purchase and on earlier returns of it. Those are rare, so
they are read from the stream when a return comes and travel in the command, together with the head
of the stream at that moment: a stream that has moved on since makes the caller look again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from contracts.envelope import Fact
from contracts.events import ActivityRecorded, ReturnMatched, ReturnRequest
from kit.errors import ServiceError
from services.events.domain.returns import (
    MOST_WAITING,
    Purchase,
    take_back,
    take_back_at_most,
    with_returns,
)

LOOK_AGAIN = "look_again"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A return whose purchase has not arrived."""

    activity_id: str
    member_id: str
    occurred_at: int
    requested: ReturnRequest


@dataclass(frozen=True, slots=True)
class Owed:
    """A match still to be written, and when its return happened."""

    occurred_at: int
    match: ReturnMatched


@dataclass(frozen=True, slots=True)
class ActivityState:
    """What a member's activities add up to, as far as recording needs it."""

    seq: int = 0
    waiting: dict[str, tuple[Waiting, ...]] = field(default_factory=dict)  # by purchase
    owed: tuple[Owed, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """The command. ``looked_at`` is the stream's head when ``purchase`` was looked for."""

    activity: ActivityRecorded
    occurred_at: int
    purchase: Purchase | None = None
    looked_at: int = -1


@dataclass(frozen=True, slots=True)
class Recorded:
    """A fact to append."""

    key: str
    occurred_at: int
    body: ActivityRecorded | ReturnMatched


class ActivityFold:
    """The fold of ``activity:{member_id}``."""

    state_type = ActivityState
    bodies: Mapping[str, type] = {
        "ActivityRecorded": ActivityRecorded,
        "ReturnMatched": ReturnMatched,
    }

    def initial(self, owner: str) -> ActivityState:
        """Nothing has happened yet."""
        return ActivityState()

    def apply(self, state: ActivityState, fact: Fact, body: Any) -> ActivityState:
        """The state after one more fact."""
        if isinstance(body, ReturnMatched):
            rest = tuple(o for o in state.owed if o.match.activity_id != body.activity_id)
            return ActivityState(fact.seq, state.waiting, rest)
        return recorded(state, body, fact.seq, fact.occurred_at)


def recorded(
    state: ActivityState, activity: ActivityRecorded, seq: int, occurred_at: int
) -> ActivityState:
    """The state after an activity with this place and time."""
    if activity.requested is not None and activity.returned is None:
        return _waits(state, activity, seq, occurred_at)
    if activity.type == "purchase" and activity.activity_id in state.waiting:
        return _matches(state, activity, seq, occurred_at)
    return ActivityState(seq, state.waiting, state.owed)


def match_key(activity_id: str) -> str:
    """The key of the fact that a return has found its purchase."""
    return f"{activity_id}.matched"


def record(state: ActivityState, command: Record) -> list[Recorded]:
    """What a command adds to the stream: what is owed, the activity, and its matches."""
    activity = command.activity
    if activity.requested is not None:
        activity = _resolved(state, command, activity.requested)
    new = Recorded(activity.activity_id, command.occurred_at, activity)
    if not state.owed and activity.activity_id not in state.waiting:
        return [new]
    seq = state.seq + len(state.owed) + 1
    after = recorded(replace(state, owed=()), activity, seq, command.occurred_at)
    return [*owed(state), new, *owed(after)]


def owed(state: ActivityState) -> list[Recorded]:
    """The matches that are still to be written."""
    return [Recorded(match_key(o.match.activity_id), o.occurred_at, o.match) for o in state.owed]


def _resolved(state: ActivityState, command: Record, request: ReturnRequest) -> ActivityRecorded:
    if state.seq > command.looked_at:
        raise ServiceError("conflict", LOOK_AGAIN, "The stream has moved on since the look-up")
    if command.purchase is None:
        if sum(map(len, state.waiting.values())) >= MOST_WAITING:
            raise ServiceError(
                "refused",
                "too_many_waiting_returns",
                "Too many returns of this member wait for purchases that have not arrived",
                limit=MOST_WAITING,
            )
        return command.activity
    purchase = with_returns(command.purchase, (o.match.returned for o in state.owed))
    return msgspec.structs.replace(command.activity, returned=take_back(purchase, request))


def _waits(
    state: ActivityState, activity: ActivityRecorded, seq: int, occurred_at: int
) -> ActivityState:
    assert activity.requested is not None
    purchase = activity.requested.activity_id
    waiting = Waiting(activity.activity_id, activity.member_id, occurred_at, activity.requested)
    others = state.waiting.get(purchase, ())
    return ActivityState(seq, {**state.waiting, purchase: (*others, waiting)}, state.owed)


def _matches(
    state: ActivityState, activity: ActivityRecorded, seq: int, occurred_at: int
) -> ActivityState:
    """The returns that waited for this purchase take back their share, in order of arrival."""
    purchase = Purchase(activity.activity_id, seq, occurred_at, activity.lines, {})
    matched = []
    for waiting in state.waiting[activity.activity_id]:
        returned = take_back_at_most(purchase, waiting.requested)
        purchase = with_returns(purchase, [returned])
        match = ReturnMatched(waiting.activity_id, waiting.member_id, returned)
        matched.append(Owed(waiting.occurred_at, match))
    rest = {key: value for key, value in state.waiting.items() if key != activity.activity_id}
    return ActivityState(seq, rest, (*state.owed, *matched))
