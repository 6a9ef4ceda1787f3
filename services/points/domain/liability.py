"""Liability: the points that the programme still owes, by wallet, rule and month of expiry.

Invariants:

* active, pending and held points over all rows, less negative balances, are what accounts hold
  by the movement report; the report says the difference;
* money is exact until it is shown: each figure is rounded half up from its own exact value, a
  total from the exact total, so a total may differ from the sum of its rows by what was rounded;
* no breakage is taken off without a history to learn it from: such rows are net as they are gross.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import msgspec

from contracts.points import LotTerms, Posting
from services.points.domain.breakage import Breakage, Sample
from services.points.domain.movement import Entry

Rule = Literal["dated", "sliding", "never"]
MonthOf = Callable[[int], str]
"""The programme's month, ``YYYY-MM``, at a time in microseconds."""
Key = tuple[str, Rule, str]
"""Wallet, rule, month of the last good day (empty: none)."""


@dataclass(slots=True)
class _Lot:
    """What is in a lot of one account, what was credited to it and what of that expired."""

    wallet: str
    active: int = 0
    pending: int = 0
    held: int = 0
    credited: int = 0
    expired: int = 0

    def book(self, posting: Posting) -> None:
        account, amount = posting.account.partition("/")[0], posting.amount
        if account == "member":
            self.active += amount
        elif account == "pending":
            self.pending += amount
        elif account == "held":
            self.held += amount
        elif account == "breakage":
            self.expired += amount
        elif account != "redemption":
            self.credited -= amount


@dataclass
class Holdings:
    """The points of one rule and month: what they are, and what the lots they are in had."""

    active: int = 0
    pending: int = 0
    held: int = 0
    in_transit: int = 0
    overdue: int = 0
    credited: int = 0
    expired: int = 0

    @property
    def outstanding(self) -> int:
        """All of them."""
        return self.active + self.pending + self.held + self.in_transit

    def expected_to_expire(self, rate: Fraction) -> Fraction:
        """``rate`` of all that was credited, less what expired; at most what is left.

        What is past its expiry already is certain to go.
        """
        live = self.outstanding - self.overdue
        to_come = rate * (self.credited + self.in_transit) - self.expired
        return self.overdue + min(max(to_come, Fraction(0)), Fraction(live))


@dataclass
class Outstanding:
    """What all accounts hold. Give it each account's entries in order, and its end."""

    as_of: int
    month_of: MonthOf
    rows: dict[Key, Holdings] = field(default_factory=dict)
    negative: dict[str, int] = field(default_factory=dict)
    samples: dict[str, Sample] = field(default_factory=dict)
    _lots: dict[str, _Lot] = field(default_factory=dict)
    _expires: dict[str, int] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        """Book an entry of the present account."""
        self.extend(entry.terms)
        lots = self._lots
        for posting in entry.postings:
            name = posting.lot or f"{posting.wallet}.never"
            if (lot := lots.get(name)) is None:
                lot = lots[name] = _Lot(posting.wallet)
            lot.book(posting)
        if entry.transfer is not None:
            sign = 1 if entry.kind == "transfer_out" else -1
            for parcel in entry.transfer.parcels:
                row = self._row(parcel.wallet, parcel.lot, parcel.expires)
                row.in_transit += sign * parcel.points

    def extend(self, terms: Iterable[LotTerms]) -> None:
        """Note when lots expire, from an entry or a mark of the present account."""
        for each in terms:
            self._expires[each.lot] = each.expires

    def end(self) -> None:
        """The present account has no more entries."""
        over: dict[str, list[int]] = {}
        for name, lot in self._lots.items():
            if lot.active < 0:
                self.negative[lot.wallet] = self.negative.get(lot.wallet, 0) + lot.active
                lot.active = 0
            if not name.endswith(".debt"):
                self._settle(name, lot, over)
        for wallet, (credited, expired) in over.items():
            self.samples.setdefault(wallet, Sample()).add(credited, expired)
        self._lots, self._expires = {}, {}

    def _settle(self, name: str, lot: _Lot, over: dict[str, list[int]]) -> None:
        expires = self._expires.get(name, 0)
        row = self._row(lot.wallet, name, expires)
        row.active += lot.active
        row.pending += lot.pending
        row.held += lot.held
        if 0 < expires <= self.as_of:
            left = lot.active + lot.pending
            row.overdue += left
            if rule_of(lot.wallet, name, expires) == "dated":
                sums = over.setdefault(lot.wallet, [0, 0])
                sums[0] += lot.credited
                sums[1] += lot.expired + left
        else:
            row.credited += lot.credited
            row.expired += lot.expired

    def _row(self, wallet: str, lot: str, expires: int) -> Holdings:
        month = self.month_of(expires - 1) if expires else ""
        key = (wallet, rule_of(wallet, lot, expires), month)
        if (row := self.rows.get(key)) is None:
            row = self.rows[key] = Holdings()
        return row


def rule_of(wallet: str, lot: str, expires: int) -> Rule:
    """The kind of expiry, as a lot's id tells it."""
    if not expires:
        return "never"
    return "sliding" if lot.startswith(f"{wallet}.sliding-") else "dated"


