"""What an auditor asks of activities and decisions: do they hold, and what is their digest?"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

from msgspec.structs import replace

from contracts.envelope import Fact
from contracts.events import (
    ActivityRecorded,
    Grant,
    ReturnedPurchase,
    RewardGranted,
    RewardReturned,
)
from kit.views.port import Document
from services.events.domain.as_of import Progress, suffices
from services.events.domain.recording import ActivityFold, ActivityState
from services.events.intake import input_hash
from services.events.queries import Decision, decision_body, why_undecided
from services.events.views import ACTIVITY_INDEX, DECIDING, Registered, progress_of, registered
from services.events.walking import Member, activity_body, members
from services.events.wiring import Wiring

_FOLD = ActivityFold()


@dataclass
class _Walk:
    """A member's activities as the walk has folded them."""

    member: Member
    state: ActivityState = field(default_factory=ActivityState)
    states: dict[int, ActivityState] = field(default_factory=dict)
    bodies: dict[int, ActivityRecorded] = field(default_factory=dict)
    taken: dict[tuple[int, int], int] = field(default_factory=dict)  # by purchase's seq and line


async def findings(wiring: Wiring) -> list[str]:
    """Return what does not hold, as sentences; empty when all is well.

    Checked: both streams gapless; one decision for each activity, at its seq, and none that could
    be made is missing; shares sum to points; no line comes back twice; the registry, the
    snapshots and the progress of decisions agree with the journals.
    """
    found: list[str] = []
    decided = 0
    async for page in members(wiring):
        registry = await wiring.store.views.load(ACTIVITY_INDEX, _activity_ids(page))
        progress = await wiring.store.views.load(DECIDING, [m.member_id for m in page])
        for member in page:
            walk = _Walk(member)
            found += _activity_findings(walk, registry)
            found += _decision_findings(walk)
            found += _progress_findings(walk, progress_of(progress.get(member.member_id)))
            found += await _snapshot_findings(wiring, walk)
            decided += len(member.decisions)
    total = 0
    async for facts in wiring.decisions.scan():
        total += len(facts)
    if total != decided:
        found.append(f"{total - decided} decisions belong to members without activities")
    return found


async def waiting(wiring: Wiring) -> AsyncIterator[str]:
    """Yield ``waiting MEMBER SEQ REASON`` for each activity that is not decided yet."""
    async for page in members(wiring):
        documents = await wiring.store.views.load(DECIDING, [m.member_id for m in page])
        for member in page:
            progress = progress_of(documents.get(member.member_id))
            for fact in member.activities[len(member.decisions) :]:
                reason, _ = why_undecided(progress, fact.seq)
                yield f"waiting {member.member_id} {fact.seq} {reason}"


async def digest_lines(wiring: Wiring) -> AsyncIterator[str]:
    """Yield ``decision SOURCE EXTERNAL_ID OUTCOME CAMPAIGN WALLET POINTS TIER STAGE``.

    One line for each grant, and one for a decision without any; of what a return takes back, the
    money stands in the place of the points. Sorted within a member.
    """
    async for page in members(wiring):
        for member in page:
            for line in sorted(_digest(member)):
                yield line


def _digest(member: Member) -> Iterator[str]:
    names: dict[str, str] = {}
    for fact in member.activities:
        body = activity_body(fact)
        if isinstance(body, ActivityRecorded):
            names[body.activity_id] = f"{body.source} {body.external_id}"
    for fact in member.decisions:
        decision = decision_body(fact)
        start = f"decision {names.get(decision.activity_id, '- -')}"
        yield from (f"{start} {rest}" for rest in _outcomes(decision))


def _outcomes(decision: Decision) -> Iterator[str]:
    if isinstance(decision, RewardReturned):
        yield f"returned - - {decision.returned.amount} - -"
        return
    standing = f"{decision.as_of.tier or '-'} {decision.as_of.stage or '-'}"
    if isinstance(decision, RewardGranted):
        for grant in decision.grants:
            yield f"granted {grant.campaign_id} {grant.wallet} {grant.points} {standing}"
    else:
        yield f"withheld - - 0 {standing}"


