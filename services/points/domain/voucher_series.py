"""A series of vouchers: its versions, what one of its vouchers is, and its budget in slices.

Invariants:

* what a voucher of the series is worth, its currency and where its codes come from never change;
* the budget only grows, so a slice that was once full is full for anybody who knows less;
* the capacities of the slices add up to the budget, and no slice gives more than its capacity: so
  the last voucher is issued once and no counter is written by everybody.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import msgspec

from contracts.vouchers import (
    SeriesTerms,
    VoucherBudgetReturned,
    VoucherBudgetTaken,
    VoucherCodeChosen,
    VoucherIssued,
    VoucherSeriesDefined,
)
from kit.clock import DAY
from kit.errors import ServiceError
from services.points.domain.voucher_errors import (
    BudgetOnlyGrows,
    BudgetSpent,
    SeriesClosed,
    SeriesFixed,
    SeriesOver,
)

MOST_SLICES = 16
LEAST_IN_SLICE = 64
FIXED = ("worth", "currency", "codes", "partial")


class Series(msgspec.Struct, frozen=True):
    """A series as it stands; ``capacities`` is how many vouchers each slice of the budget has."""

    version: int = 0
    terms: SeriesTerms | None = None
    capacities: tuple[int, ...] = ()


class Slice(msgspec.Struct, frozen=True):
    """A slice of a budget: how many places were taken and came back."""

    taken: int = 0
    returned: int = 0


class Request(msgspec.Struct, frozen=True):
    """A request for an imported code: the code that was chosen last."""

    series_id: str = ""
    member_id: str = ""
    voucher_id: str | None = None


@dataclass(frozen=True, slots=True)
class Define:
    """Define a series, or change it."""

    series_id: str
    terms: SeriesTerms
    by: str


@dataclass(frozen=True, slots=True)
class Take:
    """Take a place in a slice. ``refusal``: why the series issues nothing (a retry still may)."""

    issued: VoucherIssued
    capacity: int
    refusal: ServiceError | None = None


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Give back the place that a request took twice."""

    returned: VoucherBudgetReturned


@dataclass(frozen=True, slots=True)
class Choose:
    """Choose a code for a request, in place of ``instead_of``."""

    chosen: VoucherCodeChosen
    instead_of: str | None


def most_vouchers(terms: SeriesTerms) -> int:
    """How many vouchers the budget allows. An imported pool's budget is its codes: 0."""
    limits = [] if terms.most_vouchers is None else [terms.most_vouchers]
    if terms.most_value is not None and (unit := unit_value(terms)):
        limits.append(terms.most_value // unit)
    return min(limits, default=0)


def unit_value(terms: SeriesTerms) -> int | None:
    """What one voucher may cost us, as far as the terms say."""
    worth = terms.worth
    if worth.kind == "value":
        return worth.amount
    return worth.most_discount if worth.kind == "percentage" else worth.cost


def split(vouchers: int) -> tuple[int, ...]:
    """A budget in equal slices; a small one has few, as walking from slice to slice costs."""
    slices = max(1, min(MOST_SLICES, vouchers // LEAST_IN_SLICE))
    return tuple(vouchers // slices + (place < vouchers % slices) for place in range(slices))


def define(series: Series, command: Define) -> VoucherSeriesDefined | None:
    """The next version; None when nothing changes. Raises SeriesFixed and BudgetOnlyGrows."""
    if series.terms == command.terms:
        return None
    if series.terms is not None:
        for field in FIXED:
            if getattr(series.terms, field) != getattr(command.terms, field):
                raise SeriesFixed(field)
        if most_vouchers(command.terms) < (before := most_vouchers(series.terms)):
            raise BudgetOnlyGrows(before)
    return VoucherSeriesDefined(command.series_id, command.terms, command.by)


def defined(series: Series, fact: VoucherSeriesDefined) -> Series:
    """The series after a version: what its budget grew by is spread over the slices."""
    before = most_vouchers(series.terms) if series.terms is not None else 0
    grown = most_vouchers(fact.terms) - before
    more = split(grown) if grown else ()
    capacities = tuple(a + b for a, b in zip_longest(series.capacities, more, fillvalue=0))
    return Series(series.version + 1, fact.terms, capacities)


def refusal(series_id: str, terms: SeriesTerms, now: int) -> ServiceError | None:
    """Why nothing is issued from a series now; None when it is."""
    if terms.closed:
        return SeriesClosed(series_id)
    if terms.valid_until is not None and terms.valid_until <= now:
        return SeriesOver(series_id, terms.valid_until)
    return None


def validity(terms: SeriesTerms, now: int) -> tuple[int, int | None]:
    """From when and until when a voucher that is issued now holds."""
    start = max(now, terms.valid_from or 0)
    ends = [] if terms.valid_until is None else [terms.valid_until]
    if terms.valid_days is not None:
        ends.append(start + terms.valid_days * DAY)
    return start, min(ends, default=None)


def walk(first: int, capacities: Sequence[int]) -> list[int]:
    """The slices in the order in which a request tries them."""
    slices = len(capacities)
    return [(first + step) % slices for step in range(slices)]


def take(slice_: Slice, command: Take) -> VoucherBudgetTaken:
    """Take a place. Raises the series' refusal, or BudgetSpent when the slice is full."""
    if command.refusal is not None:
        raise command.refusal
    if slice_.taken - slice_.returned >= command.capacity:
        raise BudgetSpent(command.issued.series_id, command.capacity)
    return VoucherBudgetTaken(command.issued)


def choose(request: Request, command: Choose) -> VoucherCodeChosen | None:
    """Choose a code; None when somebody has chosen another in between."""
    return command.chosen if request.voucher_id == command.instead_of else None
