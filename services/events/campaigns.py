"""The programme's campaigns, compiled once: conditions to rules, rates to exact fractions."""

from dataclasses import dataclass
from fractions import Fraction
from typing import cast

from contracts.events import ActivityRecorded, AsOf, Done
from contracts.members import MemberCard
from kit.clock import DAY, SECOND
from kit.rules import Condition, Facts
from programmes.model import Award as ProgrammeAward
from programmes.model import Campaign as ProgrammeCampaign
from programmes.model import Programme
from programmes.vocabularies import ACTIVITY
from services.events.domain.earning import Award, Campaign, Decision, Rate, decide
from services.events.domain.identity import ACTIVITY_ID, activity_id


@dataclass(frozen=True)
class Campaigns:
    """The campaigns in force, by the type of activity that triggers them.

    ``unit`` is how many minor units make one unit of the currency; ``decide_within`` is in
    microseconds.
    """

    revision: str
    by_type: dict[str, tuple[Campaign, ...]]
    unit: int
    decide_within: int
    watched: bool = False

    def decide(
        self, activity: ActivityRecorded, at: int, card: MemberCard, as_of: AsOf
    ) -> Decision:
        """The decision on an activity that is not a return."""
        campaigns = self.by_type.get(activity.type, ())
        facts = self.facts(activity, at, card, as_of) if campaigns else None
        done = _done(activity) if self.watched else None
        return decide(activity, campaigns, facts, as_of, self.revision, done)

    def facts(self, activity: ActivityRecorded, at: int, card: MemberCard, as_of: AsOf) -> Facts:
        """What rules see. Region is as the newest card has it: its past is not kept."""
        categories = {line.category for line in activity.lines if line.category is not None}
        return ACTIVITY.bind(
            {
                "activity.type": activity.type,
                "activity.amount": activity.amount / self.unit,
                "activity.lines": len(activity.lines),
                "activity.categories": sorted(categories),
                "activity.channel": activity.channel,
                "activity.store": activity.store,
                "activity.source": activity.source,
                "activity.partner": activity.source if activity.channel == "partner" else None,
                "activity.rating": activity.rating,
                "member.tier": as_of.tier,
                "member.stage": as_of.stage,
                "member.value_class": as_of.value_class,
                "member.tenure_days": max(0, at - card.enrolled_at) // DAY,
                "member.region": card.region,
                "member.channel": card.channel,
            }
        )


def compiled(programme: Programme) -> Campaigns:
    """The campaigns of a programme, ready to decide with."""
    unit = 10**programme.currency_exponent
    by_type: dict[str, tuple[Campaign, ...]] = {}
    for campaign in programme.earning:
        made = _campaign(campaign, programme, unit)
        for kind in campaign.on:
            by_type[kind] = (*by_type.get(kind, ()), made)
    within = round(programme.decide_within_seconds * SECOND)
    return Campaigns(programme.revision, by_type, unit, within, programme.points.watches)


def _done(activity: ActivityRecorded) -> Done:
    """What the points service counts: custom activities by subject, and what they are about.

    A later activity names its purchase by activity id, or by the id its own system gave it.
    """
    about = activity.attributes.get("purchase")
    named = activity.subject if activity.type == "custom" and activity.subject else activity.type
    if about is None:
        return Done(named, activity.amount)
    known = ACTIVITY_ID.fullmatch(str(about))
    return Done(
        named, activity.amount, str(about) if known else activity_id(activity.source, str(about))
    )


def _campaign(campaign: ProgrammeCampaign, programme: Programme, unit: int) -> Campaign:
    condition = campaign.condition
    awards = tuple(_award(award, programme, unit) for award in campaign.awards)
    return Campaign(
        campaign.id,
        awards,
        lambda facts: _failing(condition, cast(Facts, facts)),
        campaign.rounding == "floor",
    )


def _award(award: ProgrammeAward, programme: Programme, unit: int) -> Award:
    rate = Fraction(award.points_per_unit) / unit
    rates = {}
    if award.multiplied_by_tier:
        rates = {
            tier.code: Rate.exact(rate * Fraction(tier.multiplier)) for tier in programme.tiers
        }
    return Award(award.wallet, Rate.exact(rate), rates)


def _failing(condition: Condition, facts: Facts) -> str | None:
    outcome = condition.evaluate(facts)
    return None if outcome.holds else outcome.failed_part or condition.text