def _activity_ids(page: list[Member]) -> list[str]:
    return [f.key for m in page for f in m.activities if f.type == "ActivityRecorded"]


def _activity_findings(walk: _Walk, registry: dict[str, Document]) -> Iterator[str]:
    for place, fact in enumerate(walk.member.activities, 1):
        if fact.seq != place:
            yield f"{fact.id}: seq {place} was expected"
        body = activity_body(fact)
        if isinstance(body, ActivityRecorded):
            walk.bodies[fact.seq] = body
            yield from _registry_findings(fact, body, registry.get(body.activity_id))
        if body.returned is not None:
            yield from _return_findings(walk, fact, body.returned)
        walk.state = walk.states[fact.seq] = _FOLD.apply(walk.state, fact, body)
    if walk.state.owed:
        yield f"{walk.member.member_id}: {len(walk.state.owed)} matched returns are not written"


def _registry_findings(
    fact: Fact, body: ActivityRecorded, document: Document | None
) -> Iterator[str]:
    sent = input_hash(replace(body, returned=None), fact.occurred_at)
    if document is None:
        yield f"{fact.id}: {body.activity_id} is not in the registry"
    elif registered(document) != Registered(fact.owner, sent):
        yield f"{fact.id}: {body.activity_id} is registered for other content"


def _return_findings(walk: _Walk, fact: Fact, returned: ReturnedPurchase) -> Iterator[str]:
    purchase = walk.bodies.get(returned.seq)
    if purchase is None or purchase.activity_id != returned.activity_id:
        yield f"{fact.id}: activity {returned.seq} is not the purchase it takes back"
        return
    paid = {line.line: line.amount for line in purchase.lines}
    for line in returned.lines:
        before = walk.taken.get((returned.seq, line.line), 0)
        if line.before != before or not before <= line.after <= paid.get(line.line, -1):
            yield f"{fact.id}: line {line.line} goes from {line.before} to {line.after}"
        walk.taken[returned.seq, line.line] = line.after


def _decision_findings(walk: _Walk) -> Iterator[str]:
    keys = {fact.seq: fact.key for fact in walk.member.activities}
    for place, fact in enumerate(walk.member.decisions, 1):
        if fact.seq != place:
            yield f"{fact.id}: seq {place} was expected"
        if keys.get(fact.seq) != fact.key:
            yield f"{fact.id}: it decides {fact.key}, but the activity there is another"
        decision = decision_body(fact)
        if isinstance(decision, RewardGranted):
            for grant in decision.grants:
                yield from _grant_findings(fact, grant, walk.bodies.get(fact.seq))


def _grant_findings(fact: Fact, grant: Grant, purchase: ActivityRecorded | None) -> Iterator[str]:
    shares = sum(points for _, _, points in grant.lines)
    if grant.lines and shares != grant.points:
        yield f"{fact.id}: shares in {grant.wallet} sum to {shares}, not {grant.points}"
    lines = [(line.line, line.amount) for line in purchase.lines] if purchase else []
    if grant.lines and [(line, amount) for line, amount, _ in grant.lines] != lines:
        yield f"{fact.id}: the lines in {grant.wallet} are not the purchase's"


def _progress_findings(walk: _Walk, progress: Progress) -> Iterator[str]:
    decided, member_id = len(walk.member.decisions), walk.member.member_id
    if progress.decided != decided:
        yield f"{member_id}: {decided} activities are decided, progress says {progress.decided}"
    if progress.seen <= decided:
        return
    following = walk.bodies.get(decided + 1)
    is_return = following is None or following.type == "return"
    if is_return or (progress.card is not None and suffices(progress.card, decided + 1)):
        yield f"{member_id}: activity {decided + 1} could be decided and is not"


async def _snapshot_findings(wiring: Wiring, walk: _Walk) -> list[str]:
    snapshot = await wiring.recording.snapshot(walk.member.member_id)
    if snapshot is None or walk.states.get(snapshot.seq) == snapshot.state:
        return []
    return [f"{walk.member.member_id}: the snapshot at {snapshot.seq} is not its fold"]
