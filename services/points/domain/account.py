"""An account: what it holds, and how its facts change it.

Invariants, checked by `services.points.audit` and after every step of the property tests:

* an entry's postings sum to zero for each wallet and for each lot by itself;
* per lot, ``credited = spent + expired + reversed + left + held``;
* per wallet, the same over all its lots, dropped ones included (``totals``);
* a hold, a redemption and a transfer each end once.

A lot that is empty is forgotten, unless some of it expired: then it is kept for ``KEPT_AFTER``,
because a late return takes from what expired before it takes from what the member still has. So an
account is bounded by its expiry rules, however long it lives (docs/ledger.md gives the bound).
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

from contracts.points import (
    AdjustmentTerms,
    Instalment,
    LotTerms,
    Parcel,
    PointsPosted,
    Posting,
)
from kit.clock import DAY
from services.points.domain.errors import UnbalancedEntry

KEPT_AFTER = 400 * DAY
"""How long an expired lot is remembered: longer than any purchase may be returned."""
RECENT = 31 * DAY
MOST_RECENT = 200
MOST_REMEMBERED = 32
NEVER = 2**62


class Lot(msgspec.Struct, frozen=True, array_like=True):
    """Points of one kind: the same wallet, the same opening, the same expiry.

    ``left`` can be spent (or waits, when ``waiting``), ``held`` is set aside by holds; the others
    are running totals. ``opens`` and ``expires`` in microseconds, 0 for at once and never.
    """

    wallet: str
    opens: int = 0
    expires: int = 0
    left: int = 0
    held: int = 0
    credited: int = 0
    spent: int = 0
    expired: int = 0
    reversed: int = 0
    awaits: str | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing is in it."""
        return not self.left and not self.held


class Totals(msgspec.Struct, frozen=True, array_like=True):
    """What became of all points that ever entered a wallet."""

    credited: int = 0
    spent: int = 0
    expired: int = 0
    reversed: int = 0


class Hold(msgspec.Struct, frozen=True, array_like=True):
    """Points set aside: (lot, points) in the order they are captured."""

    wallet: str
    until: int
    parts: tuple[tuple[str, int], ...]
    purpose: str
    reward_id: str | None = None
    quantity: int = 1
    money: int = 0

    @property
    def points(self) -> int:
        """How many are set aside."""
        return sum(points for _, points in self.parts)


class Redemption(msgspec.Struct, frozen=True, array_like=True):
    """A captured redemption that may still be cancelled: what was paid, by lot."""

    reward_id: str
    quantity: int
    parcels: tuple[Parcel, ...]
    money: int = 0


class Redeemed(msgspec.Struct, frozen=True, array_like=True):
    """How often a reward was taken: in all, and the latest ones as (hold id, time, quantity)."""

    total: int = 0
    latest: tuple[tuple[str, int, int], ...] = ()


class Sent(msgspec.Struct, frozen=True, array_like=True):
    """A transfer on its way."""

    other: str
    until: int
    parcels: tuple[Parcel, ...]


class Vesting(msgspec.Struct, frozen=True, array_like=True):
    """A lot that unlocks in instalments, and what happened in the running period."""

    rule: str
    began: int
    instalments: tuple[Instalment, ...]
    purchases: int = 0
    spend: int = 0
    activities: int = 0


Role = Literal["owner", "spender", "contributor"]


class PoolMember(msgspec.Struct, frozen=True, array_like=True):
    """Somebody in a household pool, and how much they have put in."""

    role: Role
    contributed: int = 0
    joined: bool = True


