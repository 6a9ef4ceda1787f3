"""A month's statement: what stood before it, what it did, what stands after it.

A month has the entries made while the account's own clock was in it. That clock is the latest time
that an entry or a mark has borne so far, so it never goes back: an activity that arrives late is in
the month that the account had reached, with its own date. So a month is one stretch of the stream,
`opening + Σ lines = closing` holds for every wallet by the running balances themselves, and once
the account has gone on in a later month a statement never changes.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from contracts.points import PointsPosted
from services.points.domain.statement import Standing, changes, standings
from services.points.domain.terms import add_months, start_of

MONTH = r"^(19|20|21)[0-9]{2}-(0[1-9]|1[0-2])$"


@dataclass(frozen=True, slots=True)
class Month:
    """A month of the programme's calendar: ``start <= time < end``, in microseconds."""

    first: date
    start: int
    end: int

    @property
    def name(self) -> str:
        """The month as it is asked for, e.g. 2017-01."""
        return self.first.isoformat()[:7]


def month_of(zone: ZoneInfo, name: str) -> Month:
    """The month called ``YYYY-MM``."""
    if not re.fullmatch(MONTH, name):
        raise ValueError(f"{name!r} is not a month")
    first = date.fromisoformat(f"{name}-01")
    return Month(first, start_of(zone, first), start_of(zone, add_months(first, 1)))


@dataclass(frozen=True, slots=True)
class Total:
    """What all lines of one kind did to a wallet, and how many there were."""

    kind: str
    wallet: str
    lines: int
    change: Standing


@dataclass(frozen=True, slots=True)
class Sums:
    """Wallets before and after some lines, and what each kind of line did to them."""

    opening: Mapping[str, Standing]
    totals: Sequence[Total]
    closing: Mapping[str, Standing]


def sums(entries: Iterable[PointsPosted], otherwise: Mapping[str, Standing]) -> Sums:
    """Sum up entries that follow each other in an account.

    Without any the account stands as it did: ``otherwise``. A wallet that has no points before its
    first line opens with none.
    """
    made = list(entries)
    if not made:
        return Sums(otherwise, (), otherwise)
    found: dict[tuple[str, str], tuple[int, Standing]] = {}
    for entry in made:
        for wallet, change in changes(entry).items():
            lines, total = found.get((entry.kind, wallet), (0, Standing()))
            found[entry.kind, wallet] = (lines + 1, total.plus(change))
    closing = standings(made[-1])
    first = standings(made[0])
    for wallet, change in changes(made[0]).items():
        first[wallet] = first.get(wallet, Standing()).minus(change)
    opening = {wallet: first.get(wallet, Standing()) for wallet in {**first, **closing}}
    totals = [Total(kind, wallet, *told) for (kind, wallet), told in found.items()]
    for wallet in opening:
        closing.setdefault(wallet, Standing())
    return Sums(opening, tuple(totals), closing)
