"""From the programme file to the rules the domain works with."""

from collections.abc import Sequence
from decimal import Decimal

from kit.clock import DAY
from programmes.model import Programme, Repeat, Stage
from programmes.vocabularies import EVIDENCE as VOCABULARY
from services.members.domain.calendar import Calendar
from services.members.domain.rules import EVIDENCE, Rhythm, Rules, Tier


def rules_of(programme: Programme) -> Rules:
    """Compile the parts on tier and stage; raises RuleError when a stage rule cannot be decided."""
    evidence = programme.evidence
    return Rules(
        contact_activities=frozenset(evidence.contact.activities),
        contact_within=evidence.contact.within_days * DAY,
        advocacy_activities=frozenset(evidence.advocacy.activities),
        advocacy_within=evidence.advocacy.within_days * DAY,
        minimum_rating=evidence.content.minimum_rating,
        sustained_purchases=evidence.sustained.purchases,
        sustained_within=evidence.sustained.within_days * DAY,
        rhythm=_rhythm(evidence.repeat),
        tiers=tuple(Tier(tier.code, tier.spend) for tier in programme.tiers),
        window_days=programme.tier_window_days,
        stages=tuple(stage.code for stage in programme.stages),
        ladder=ladder(programme.stages),
        calendar=Calendar(programme.time_zone),
        recent_purchases=max(64, evidence.sustained.purchases + 32),
    )


def _rhythm(repeat: Repeat) -> Rhythm:
    return Rhythm(
        factor=Decimal(repeat.factor).as_integer_ratio(),
        default=repeat.default_days * DAY,
        minimum=repeat.minimum_days * DAY,
        maximum=repeat.maximum_days * DAY,
    )


def ladder(stages: Sequence[Stage]) -> tuple[int, ...]:
    """The highest stage for each combination of evidence: rules are evaluated here and never again.

    Seven pieces of evidence make 128 combinations; at 640 rules of 3 µs that is 2 ms at start.
    """
    return tuple(_highest(stages, combination) for combination in range(1 << len(EVIDENCE)))


def _highest(stages: Sequence[Stage], combination: int) -> int:
    facts = VOCABULARY.bind(
        {name: bool(combination >> place & 1) for place, name in enumerate(EVIDENCE)}
    )
    reached = 0
    for place, stage in enumerate(stages):
        if not stage.condition.holds(facts):
            break
        reached = place
    return reached
