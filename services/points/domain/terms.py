"""When points open and expire: the programme's rules, turned into the terms of a lot.

Invariants: terms depend on the rule, the time of earning and the activity alone, so the same
purchase always goes into the same lot; two purchases with the same rule and dates share one.
Days are the programme's: a lot is good until the end of its last day there.
"""

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from contracts.points import Instalment, LotTerms, VestingTerms
from kit.clock import SECOND
from services.points.domain.account import endless_lot

Rounding = Literal["month", "quarter", "year"]
MONTHS = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True, slots=True)
class Expiry:
    """When points expire.

    ``never``; ``dates``: at the end of the next of ``dates`` (month, day) that is at least ``days``
    away; ``rolling``: ``months`` and ``days`` after earning, at the end of that day or, rounded
    up, of its month, quarter or year; ``sliding``: ``days`` after the last of ``activities``, all
    points of the rule together.
    """

    kind: Literal["never", "dates", "rolling", "sliding"] = "never"
    months: int = 0
    days: int = 0
    rounded_to: Rounding | None = None
    dates: tuple[tuple[int, int], ...] = ()
    activities: frozenset[str] = frozenset()
    name: str = ""


@dataclass(frozen=True, slots=True)
class Activation:
    """When points can be spent: after ``days``, or with a later activity about the purchase.

    ``on`` is the subject of that custom activity (such as ``delivered``); ``days`` is then when
    the points open without it (0: never, they wait).
    """

    days: int = 0
    on: str | None = None


@dataclass(frozen=True, slots=True)
class VestingRule:
    """Unlocks in equal ``instalments``, one after every ``months`` and ``days``."""

    name: str
    instalments: int
    months: int = 0
    days: int = 0


@dataclass(frozen=True, slots=True)
class LotRule:
    """How points live: when they open, when they expire, whether they vest."""

    activation: Activation = Activation()
    expiry: Expiry = Expiry()
    vesting: VestingRule | None = None


ENDLESS = LotRule()
"""Points are there at once and for ever."""


@dataclass(frozen=True)
class LotRules:
    """The rules of a programme: by wallet, overridden by campaign and tier.

    ``overrides`` are looked up by (wallet, campaign, tier), then with the campaign alone, then with
    the tier alone (None for any): what a campaign promised holds for members of every tier.
    """

    zone: ZoneInfo
    wallets: Mapping[str, LotRule] = field(default_factory=dict)
    overrides: Mapping[tuple[str, str | None, str | None], LotRule] = field(default_factory=dict)
    sliding: tuple[Expiry, ...] = ()
    watched: frozenset[str] = frozenset()

    def rule(self, wallet: str, campaign: str | None = None, tier: str | None = None) -> LotRule:
        """The rule for points of a campaign, earned by a member of a tier."""
        if self.overrides:
            for key in ((wallet, campaign, tier), (wallet, campaign, None), (wallet, None, tier)):
                if (found := self.overrides.get(key)) is not None:
                    return found
        return self.wallets.get(wallet, ENDLESS)


class Credit(msgspec.Struct, frozen=True):
    """Points to be booked, and the lot they go into; ``vesting`` when that one vests."""

    wallet: str
    points: int
    terms: LotTerms
    vesting: VestingTerms | None = None
    target: LotTerms | None = None


def credit(
    rules: LotRules, rule: LotRule, wallet: str, points: int, at: int, activity_id: str, name: str
) -> Credit:
    """The credit of points earned at ``at`` under ``rule``; ``name`` makes a vesting lot unique."""
    if rule is ENDLESS:
        return Credit(wallet, points, endless(wallet))
    day = local_day(rules.zone, at)
    active = active_terms(rules.zone, rule.expiry, wallet, day)
    if rule.vesting is not None:
        return _vesting(rules.zone, rule.vesting, active, points, at, name)
    activation = rule.activation
    if not activation.days and activation.on is None:
        return Credit(wallet, points, active)
    opens = day + timedelta(days=activation.days)
    starts = start_of(rules.zone, opens) if activation.days else 0
    waits_for = opens.isoformat() if activation.days else ""
    awaits = None
    if activation.on is not None:
        awaits = f"{activation.on}/{activity_id}"
        waits_for = f"{activity_id}.{activation.on}.{waits_for}".rstrip(".")
    waiting = LotTerms(f"{active.lot}~{waits_for}", wallet, starts, active.expires, awaits)
    return Credit(wallet, points, waiting, target=active)


@lru_cache(maxsize=100)
def endless(wallet: str) -> LotTerms:
    """The lot of points that never expire."""
    return LotTerms(endless_lot(wallet), wallet)


def active_terms(zone: ZoneInfo, expiry: Expiry, wallet: str, day: date) -> LotTerms:
    """The lot that points earned on ``day`` can be spent from."""
    if expiry.kind == "never":
        return endless(wallet)
    last = last_day(expiry, day)
    name = f"sliding-{expiry.name}" if expiry.kind == "sliding" else last.isoformat()
    return LotTerms(f"{wallet}.{name}", wallet, 0, start_of(zone, last + timedelta(days=1)))


def last_day(expiry: Expiry, day: date) -> date:
    """The last day on which points earned on ``day`` are good."""
    if expiry.kind == "dates":
        return _next_date(expiry, day + timedelta(days=expiry.days))
    last = add_months(day, expiry.months) + timedelta(days=expiry.days)
    return last if expiry.rounded_to is None else _end_of(last, MONTHS[expiry.rounded_to])


def _next_date(expiry: Expiry, earliest: date) -> date:
    found = [
        _clamped(year, month, day)
        for year in (earliest.year, earliest.year + 1)
        for month, day in expiry.dates
    ]
    return min(each for each in found if each >= earliest)


def _end_of(day: date, months: int) -> date:
    """The last day of the month, quarter or year that ``day`` is in."""
    month = (day.month + months - 1) // months * months
    return _clamped(day.year, month, 31)


def _clamped(year: int, month: int, day: int) -> date:
    return date(year, month, min(day, monthrange(year, month)[1]))


def add_months(day: date, months: int) -> date:
    """The same day, months later; the last of a shorter month."""
    years, month = divmod(day.month - 1 + months, 12)
    return _clamped(day.year + years, month + 1, day.day)


def local_day(zone: ZoneInfo, at: int) -> date:
    """The programme's day at a time in microseconds."""
    return datetime.fromtimestamp(at // SECOND, UTC).astimezone(zone).date()


def start_of(zone: ZoneInfo, day: date) -> int:
    """When a day begins in the programme's time zone, in microseconds."""
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) * SECOND


def _vesting(
    zone: ZoneInfo, rule: VestingRule, active: LotTerms, points: int, at: int, name: str
) -> Credit:
    """Equal instalments; what does not divide goes to the first ones, a point each."""
    day = local_day(zone, at)
    each, rest = divmod(points, rule.instalments)
    instalments = tuple(
        Instalment(_after(zone, rule, day, number), each + (number <= rest))
        for number in range(1, rule.instalments + 1)
    )
    lot = f"{active.lot}~vest-{name}"
    waiting = LotTerms(lot, active.wallet, 0, active.expires, "vesting")
    vesting = VestingTerms(lot, rule.name, at, instalments)
    return Credit(active.wallet, points, waiting, vesting, active)


def _after(zone: ZoneInfo, rule: VestingRule, day: date, number: int) -> int:
    due = add_months(day, rule.months * number) + timedelta(days=rule.days * number)
    return start_of(zone, due)
