"""The relationship: how a member's tier and stage follow from their activities and from time.

Invariants:

* Tier and stage are a function of what is known and of the clock, so any order of arrival ends in
  the same tier and stage, and a purchase returned in full ends as if it had never been.
* The clock never goes back. What time alone brings (a lapse, spend leaving the window) is recorded
  at the instant it is due, before the activity that moved the clock past it.
* Every step of the stage is recorded, one by one, and each record begins where the last one ended.
* What is recorded depends on the activities in order of their seq, not on how they were batched.
"""

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from contracts.members import CardChange, StageChanged, TierChanged
from services.members.domain.evidence import (
    Holds,
    bits,
    holding,
    taken_in,
    turning_points,
)
from services.members.domain.rules import EVIDENCE, Rules
from services.members.domain.spend import drops, spent, tier_of, within
from services.members.domain.state import (
    NEVER,
    Activity,
    Enrolment,
    Known,
    Relationship,
    Spend,
)

BEFORE_EVERYTHING = 0


class Transition(msgspec.Struct, frozen=True, gc=False):
    """A fact about the relationship, its key in the stream and when it happened."""

    key: str
    at: int
    body: TierChanged | StageChanged


class Step(msgspec.Struct, frozen=True, gc=False):
    """A relationship moved on, and the facts of the way."""

    state: Relationship
    transitions: tuple[Transition, ...] = ()


def beginning(rules: Rules) -> Relationship:
    """A member nothing is known of: the lowest tier, the first stage, since ever."""
    tier, stage = rules.tiers[0].code, rules.stages[0]
    start = CardChange(0, BEFORE_EVERYTHING, tier, stage)
    return Relationship(0, 0, tier, stage, 0, Known(), Spend(), (start,))


def enrolled(state: Relationship, enrolment: Enrolment, file_seq: int) -> Relationship:
    """The member has joined, or their file has changed; tier and stage know nothing of it."""
    return replace(state, enrolment=enrolment, file_seq=file_seq)


def fold(state: Relationship, activity: Activity, seq: int, at: int, rules: Rules) -> Step:
    """Take in the next activity of the member: first what time brought, then the activity."""
    before = advance(state, activity.member_id, at, rules)
    state, clock = before.state, max(before.state.clock, at)
    known = taken_in(state.known, activity, at, seq, rules)
    spend = _after(state.spend, activity, at, clock, rules)
    state = Relationship(
        seq,
        clock,
        state.tier,
        state.stage,
        state.stage_since if state.absorbed else at,
        known,
        spend,
        state.changes,
        state.complete_from,
        (),
        state.enrolment,
        state.file_seq,
    )
    holds = holding(known, rules)
    after = _looked_at(state, activity.member_id, holds, rules, activity.activity_id)
    state = replace(after.state, due=_due(after.state, holds, rules))
    return Step(state, before.transitions + after.transitions)


def _after(spend: Spend, activity: Activity, at: int, clock: int, rules: Rules) -> Spend:
    """Spend after an activity, in the window as of the clock."""
    today = rules.calendar.day(clock)
    spend = within(spend, today, rules)
    if activity.type == "purchase":
        when, amount = at, activity.amount
    elif activity.returned is not None:
        when, amount = activity.returned.occurred_at, -activity.returned.amount
    else:
        return spend
    day = today if when == clock else rules.calendar.day(when)
    return spent(spend, day, amount) if day > today - rules.window_days else spend


def advance(state: Relationship, member_id: str, to: int, rules: Rules) -> Step:
    """Realise what time alone brings up to an instant, each change when it is due.

    The clock moves to the last change, not to ``to``: an activity from in between still arrives
    in time.
    """
    if not state.due or state.due[0].at > to:
        return Step(state)
    holds = holding(state.known, rules)
    transitions: tuple[Transition, ...] = ()
    while state.due and (change := state.due[0]).at <= to:
        spend = within(state.spend, rules.calendar.day(change.at), rules)
        state = replace(state, clock=change.at, spend=spend, due=state.due[1:])
        step = _looked_at(state, member_id, holds, rules)
        state, transitions = step.state, transitions + step.transitions
    return Step(state, transitions)