class LiabilityRow(msgspec.Struct, frozen=True):
    """Points that expire in a month (None: never), and what they cost in minor units.

    ``breakage``, with its interval, are points; None where there is no history to learn from, and
    then ``net`` is ``gross``. ``net_high`` goes with the low end of breakage.
    """

    wallet: str
    rule: Rule
    month: str | None
    active: int
    pending: int
    held: int
    in_transit: int
    outstanding: int
    gross: int
    breakage: int | None
    breakage_low: int | None
    breakage_high: int | None
    net: int
    net_low: int
    net_high: int


class WalletLiability(msgspec.Struct, frozen=True):
    """One wallet: its totals, its negative balances apart, and the share of points that expires.

    ``difference`` is between its lots and the balances that accounts recorded: 0, or the ledger is
    damaged. ``rate`` is None when no lot's life is over yet.
    """

    wallet: str
    outstanding: int
    negative: int
    difference: int
    gross: int
    net: int
    net_low: int
    net_high: int
    rate: float | None
    rate_low: float | None
    rate_high: float | None
    learnt_from_accounts: int
    learnt_from_points: int
    expired_points: int


@dataclass(frozen=True)
class Cost:
    """What a point costs in minor units; a wallet that cannot be spent costs nothing."""

    per_point: Fraction
    spendable: Mapping[str, bool]

    def of(self, wallet: str, points: int | Fraction) -> Fraction:
        """The exact cost of points."""
        return self.per_point * points if self.spendable.get(wallet, True) else Fraction(0)


def rounded(exact: Fraction) -> int:
    """Half up."""
    return int((exact + Fraction(1, 2)) // 1)


def liability_rows(found: Outstanding, cost: Cost) -> list[LiabilityRow]:
    """The rows that owe something, by wallet, rule and month."""
    rates = {wallet: sample.estimate() for wallet, sample in found.samples.items()}
    return [
        _row(key, row, rates.get(key[0]), cost)
        for key, row in sorted(found.rows.items())
        if row.outstanding
    ]


def _row(key: Key, row: Holdings, estimate: Breakage | None, cost: Cost) -> LiabilityRow:
    wallet, rule, month = key
    expected = _breakage(rule, row, estimate)
    best, low, high = expected or (Fraction(0),) * 3
    return LiabilityRow(
        wallet,
        rule,
        month or None,
        row.active,
        row.pending,
        row.held,
        row.in_transit,
        row.outstanding,
        rounded(cost.of(wallet, row.outstanding)),
        rounded(best) if expected else None,
        rounded(low) if expected else None,
        rounded(high) if expected else None,
        rounded(cost.of(wallet, row.outstanding - best)),
        rounded(cost.of(wallet, row.outstanding - high)),
        rounded(cost.of(wallet, row.outstanding - low)),
    )


def _breakage(
    rule: Rule, row: Holdings, estimate: Breakage | None
) -> tuple[Fraction, Fraction, Fraction] | None:
    """The points expected to expire, with interval; None when nothing can be said.

    What never expires has none. Nothing is said of sliding lots: those that ended did so because
    their owners went quiet, which says nothing of the owners of those that live.
    """
    if rule == "never":
        return (Fraction(0),) * 3
    if rule == "sliding" or estimate is None:
        return (Fraction(row.overdue),) * 3 if row.overdue == row.outstanding else None
    best, low, high = (
        row.expected_to_expire(rate) for rate in (estimate.rate, estimate.low, estimate.high)
    )
    return best, low, high


def wallet_liabilities(
    found: Outstanding, cost: Cost, recorded: Mapping[str, int]
) -> list[WalletLiability]:
    """The totals of each wallet; ``recorded`` is what accounts hold by the movement report."""
    wallets = sorted({*recorded, *found.negative, *(key[0] for key in found.rows)})
    return [_wallet(found, wallet, cost, recorded.get(wallet, 0)) for wallet in wallets]


def _wallet(found: Outstanding, wallet: str, cost: Cost, recorded: int) -> WalletLiability:
    sample = found.samples.get(wallet, Sample())
    estimate = sample.estimate()
    own = [(key, row) for key, row in found.rows.items() if key[0] == wallet]
    outstanding = sum(row.outstanding for _, row in own)
    in_transit = sum(row.in_transit for _, row in own)
    negative = found.negative.get(wallet, 0)
    expected = [_breakage(key[1], row, estimate) or (Fraction(0),) * 3 for key, row in own]
    best, low, high = (sum((each[i] for each in expected), Fraction(0)) for i in range(3))
    return WalletLiability(
        wallet,
        outstanding,
        negative,
        outstanding - in_transit + negative - recorded,
        rounded(cost.of(wallet, outstanding)),
        rounded(cost.of(wallet, outstanding - best)),
        rounded(cost.of(wallet, outstanding - high)),
        rounded(cost.of(wallet, outstanding - low)),
        _shown(estimate.rate if estimate else None),
        _shown(estimate.low if estimate else None),
        _shown(estimate.high if estimate else None),
        sample.accounts,
        sample.credited,
        sample.expired,
    )


def _shown(share: Fraction | None) -> float | None:
    return round(float(share), 6) if share is not None else None
