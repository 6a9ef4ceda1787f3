"""What lies ahead of a member, in values and in words: for the app, the agent and the marketer."""

import re
from dataclasses import dataclass
from datetime import date

from services.members.domain.evidence import Holds, bits, holding
from services.members.domain.rules import EVIDENCE, Rules
from services.members.domain.spend import drops, tier_of
from services.members.domain.state import NEVER, Known, Relationship, Spend

DAY = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Item:
    """A piece of evidence as of the clock; ``until`` is the last instant at which it holds."""

    code: str
    holds: bool
    until: int | None
    words: str


@dataclass(frozen=True, slots=True)
class NextTier:
    """The tier above, and the spend that is missing for it."""

    tier: str
    missing: int


@dataclass(frozen=True, slots=True)
class Keeping:
    """Spending ``missing`` more before ``by`` keeps the tier; else it becomes ``drops_to``."""

    tier: str
    drops_to: str
    by: int
    missing: int


def next_tier(spend: Spend, rules: Rules) -> NextTier | None:
    """The tier above the one this spend reaches."""
    above = tier_of(spend.total, rules) + 1
    if above == len(rules.tiers):
        return None
    tier = rules.tiers[above]
    return NextTier(tier.code, tier.spend - spend.total)


def keeping(spend: Spend, rules: Rules) -> Keeping | None:
    """What it takes to keep the tier when the next spend leaves the window that it needs."""
    ahead = drops(spend, rules)
    if not ahead:
        return None
    by = min(ahead)
    today = rules.calendar.day(by)
    left = sum(
        amount
        for day, amount in zip(spend.days, spend.amounts, strict=True)
        if day > today - rules.window_days
    )
    tier = rules.tiers[tier_of(spend.total, rules)]
    return Keeping(tier.code, rules.tiers[ahead[by]].code, by, tier.spend - left)


def evidence_of(state: Relationship, rules: Rules) -> list[Item]:
    """Every piece of evidence as of the clock, whether it holds or not."""
    holds = holding(state.known, rules)
    held = bits(holds, state.clock)
    ends = {
        "contact": holds.contact,
        "repeat": holds.repeat,
        "sustained": holds.sustained,
        "advocacy": holds.advocacy,
    }
    items: list[Item] = []
    for place, code in enumerate(EVIDENCE):
        yes = bool(held >> place & 1)
        until = ends.get(code, NEVER) if yes else NEVER
        words = _words(code, yes, state.known, holds, rules)
        items.append(Item(code, yes, until if until != NEVER else None, words))
    return items


# Said of each piece of evidence when it holds and when it does not.
_WORDS = {
    "contact": (
        "Was in touch with the brand; counts until {until}",
        "Has not been in touch with the brand for {days} days",
    ),
    "kept_purchase": ("Has kept {kept} of the purchases made", "Has kept no purchase yet"),
    "repeat": (
        "Bought again in time; the next purchase is expected by {until}",
        "Has not bought twice within the expected {days} days",
    ),
    "open_complaint": ("Has an open complaint", "Has no open complaint"),
    "sustained": (
        "Made {many} purchases within {days} days; counts until {until}",
        "Has not made {many} purchases within {days} days",
    ),
    "advocacy": (
        "Spoke for the brand; counts until {until}",
        "Has not spoken for the brand for {days} days",
    ),
}


def _words(code: str, yes: bool, known: Known, holds: Holds, rules: Rules) -> str:
    if code == "content":
        return _review_words(known, rules)
    spans = {
        "contact": (holds.contact, rules.contact_within),
        "repeat": (holds.repeat, holds.interval),
        "sustained": (holds.sustained, rules.sustained_within),
        "advocacy": (holds.advocacy, rules.advocacy_within),
    }
    until, within = spans.get(code, (NEVER, 0))
    return _WORDS[code][0 if yes else 1].format(
        until=_day(until, rules),
        days=round(within / DAY),
        kept=known.kept,
        many=rules.sustained_purchases,
    )


def _review_words(known: Known, rules: Rules) -> str:
    if known.review is None:
        return "Has given no review"
    return f"The last review gave {known.review.rating} of 5; {rules.minimum_rating} are enough"


def _day(at: int, rules: Rules) -> str:
    return date.fromordinal(rules.calendar.day(at)).isoformat()


def missing_for(rule: str, items: list[Item]) -> list[str]:
    """The evidence that a stage's rule names and that is not as it wants it."""
    wanted = {name: not negated for negated, name in re.findall(r"(!?)\s*\b([a-z_]+)\b", rule)}
    return [item.code for item in items if item.code in wanted and item.holds != wanted[item.code]]
