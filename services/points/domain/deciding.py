"""What may be asked of an account, and the facts it makes: pure.

What a command asks for comes after what time brings, and nothing is built on it in the same course
unless the account itself tells that it was done before (the seq of a decision). So when a command
comes again and its fact is known by its key, the facts in front of it are right all the same. A
step that is built on what was asked for says so (``follows_on``), and is left out when that is
known by its key.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from services.points.domain.account import Account
from services.points.domain.adjusting import Adjust, Approve, Reject, adjust, approve, reject
from services.points.domain.advancing import Advance, advance
from services.points.domain.earning import Earn, Note, TakeBack, earn, note, take_back
from services.points.domain.entries import Course, Policy, Step
from services.points.domain.holding import (
    Cancel,
    Capture,
    Fulfil,
    PlaceHold,
    Release,
    RuleOut,
    cancel,
    capture,
    fulfil,
    place_hold,
    release_hold,
    rule_out,
)
from services.points.domain.moving import (
    Decline,
    EndSent,
    PoolChange,
    Receive,
    Send,
    change_pool,
    decline,
    end_sent,
    receive,
    send,
)


@dataclass(frozen=True, slots=True)
class ChangeContact:
    """The member's contact details changed; ``seq`` is the fact's in the member's stream."""

    owner: str
    seq: int
    at: int


Command = (
    Earn
    | TakeBack
    | Note
    | Advance
    | PlaceHold
    | Capture
    | Release
    | RuleOut
    | Fulfil
    | Cancel
    | Send
    | Receive
    | Decline
    | EndSent
    | PoolChange
    | Adjust
    | Approve
    | Reject
    | ChangeContact
)


def decide(account: Account, command: Command, policy: Policy) -> list[Step]:
    """Return the facts a command makes, in order; none when it was carried out before.

    Raises a ServiceError that says why when the rules say no.
    """
    course = Course(command.owner, account)
    _RULES[type(command)](course, command, policy)
    return course.steps


def _advance(course: Course, command: Advance, policy: Policy) -> None:
    advance(course, command.to, policy)


def _note(course: Course, command: Note, policy: Policy) -> None:
    note(
        course,
        command.seq,
        command.activity_id,
        command.at,
        command.progress,
        command.about,
        policy,
    )


def _contact(course: Course, command: ChangeContact, policy: Policy) -> None:
    if command.at > course.account.contact_changed:
        advance(course, command.at, policy)
        key = f"contact:{command.seq}"
        course.mark("contact_changed", key, command.at, str(command.seq))


_RULES: dict[type, Callable[[Course, Any, Policy], object]] = {
    Earn: earn,
    TakeBack: take_back,
    Note: _note,
    Advance: _advance,
    PlaceHold: place_hold,
    Capture: capture,
    Release: release_hold,
    RuleOut: rule_out,
    Fulfil: fulfil,
    Cancel: cancel,
    Send: send,
    Receive: receive,
    Decline: decline,
    EndSent: end_sent,
    PoolChange: change_pool,
    Adjust: adjust,
    Approve: approve,
    Reject: reject,
    ChangeContact: _contact,
}
