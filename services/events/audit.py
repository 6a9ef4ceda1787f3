"""What an auditor asks of activities and decisions: do they hold, and what is their digest?"""

from collections.abc import AsyncIterator, Iterator, Sequence
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
from kit.audit import PATIENCE_SECONDS, Verdict, confirm, gapless
from kit.journal.port import Journal
from kit.streams import Head
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


async def findings(wiring: Wiring, patience_seconds: float = PATIENCE_SECONDS) -> list[str]:
    """Return what does not hold, as sentences; empty when all is well."""
    return (await examine(wiring, patience_seconds)).findings


async def examine(wiring: Wiring, patience_seconds: float = PATIENCE_SECONDS) -> Verdict:
    """Say what does not hold and what is on its way.

    Checked: both streams gapless; one decision for each activity, at its seq, and none that could
    be made is missing; shares sum to points; no line comes back twice; the registry, the
    snapshots and the progress of decisions agree with the journals.
    """
    verdict = Verdict()
    decided = 0
    async for page in members(wiring):
        verdict.add(await _judged(wiring, page))
        decided += sum(len(member.decisions) for member in page)

    async def look_again(owners: Sequence[str]) -> Verdict:
        return await _judged(wiring, [Member(owner) for owner in owners])

    await confirm(verdict, look_again, patience_seconds)
    total = 0
    async for facts in wiring.decisions.scan():
        total += len(facts)
    if total != decided and (orphans := await _orphans(wiring)):
        verdict.findings.append(f"{orphans} decisions belong to members without activities")
    return verdict


async def _judged(wiring: Wiring, page: list[Member]) -> Verdict:
    """Judge members, with what has come since they were met.

    Progress and snapshots are read first, then decisions, then activities, then the registry, each
    of which is written after the next: so none may be ahead of it.
    """
    views, verdict = wiring.store.views, Verdict()
    progress = await views.load(DECIDING, [m.member_id for m in page])
    snapshots = {m.member_id: await wiring.recording.snapshot(m.member_id) for m in page}
    await _catch_up(wiring.decisions, {f"decision:{m.member_id}": m.decisions for m in page})
    await _catch_up(wiring.activities, {f"activity:{m.member_id}": m.activities for m in page})
    registry = await views.load(ACTIVITY_INDEX, _activity_ids(page))
    for member in page:
        walk, member_id = _Walk(member), member.member_id
        verdict.findings += _activity_findings(walk, registry)
        verdict.findings += _decision_findings(walk)
        verdict.findings += _snapshot_findings(walk, snapshots[member_id])
        _judge_progress(verdict, walk, progress_of(progress.get(member_id)))
    return verdict


async def _catch_up(journal: Journal, streams: dict[str, list[Fact]]) -> None:
    """Add to the facts of each stream what follows them."""
    after = {stream: facts[-1].seq if facts else 0 for stream, facts in streams.items()}
    for stream, tail in (await journal.read_many(after)).items():
        facts = streams[stream]
        facts[:] = await gapless(journal, stream, facts + tail)


async def _orphans(wiring: Wiring) -> int:
    """Count the decisions of members without activities; new members have come since, perhaps."""
    orphans, here, known = 0, "", False
    async for facts in wiring.decisions.scan():
        for fact in facts:
            if fact.owner != here:
                here = fact.owner
                known = await wiring.activities.head(f"activity:{here}") > 0
            orphans += not known
    return orphans


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


def _judge_progress(verdict: Verdict, walk: _Walk, progress: Progress) -> None:
    decided, activities = len(walk.member.decisions), len(walk.member.activities)
    member_id = walk.member.member_id
    differs = f"{member_id}: {decided} activities are decided, progress says {progress.decided}"
    if progress.decided > decided:
        verdict.findings.append(differs)
    elif progress.decided < decided:
        verdict.suspect(member_id, differs)
    elif progress.seen > decided and _decidable(walk, progress):
        sentence = f"{member_id}: activity {decided + 1} could be decided and is not"
        verdict.suspect(member_id, sentence)
    if owed := len(walk.state.owed):
        verdict.suspect(member_id, f"{member_id}: {owed} matched returns are not written")
    # What is known of and lacks a card belongs to somebody who has not enrolled: it may wait.
    if decided < activities and (progress.seen < activities or progress.card is not None):
        verdict.unsettled.append(
            f"{member_id}: not settled, {decided} of {activities} activities are decided"
        )


def _decidable(walk: _Walk, progress: Progress) -> bool:
    following = walk.bodies.get(progress.decided + 1)
    if following is None or following.type == "return":
        return True
    return progress.card is not None and suffices(progress.card, progress.decided + 1)


def _snapshot_findings(walk: _Walk, snapshot: Head[ActivityState] | None) -> Iterator[str]:
    if snapshot is not None and walk.states.get(snapshot.seq) != snapshot.state:
        yield f"{walk.member.member_id}: the snapshot at {snapshot.seq} is not its fold"