class Account(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that a decision needs to know. ``at`` is the account's clock: it never goes back.

    ``absorbed`` is the seq of the last decision posted, ``facts`` how many facts there are,
    ``balances``, ``pending`` and ``held`` are points by wallet, ``due`` when time alone next
    changes something (0: never).
    """

    absorbed: int = 0
    facts: int = 0
    at: int = 0
    due: int = 0
    balances: dict[str, int] = {}
    pending: dict[str, int] = {}
    held: dict[str, int] = {}
    lots: dict[str, Lot] = {}
    totals: dict[str, Totals] = {}
    holds: dict[str, Hold] = {}
    redemptions: dict[str, Redemption] = {}
    redeemed: dict[str, Redeemed] = {}
    sent: dict[str, Sent] = {}
    vesting: dict[str, Vesting] = {}
    requests: dict[str, AdjustmentTerms] = {}
    recent: tuple[tuple[int, int], ...] = ()
    contact_changed: int = 0
    pool: dict[str, PoolMember] = {}


def debt_lot(wallet: str) -> str:
    """The lot that is below zero when a wallet is."""
    return f"{wallet}.debt"


def endless_lot(wallet: str) -> str:
    """The lot of points that never expire."""
    return f"{wallet}.never"


def lot_of(posting: Posting) -> str:
    """The lot of a posting."""
    return posting.lot or endless_lot(posting.wallet)


def target_lot(lot: str) -> str:
    """The lot that a waiting lot's points go into."""
    return lot.partition("~")[0]


def check_balanced(entry: PointsPosted) -> None:
    """Raise UnbalancedEntry unless the postings of each lot sum to zero."""
    sums: dict[str, int] = {}
    for posting in entry.postings:
        lot = lot_of(posting)
        sums[lot] = sums.get(lot, 0) + posting.amount
    if any(sums.values()):
        raise UnbalancedEntry(entry.entry_id, {lot: sum_ for lot, sum_ in sums.items() if sum_})


def with_terms(lots: dict[str, Lot], terms: Iterable[LotTerms]) -> None:
    """Open the lots that an entry opens, and move the expiry of those it moves."""
    for new in terms:
        if (old := lots.get(new.lot)) is None:
            lots[new.lot] = Lot(new.wallet, new.opens, new.expires, awaits=new.awaits)
        else:
            lots[new.lot] = msgspec.structs.replace(old, opens=new.opens, expires=new.expires)


_LEFT, _HELD, _CREDITED, _SPENT, _EXPIRED, _REVERSED = range(6)
_COLUMNS = {
    "member": _LEFT,
    "pending": _LEFT,
    "held": _HELD,
    "redemption": _SPENT,
    "breakage": _EXPIRED,
    "fill": _REVERSED,
}


class _Kinds(dict[str, str]):
    """The part before the slash of each account's name, cut off once: there are few names."""

    def __missing__(self, account: str) -> str:
        kind = self[account] = account.partition("/")[0]
        return kind


KINDS = _Kinds()


def book(lots: dict[str, Lot], totals: dict[str, Totals], postings: Iterable[Posting]) -> None:
    """Book postings on lots and totals. A posting to a system account moves a running total.

    What a system account gives is credited; what issuance takes is reversed, the others' is spent.
    """
    moves: dict[str, list[int]] = {}
    wallets: dict[str, str] = {}
    for posting in postings:
        name = posting.lot or endless_lot(posting.wallet)
        if (move := moves.get(name)) is None:
            move = moves[name] = [0, 0, 0, 0, 0, 0]
            wallets[name] = posting.wallet
        kind, amount = KINDS[posting.account], posting.amount
        if (column := _COLUMNS.get(kind)) is not None:
            move[column] += amount
        elif amount < 0 or kind == "clearing":
            move[_CREDITED] -= amount
        else:
            move[_REVERSED if kind == "issuance" else _SPENT] += amount
    for name, (left, held, credited, spent, expired, taken) in moves.items():
        wallet = wallets[name]
        lot = lots.get(name) or Lot(wallet)
        lots[name] = Lot(
            lot.wallet,
            lot.opens,
            lot.expires,
            lot.left + left,
            lot.held + held,
            lot.credited + credited,
            lot.spent + spent,
            lot.expired + expired,
            lot.reversed + taken,
            lot.awaits,
        )
        if credited or spent or expired or taken:
            total = totals.get(wallet) or Totals()
            totals[wallet] = Totals(
                total.credited + credited,
                total.spent + spent,
                total.expired + expired,
                total.reversed + taken,
            )


def forget_empty(lots: dict[str, Lot], at: int) -> None:
    """Drop what is empty and no longer of use; never the endless lot."""
    gone = [
        name
        for name, lot in lots.items()
        if not lot.left
        and not lot.held
        and (not lot.expired or at - lot.expires > KEPT_AFTER)
        and not name.endswith(".never")
    ]
    for name in gone:
        del lots[name]


def due_at(account: Account) -> int:
    """When time alone next changes something: 0 when it never does."""
    due = NEVER
    for name, lot in account.lots.items():
        if lot.left <= 0:
            continue
        if 0 < lot.expires < due:
            due = lot.expires
        if 0 < lot.opens < due and "~" in name:
            due = lot.opens
    for hold in account.holds.values():
        due = min(due, hold.until)
    for vesting in account.vesting.values():
        if vesting.instalments:
            due = min(due, vesting.instalments[0].due)
    return 0 if due == NEVER else due
