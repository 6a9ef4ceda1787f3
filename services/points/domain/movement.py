"""The movement of points: what came in, what went out, and that nothing is left over.

Invariants:

* every posting to a system account belongs to exactly one column, but those to ``clearing`` and
  ``fill``, which sum to zero within an entry;
* the columns say what *should* have become of what accounts hold; the balances that each entry
  recorded say what *did*: opening + Σ columns = closing, for every day and wallet, or the
  ``difference`` is not zero and the ledger is damaged;
* by value an entry belongs to the day its fact happened on, by booking to the day it was written
  on. A booking month is closed when it is over and what was stamped before its end is written.

What accounts hold is active, pending and held points, less negative balances. Points on their way
between two accounts are held by none: they leave with ``transferred`` and come back with it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

import msgspec

from contracts.points import LotTerms, Parcel, Posting

COLUMNS = (
    "issued",
    "returned",
    "redeemed",
    "cancelled",
    "expired",
    "forfeited",
    "unexpired",
    "adjusted",
    "compensated",
    "transferred",
)
(
    ISSUED,
    RETURNED,
    REDEEMED,
    CANCELLED,
    EXPIRED,
    FORFEITED,
    UNEXPIRED,
    ADJUSTED,
    COMPENSATED,
    TRANSFERRED,
) = range(len(COLUMNS))
CHANGE = len(COLUMNS)
"""The place in a row of what accounts' own balances changed by."""
TAKEN_AWAY = frozenset((RETURNED, REDEEMED, EXPIRED, FORFEITED))
CREATED = (ISSUED, RETURNED, ADJUSTED, COMPENSATED)
MOST_MONTHS = 600
OWN_ACCOUNTS = frozenset(("member", "pending", "held"))

_COLUMN_OF: Mapping[tuple[str, bool], int] = {
    ("issuance", False): ISSUED,
    ("issuance", True): RETURNED,
    ("redemption", True): REDEEMED,
    ("redemption", False): CANCELLED,
    ("breakage", True): EXPIRED,
    ("breakage", False): UNEXPIRED,
    ("adjustment", True): ADJUSTED,
    ("adjustment", False): ADJUSTED,
    ("compensation", True): COMPENSATED,
    ("compensation", False): COMPENSATED,
    ("transfer", True): TRANSFERRED,
    ("transfer", False): TRANSFERRED,
}


class Carried(msgspec.Struct, gc=False):
    """What a report reads of a transfer."""

    parcels: tuple[Parcel, ...]


class Entry(msgspec.Struct, gc=False):
    """What a report reads of PointsPosted; the rest is not even decoded."""

    kind: str
    postings: tuple[Posting, ...]
    balances: dict[str, int]
    pending: dict[str, int] = {}
    held: dict[str, int] = {}
    terms: tuple[LotTerms, ...] = ()
    transfer: Carried | None = None


Row = list[int]
"""By column, what it did to what accounts hold; and at CHANGE, what became of that."""
Days = dict[str, dict[int, Row]]
"""Rows by wallet and day (its ordinal)."""


def column(account: str, amount: int, kind: str) -> int | None:
    """The column of a posting to a system account; None when it has to cancel out by itself."""
    if kind == "forfeit" and account == "breakage":
        return FORFEITED
    return _COLUMN_OF.get((account, amount > 0))


@dataclass
class Movement:
    """Rows by day, both ways of dating an entry. Give it each account's entries in order."""

    by_value: Days = field(default_factory=dict)
    by_booking: Days = field(default_factory=dict)
    _recorded: dict[str, int] = field(default_factory=dict)

    def begin(self) -> None:
        """The next entry is the first of another account."""
        self._recorded = {}

    def add(self, entry: Entry, happened: int, booked: int) -> None:
        """Count an entry on the day it happened and on the day it was booked (ordinals)."""
        moved: dict[str, Row] = {}
        for wallet in entry.balances:
            moved[wallet] = self._changed(entry, wallet)
        for wallet in {*self._recorded, *entry.pending, *entry.held} - moved.keys():
            moved[wallet] = self._changed(entry, wallet)
        for posting in entry.postings:
            account = posting.account.partition("/")[0]
            if account in OWN_ACCOUNTS:
                continue
            if (place := column(account, posting.amount, entry.kind)) is not None:
                row = moved.setdefault(posting.wallet, _empty())
                row[place] -= posting.amount
        for wallet, row in moved.items():
            if any(row):
                _count(self.by_value, wallet, happened, row)
                _count(self.by_booking, wallet, booked, row)

    def _changed(self, entry: Entry, wallet: str) -> Row:
        """A row that says what the entry's recorded balances changed by since the last entry."""
        now = (
            entry.balances.get(wallet, 0) + entry.pending.get(wallet, 0) + entry.held.get(wallet, 0)
        )
        row = _empty()
        row[CHANGE] = now - self._recorded.get(wallet, 0)
        self._recorded[wallet] = now
        return row