def _due(state: Relationship, holds: Holds, rules: Rules) -> tuple[CardChange, ...]:
    """The changes that time alone will bring after the clock, all of them."""
    dropped = drops(state.spend, rules)
    turns = turning_points(holds, state.clock)
    tier, stage = state.tier, state.stage
    found: list[CardChange] = []
    for at in sorted({*turns, *dropped}):
        new_tier = rules.tiers[dropped[at]].code if at in dropped else tier
        new_stage = rules.stages[rules.ladder[bits(holds, at)]]
        if new_tier != tier or new_stage != stage:
            tier, stage = new_tier, new_stage
            found.append(CardChange(state.absorbed, at, tier, stage))
    return tuple(found)


def _looked_at(
    state: Relationship, member_id: str, holds: Holds, rules: Rules, cause: str | None = None
) -> Step:
    """Compare tier and stage with what the clock makes of them, and record what is different."""
    tier = rules.tiers[tier_of(state.spend.total, rules)].code
    evidence = bits(holds, state.clock)
    stage = rules.stages[rules.ladder[evidence]]
    if tier == state.tier and stage == state.stage:
        return Step(state)
    transitions: list[Transition] = []
    if tier != state.tier:
        transitions.append(_tier_changed(state, member_id, tier))
    if stage != state.stage:
        facts = _rests_on(state.known, holds, cause)
        transitions += _stage_changes(state, member_id, stage, evidence, facts, rules)
    changes = (*state.changes, CardChange(state.absorbed, state.clock, tier, stage))
    complete_from = state.complete_from
    if len(changes) > rules.recent_changes:
        changes = changes[1:]
        complete_from = changes[0].after_seq + 1
    state = replace(
        state,
        tier=tier,
        stage=stage,
        stage_since=state.stage_since if stage == state.stage else state.clock,
        changes=changes,
        complete_from=complete_from,
    )
    return Step(state, tuple(transitions))


def _tier_changed(state: Relationship, member_id: str, tier: str) -> Transition:
    body = TierChanged(member_id, state.tier, tier, state.absorbed, state.spend.total)
    return Transition(f"tier:{state.absorbed}:{state.clock}:{tier}", state.clock, body)


def _stage_changes(
    state: Relationship,
    member_id: str,
    stage: str,
    evidence: int,
    facts: dict[str, str | int],
    rules: Rules,
) -> list[Transition]:
    """One fact for each step of the way; only the first step was dwelt on."""
    stages, seq, at = rules.stages, state.absorbed, state.clock
    here, there = stages.index(state.stage), stages.index(stage)
    step = 1 if there > here else -1
    held = {name: bool(evidence >> i & 1) for i, name in enumerate(EVIDENCE)}
    dwell = at - state.stage_since
    found: list[Transition] = []
    for place in range(here, there, step):
        previous, reached = stages[place], stages[place + step]
        body = StageChanged(member_id, previous, reached, seq, held, facts, dwell)
        found.append(Transition(f"stage:{seq}:{at}:{reached}", at, body))
        dwell = 0
    return found


def _rests_on(known: Known, holds: Holds, cause: str | None) -> dict[str, str | int]:
    """The activities and times behind the evidence; ``cause`` is missing when time was it."""
    facts: dict[str, str | int] = {"kept_purchases": known.kept}
    if cause is not None:
        facts["cause"] = cause
    if known.contact_at != NEVER:
        facts["contact_at"] = known.contact_at
    if known.times:
        facts["last_purchase_seq"] = known.seqs[-1]
        facts["last_purchase_at"] = known.times[-1]
        facts["expected_interval"] = holds.interval
    if known.share_at != NEVER:
        facts["share_at"] = known.share_at
    if known.review is not None:
        facts["review"] = known.review.activity_id
        facts["rating"] = known.review.rating
    return facts


def changes_of(
    facts: Iterable[tuple[int, TierChanged | StageChanged]], rules: Rules
) -> list[CardChange]:
    """All changes of the card there ever were, from the facts (time, body) of the stream."""
    changes = [beginning(rules).changes[0]]
    for at, body in facts:
        last = changes[-1]
        tier = body.tier if isinstance(body, TierChanged) else last.tier
        stage = body.stage if isinstance(body, StageChanged) else last.stage
        if (last.after_seq, last.at) == (body.after_seq, at):
            changes.pop()
        changes.append(CardChange(body.after_seq, at, tier, stage))
    return changes
