"""The programme's rules on tier and stage, as plain values that the domain can work with."""

from dataclasses import dataclass

from services.members.domain.calendar import Calendar

# What is known of a member at an instant, each a yes or no; a ladder is indexed by their bits.
EVIDENCE = (
    "contact",
    "kept_purchase",
    "repeat",
    "content",
    "open_complaint",
    "sustained",
    "advocacy",
)


@dataclass(frozen=True, slots=True)
class Tier:
    """A tier and the spend, in minor units within the window, that it takes."""

    code: str
    spend: int


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How a member's expected interval follows from their own: times in microseconds.

    The interval is the usual gap × ``factor`` (numerator, denominator), held between two bounds.
    """

    factor: tuple[int, int]
    default: int
    minimum: int
    maximum: int


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything the programme says about tier and stage. Spans of time are in microseconds.

    ``ladder`` gives for each combination of evidence (bit i: ``EVIDENCE[i]``) the highest stage
    whose rule, and the rules of all stages below it, hold: 128 entries, computed at start.
    """

    contact_activities: frozenset[str]
    contact_within: int
    advocacy_activities: frozenset[str]
    advocacy_within: int
    minimum_rating: int
    sustained_purchases: int
    sustained_within: int
    rhythm: Rhythm
    tiers: tuple[Tier, ...]
    window_days: int
    stages: tuple[str, ...]
    ladder: tuple[int, ...]
    calendar: Calendar
    recent_purchases: int = 64
    recent_changes: int = 64

    def tier_index(self, code: str) -> int:
        """The place of a tier; the lowest for one the programme no longer has."""
        return next((i for i, tier in enumerate(self.tiers) if tier.code == code), 0)
