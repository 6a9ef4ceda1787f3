"""What an activity earns: campaigns that match, points by exact arithmetic, shares by line.

Invariants: the shares of a grant's lines sum to its points; points depend on the activity, the tier
and the programme alone. Rates are fractions of integers, computed once for each tier; nothing here
is a float.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from contracts.events import (
    ActivityRecorded,
    AsOf,
    Considered,
    Done,
    Grant,
    PurchaseLine,
    ReturnMatched,
    RewardGranted,
    RewardReturned,
    RewardWithheld,
)
from services.events.domain.as_of import NOBODY

Decision = RewardGranted | RewardWithheld | RewardReturned

NO_CAMPAIGN = "no campaign concerns this kind of activity"
NONE_MATCHED = "no campaign matched"
TOO_SMALL = "too small to earn a point"
RETURN_WAITS = "return waits for its purchase"


@dataclass(frozen=True, slots=True)
class Rate:
    """Points for one minor unit of money, ``numerator / denominator``."""

    numerator: int
    denominator: int

    @classmethod
    def exact(cls, points_per_minor_unit: Fraction) -> "Rate":
        """The rate as two integers."""
        return cls(points_per_minor_unit.numerator, points_per_minor_unit.denominator)

    def half_up(self, amount: int) -> int:
        """Points for an amount, halves rounded up."""
        return (2 * amount * self.numerator + self.denominator) // (2 * self.denominator)

    def floor(self, amount: int) -> int:
        """Points for an amount, fractions dropped."""
        return amount * self.numerator // self.denominator


@dataclass(frozen=True, slots=True)
class Award:
    """Points into one wallet; ``rates`` by tier, ``rate`` for a tier that it does not name."""

    wallet: str
    rate: Rate
    rates: Mapping[str, Rate]


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign in force. ``failing`` names the part of its condition that does not hold."""

    id: str
    awards: tuple[Award, ...]
    failing: Callable[[object], str | None]
    floor: bool = False


def decide(
    activity: ActivityRecorded,
    campaigns: Sequence[Campaign],
    facts: object,
    as_of: AsOf,
    revision: str,
    done: Done | None = None,
) -> Decision:
    """The decision on an activity that is not a return; ``done`` travels with it."""
    considered: list[Considered] = []
    grants: list[Grant] = []
    for campaign in campaigns:
        failed = campaign.failing(facts)
        considered.append(Considered(campaign.id, failed is None, failed))
        if failed is None:
            grants.extend(_grants(campaign, activity, as_of.tier))
    whose = (activity.activity_id, activity.member_id, revision, as_of, tuple(considered))
    if grants:
        return RewardGranted(*whose, tuple(grants), done)
    if not considered:
        return RewardWithheld(*whose, NO_CAMPAIGN, done)
    matched = any(one.matched for one in considered)
    return RewardWithheld(*whose, TOO_SMALL if matched else NONE_MATCHED, done)


def decide_return(body: ActivityRecorded | ReturnMatched, revision: str) -> Decision:
    """The decision on a return: it needs no card, only its purchase."""
    if body.returned is not None:
        return RewardReturned(body.activity_id, body.member_id, body.returned)
    return RewardWithheld(body.activity_id, body.member_id, revision, NOBODY, (), RETURN_WAITS)


def _grants(campaign: Campaign, activity: ActivityRecorded, tier: str) -> list[Grant]:
    grants = []
    for award in campaign.awards:
        rate = award.rates.get(tier, award.rate)
        points = rate.floor(activity.amount) if campaign.floor else rate.half_up(activity.amount)
        if points:
            lines = shares(activity.lines, activity.amount, points)
            grants.append(Grant(campaign.id, award.wallet, points, lines))
    return grants


def shares(
    lines: Sequence[PurchaseLine], amount: int, points: int
) -> tuple[tuple[int, int, int], ...]:
    """Share points out over lines in proportion to their money, by largest remainder.

    The amounts of the lines sum to ``amount``. What rounding down leaves over goes, a point each,
    to the largest remainders; among equal ones to the earlier line.
    """
    if not lines:
        return ()
    amounts = [line.amount for line in lines]
    products = [points * each for each in amounts]
    parts = [product // amount for product in products]
    if left := points - sum(parts):
        rests = [-(product % amount) for product in products]
        for place in sorted(range(len(parts)), key=rests.__getitem__)[:left]:
            parts[place] += 1
    return tuple(zip([line.line for line in lines], amounts, parts, strict=True))
