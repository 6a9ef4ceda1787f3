"""A walk over all members: each one's activities and the decisions on them, side by side."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from contracts.envelope import Fact
from contracts.events import ActivityRecorded, ReturnMatched
from services.events.wiring import Wiring

FACTS_AT_ONCE = 2_000

_BODIES: Mapping[str, msgspec.json.Decoder[Any]] = {
    kind.__name__: msgspec.json.Decoder(kind) for kind in (ActivityRecorded, ReturnMatched)
}


@dataclass
class Member:
    """A member's two streams."""

    member_id: str
    activities: list[Fact] = field(default_factory=list)
    decisions: list[Fact] = field(default_factory=list)


def activity_body(fact: Fact) -> ActivityRecorded | ReturnMatched:
    """Decode a fact of an activity stream."""
    body: ActivityRecorded | ReturnMatched = _BODIES[fact.type].decode(fact.body)
    return body


async def members(wiring: Wiring) -> AsyncIterator[list[Member]]:
    """Yield all members that have activities, some at a time, each of them whole."""
    page: list[Member] = []
    held = 0
    async for facts in wiring.activities.scan():
        for fact in facts:
            if not page or page[-1].member_id != fact.owner:
                if held >= FACTS_AT_ONCE:
                    yield await _with_decisions(wiring, page)
                    page, held = [], 0
                page.append(Member(fact.owner))
            page[-1].activities.append(fact)
            held += 1
    if page:
        yield await _with_decisions(wiring, page)


async def _with_decisions(wiring: Wiring, page: list[Member]) -> list[Member]:
    found = await wiring.decisions.read_many({f"decision:{m.member_id}": 0 for m in page})
    for member in page:
        member.decisions = found[f"decision:{member.member_id}"]
    return page
