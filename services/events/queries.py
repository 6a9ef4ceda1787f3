"""Reading activities and decisions, from the journals directly: they are never behind."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from contracts.envelope import Fact
from contracts.events import (
    ActivityRecorded,
    ReturnMatched,
    RewardGranted,
    RewardReturned,
    RewardWithheld,
)
from kit.errors import ServiceError
from services.events.domain.as_of import Progress, suffices
from services.events.domain.identity import is_source_of
from services.events.domain.recording import match_key
from services.events.views import ACTIVITY_INDEX, DECIDING, progress_of, registered
from services.events.wiring import Wiring

LATEST = 2**53

Activity = ActivityRecorded | ReturnMatched
Decision = RewardGranted | RewardWithheld | RewardReturned
_DECISIONS: Mapping[str, msgspec.json.Decoder[Any]] = {
    kind.__name__: msgspec.json.Decoder(kind)
    for kind in (RewardGranted, RewardWithheld, RewardReturned)
}


@dataclass(frozen=True, slots=True)
class Decided:
    """The last word on an activity; without a decision, why there is none yet."""

    activity: Fact
    decision: Fact | None
    reason: str | None = None
    explanation: str | None = None


def decision_body(fact: Fact) -> Decision:
    """Decode a fact of the decision stream."""
    body: Decision = _DECISIONS[fact.type].decode(fact.body)
    return body


async def timeline(wiring: Wiring, member_id: str, limit: int, before: int | None) -> list[Fact]:
    """Return a member's activities, newest first: those before a seq, or the newest."""
    stream = wiring.recording.stream(member_id)
    return await wiring.activities.read(stream, 0, limit, backwards_from=before or LATEST)


async def owner_of(wiring: Wiring, activity_id: str) -> str:
    """Return whose activity it is; raises ServiceError ``missing``."""
    documents = await wiring.store.views.load(ACTIVITY_INDEX, [activity_id])
    if activity_id not in documents:
        raise missing(activity_id)
    return registered(documents[activity_id]).member_id


async def activity(
    wiring: Wiring, member_id: str, activity_id: str, partner: str | None = None
) -> tuple[Fact, Fact | None]:
    """Return a member's activity, and its match if it is a return that had to wait for one.

    With a ``partner``, only if it is from a source of that partner.
    """
    found = await _with_match(wiring, member_id, activity_id, partner)
    return found[activity_id], found.get(match_key(activity_id))


async def decision(
    wiring: Wiring, member_id: str, activity_id: str, partner: str | None = None
) -> Decided:
    """Return what was decided on an activity; for a return, once matched, on its match.

    With a ``partner``, only if the activity is from a source of that partner.
    """
    found = await _with_match(wiring, member_id, activity_id, partner)
    fact = found.get(match_key(activity_id)) or found[activity_id]
    decisions = await wiring.decisions.read(f"decision:{member_id}", fact.seq - 1, 1)
    if decisions:
        return Decided(fact, decisions[0])
    documents = await wiring.store.views.load(DECIDING, [member_id])
    reason, explanation = why_undecided(progress_of(documents.get(member_id)), fact.seq)
    return Decided(fact, None, reason, explanation)


def why_undecided(progress: Progress, seq: int) -> tuple[str, str]:
    """Return a code and a sentence for why an activity has not been decided."""
    if progress.card is None:
        return "not_enrolled", "The member is not enrolled yet; it is decided once they are."
    if not suffices(progress.card, seq):
        return (
            "card_behind",
            f"The member's card has taken in activity {progress.card.absorbed}; "
            f"this is activity {seq}.",
        )
    return "in_line", "It is about to be decided."


async def _with_match(
    wiring: Wiring, member_id: str, activity_id: str, partner: str | None
) -> dict[str, Fact]:
    stream = wiring.recording.stream(member_id)
    found = await wiring.activities.find(stream, [activity_id, match_key(activity_id)])
    if activity_id not in found:
        raise missing(activity_id)
    if partner is not None:
        source = wiring.recording.body(found[activity_id]).source
        if not is_source_of(source, partner):
            raise missing(activity_id)
    return found


def missing(activity_id: str) -> ServiceError:
    """There is no such activity, or none that the caller may know of."""
    return ServiceError(
        "missing", "activity_not_found", "There is no such activity", activity_id=activity_id
    )
