"""Members, cards and outcomes as the API shows them."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from contracts.envelope import Fact
from contracts.members import CardChange, MemberCard, StageChanged
from kit.clock import SECOND, from_micros
from kit.http.paging import encode_cursor
from kit.http.problems import STATUS
from programmes.model import Programme
from services.members.absorbing import change_of
from services.members.commands import Enrolled
from services.members.domain.file import completeness, missing
from services.members.domain.outlook import (
    Keeping,
    NextTier,
    evidence_of,
    keeping,
    missing_for,
    next_tier,
)
from services.members.domain.rules import Rules
from services.members.domain.state import Relationship
from services.members.queries import Member
from services.members.schemas import ConsentView, MemberItem, MemberView, ProblemBody, Receipt
from services.members.schemas_standing import (
    CardView,
    ChangeView,
    DueStage,
    EvidenceView,
    KeepView,
    NextStage,
    NextTierView,
    StageView,
    TierView,
    TransitionView,
)


def receipt(outcome: Enrolled, member_id: str | None) -> Receipt:
    """What became of an enrolment; its problem is what the single endpoint would answer."""
    if (error := outcome.error) is not None:
        facts = {**error.facts, "code": error.code, "detail": error.message}
        problem = ProblemBody.model_validate({**facts, "status": STATUS[error.kind]})
        return Receipt(status="refused", member_id=member_id, enrolled_at=None, problem=problem)
    record = outcome.record
    assert record is not None
    return Receipt(
        status="duplicate" if outcome.duplicate else "accepted",
        member_id=record.member_id,
        channel=record.channel,
        enrolled_at=from_micros(record.enrolled_at),
    )


def member_view(found: Member, weights: dict[str, int]) -> MemberView:
    """A member file with tier and stage."""
    record, state = found.record, found.state
    file = record.file
    return MemberView(
        member_id=record.member_id,
        channel=record.channel,
        enrolled_at=from_micros(record.enrolled_at),
        changed_at=from_micros(record.changed_at),
        tier=state.tier,
        stage=state.stage,
        name=file.name,
        email=file.email,
        phone=file.phone,
        birthday=date.fromisoformat(file.birthday) if file.birthday else None,
        household=file.household,
        region=file.region,
        language=file.language,
        culture=file.culture,
        education=file.education,
        interests=list(file.interests),
        consents={
            purpose: ConsentView(granted=consent.granted, at=from_micros(consent.at))
            for purpose, consent in sorted(file.consents.items())
        },
        completeness=completeness(file, weights),
        missing=missing(file, weights),
    )


def member_item(found: Member) -> MemberItem:
    """A member in a list."""
    record, state = found.record, found.state
    return MemberItem(
        member_id=record.member_id,
        name=record.file.name,
        email=record.file.email,
        phone=record.file.phone,
        tier=state.tier,
        stage=state.stage,
        channel=record.channel,
        enrolled_at=from_micros(record.enrolled_at),
    )


def card_view(card: MemberCard) -> CardView:
    """The member card."""
    return CardView(
        member_id=card.member_id,
        tier=card.tier,
        stage=card.stage,
        value_class=card.value_class,
        enrolled_at=from_micros(card.enrolled_at),
        channel=card.channel,
        region=card.region,
        absorbed=card.absorbed,
        # The first entry says how every member begins; it is no change.
        changes=[_change(change) for change in card.changes if change.at],
        due=[_change(change) for change in card.due],
    )


def _change(change: CardChange) -> ChangeView:
    return ChangeView(
        after_seq=change.after_seq,
        at=from_micros(change.at),
        tier=change.tier,
        stage=change.stage,
    )


def stage_view(
    found: Member, programme: Programme, rules: Rules, history: Sequence[Fact], limit: int
) -> StageView:
    """The step a member stands on, why, what the next one takes, and how they came here."""
    state = found.state
    here = rules.stages.index(state.stage)
    evidence = evidence_of(state, rules)
    above = programme.stages[here + 1] if here + 1 < len(programme.stages) else None
    return StageView(
        member_id=found.record.member_id,
        stage=state.stage,
        name=programme.stages[here].name,
        as_of=from_micros(state.clock) if state.clock else None,
        since=from_micros(state.stage_since) if state.stage_since else None,
        evidence=[
            EvidenceView(
                code=item.code,
                holds=item.holds,
                until=from_micros(item.until) if item.until is not None else None,
                words=item.words,
            )
            for item in evidence
        ],
        next_stage=NextStage(
            stage=above.code, rule=above.when, missing=missing_for(above.when, evidence)
        )
        if above is not None
        else None,
        due=_due_stages(state),
        history=[_transition(fact) for fact in history],
        next=encode_cursor(history[-1].seq)
        if len(history) == limit and history[-1].seq > 1
        else None,
    )


def _due_stages(state: Relationship) -> list[DueStage]:
    due: list[DueStage] = []
    stage = state.stage
    for change in state.due:
        if change.stage != stage:
            stage = change.stage
            due.append(DueStage(stage=stage, at=from_micros(change.at)))
    return due


def _transition(fact: Fact) -> TransitionView:
    at, body = change_of(fact)
    view: dict[str, Any] = {
        "seq": fact.seq,
        "at": from_micros(at),
        "previous": body.previous,
        "after_seq": body.after_seq,
    }
    if isinstance(body, StageChanged):
        dwell = body.dwell / SECOND
        return TransitionView(
            kind="stage",
            reached=body.stage,
            dwell_seconds=dwell,
            evidence=body.evidence,
            facts=body.facts,
            **view,
        )
    return TransitionView(kind="tier", reached=body.tier, spend=body.spend, **view)


def tier_view(found: Member, programme: Programme, rules: Rules) -> TierView:
    """A member's tier, what is missing for the next one, and what keeps this one."""
    state = found.state
    names = {tier.code: tier for tier in programme.tiers}
    tier = names.get(state.tier, programme.tiers[0])
    above, keep = next_tier(state.spend, rules), keeping(state.spend, rules)
    return TierView(
        member_id=found.record.member_id,
        tier=state.tier,
        name=tier.name,
        multiplier=str(tier.multiplier),
        as_of=from_micros(state.clock) if state.clock else None,
        currency=programme.currency,
        spend=state.spend.total,
        window_days=rules.window_days,
        next_tier=NextTierView(
            tier=above.tier,
            name=names[above.tier].name,
            spend=names[above.tier].spend,
            missing=above.missing,
        )
        if above is not None
        else None,
        keep=KeepView(by=from_micros(keep.by), missing=keep.missing, drops_to=keep.drops_to)
        if keep is not None
        else None,
        preview=[*_reach(above, programme), *_keep(keep, programme, rules)],
    )


def _reach(above: NextTier | None, programme: Programme) -> list[str]:
    if above is None:
        return []
    return [f"{_money(above.missing, programme)} more reaches {_name(above.tier, programme)}"]


def _keep(keep: Keeping | None, programme: Programme, rules: Rules) -> list[str]:
    """Before midnight is by the day before."""
    if keep is None:
        return []
    last = date.fromordinal(rules.calendar.day(keep.by - 1)).isoformat()
    return [f"{_money(keep.missing, programme)} more by {last} keeps {_name(keep.tier, programme)}"]


def _name(code: str, programme: Programme) -> str:
    return next(tier.name["en"] for tier in programme.tiers if tier.code == code)


def _money(minor: int, programme: Programme) -> str:
    return f"{Decimal(minor).scaleb(-programme.currency_exponent)} {programme.currency}"