def _empty() -> Row:
    return [0] * (CHANGE + 1)


def _count(days: Days, wallet: str, day: int, row: Row) -> None:
    rows = days.setdefault(wallet, {})
    if (there := rows.get(day)) is None:
        rows[day] = row.copy()
        return
    for place, amount in enumerate(row):
        if amount:
            there[place] += amount


class MovementRow(msgspec.Struct, frozen=True):
    """One month of one wallet. What takes points away is written as a positive number:

    opening + issued - returned - redeemed + cancelled - expired - forfeited + unexpired + adjusted
    + compensated + transferred = closing + difference.
    """

    month: str
    wallet: str
    opening: int
    issued: int
    returned: int
    redeemed: int
    cancelled: int
    expired: int
    forfeited: int
    unexpired: int
    adjusted: int
    compensated: int
    transferred: int
    closing: int
    difference: int
    closed: bool


def by_month(days: Days, last: str, closed_before: str = "") -> list[MovementRow]:
    """Every month from the first with an entry to ``last``, by wallet; the newest MOST_MONTHS.

    Months are ``YYYY-MM``; those before ``closed_before`` are closed.
    """
    rows: list[MovementRow] = []
    for wallet in sorted(days):
        months: dict[int, Row] = {}
        for day, row in days[wallet].items():
            there = months.setdefault(_number(date.fromordinal(day)), _empty())
            for place, amount in enumerate(row):
                there[place] += amount
        rows += _running(wallet, months, _number_of(last), closed_before)
    return sorted(rows, key=lambda row: (row.month, row.wallet))


def _running(
    wallet: str, months: Mapping[int, Row], last: int, closed_before: str
) -> Iterator[MovementRow]:
    end = max(last, *months) + 1
    begin = max(min(months), end - MOST_MONTHS)
    held = sum(row[CHANGE] for month, row in months.items() if month < begin)
    for month in range(begin, end):
        row = months.get(month, _empty())
        yield _shown(_name(month), wallet, held, row, closed_before)
        held += row[CHANGE]


def _shown(month: str, wallet: str, held: int, row: Row, closed_before: str) -> MovementRow:
    shown = [-amount if place in TAKEN_AWAY else amount for place, amount in enumerate(row)]
    return MovementRow(
        month,
        wallet,
        held,
        issued=shown[ISSUED],
        returned=shown[RETURNED],
        redeemed=shown[REDEEMED],
        cancelled=shown[CANCELLED],
        expired=shown[EXPIRED],
        forfeited=shown[FORFEITED],
        unexpired=shown[UNEXPIRED],
        adjusted=shown[ADJUSTED],
        compensated=shown[COMPENSATED],
        transferred=shown[TRANSFERRED],
        closing=held + row[CHANGE],
        difference=sum(row[:CHANGE]) - row[CHANGE],
        closed=month < closed_before,
    )


def _number(day: date) -> int:
    return day.year * 12 + day.month - 1


def _number_of(month: str) -> int:
    return int(month[:4]) * 12 + int(month[5:]) - 1


def _name(month: int) -> str:
    return f"{month // 12:04d}-{month % 12 + 1:02d}"


def closing(days: Days) -> dict[str, int]:
    """What accounts hold in the end, by wallet, as their entries recorded it."""
    return {wallet: sum(row[CHANGE] for row in rows.values()) for wallet, rows in days.items()}


class NetIssuance(msgspec.Struct, frozen=True):
    """Points that came into being on a day, less those taken back: earned, given, corrected."""

    day: str
    wallet: str
    by_value: int
    by_booking: int


def net_issuance(movement: Movement, wallets: Iterable[str]) -> list[NetIssuance]:
    """The net issuance of each day on which there was any, newest day first."""
    found = []
    for wallet in sorted(wallets):
        happened, booked = (
            movement.by_value.get(wallet, {}),
            movement.by_booking.get(wallet, {}),
        )
        for day in sorted({*happened, *booked}):
            value, booking = _created(happened.get(day)), _created(booked.get(day))
            if value or booking:
                name = date.fromordinal(day).isoformat()
                found.append(NetIssuance(name, wallet, value, booking))
    return sorted(found, key=lambda each: each.day, reverse=True)


def _created(row: Row | None) -> int:
    return sum(row[place] for place in CREATED) if row is not None else 0
