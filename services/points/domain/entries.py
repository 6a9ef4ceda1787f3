"""Making facts: a course of entries and marks, each built on the account as the last left it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from contracts.events import Grant
from contracts.points import (
    AccountMarked,
    AdjustmentTerms,
    EntryKind,
    HoldTerms,
    LotTerms,
    MarkKind,
    Parcel,
    PointsPosted,
    Posting,
    Progress,
    TransferTerms,
    VestingTerms,
)
from services.points.domain.account import (
    KINDS,
    NEVER,
    Account,
    Role,
    Vesting,
    check_balanced,
    debt_lot,
)
from services.points.domain.applying import apply
from services.points.domain.errors import AmountOutOfBounds, InsufficientPoints, PoolRoleMissing
from services.points.domain.terms import LotRules

MOST_POINTS = 2**53 - 1
"""The largest amount that every JSON reader reads exactly."""
_NOTHING: dict[str, int] = {}


@dataclass(frozen=True)
class Policy:
    """What the programme says about an account, compiled.

    ``vests(rule, vesting)`` judges a period of a vesting lot. ``returns``: what may be taken back.
    """

    lots: LotRules
    returns: str = "unlimited"
    vests: Callable[[str, Vesting], bool] = lambda rule, vesting: True


class Step(msgspec.Struct, frozen=True):
    """One fact of a decision: its key in the stream, when it happened, what it is.

    ``after`` is the account with it. ``follows_on``: it is made with the steps before it or not at
    all, as what another command would make of what they leave.
    """

    key: str
    at: int
    fact: PointsPosted | AccountMarked
    after: Account
    follows_on: bool = False


class Course:
    """An account on its way through a decision; collects the facts that decision makes."""

    __slots__ = ("account", "owner", "steps")

    def __init__(self, owner: str, account: Account) -> None:
        self.owner = owner
        self.account = account
        self.steps: list[Step] = []

    def post(
        self,
        kind: EntryKind,
        key: str,
        at: int,
        postings: Sequence[Posting],
        *,
        seq: int = 0,
        activity_id: str = "",
        grants: tuple[Grant, ...] = (),
        lots: tuple[str, ...] = (),
        reverses: str | None = None,
        terms: tuple[LotTerms, ...] = (),
        vesting: tuple[VestingTerms, ...] = (),
        progress: Progress | None = None,
        forgiven: dict[str, int] = _NOTHING,
        hold: HoldTerms | None = None,
        transfer: TransferTerms | None = None,
        adjustment: AdjustmentTerms | None = None,
        reason: str | None = None,
        by: str | None = None,
    ) -> None:
        """Add an entry. The options are the optional fields of PointsPosted, and ``seq``."""
        balances, pending, held = _moved(self.account, postings)
        entry = PointsPosted(  # in their order: so many by name cost five times as much
            f"{self.owner}-{seq}" if seq else f"{self.owner}-x{self.account.facts + 1}",
            self.owner,
            kind,
            activity_id,
            seq,
            tuple(postings),
            balances,
            grants,
            lots,
            reverses,
            pending,
            held,
            terms,
            vesting,
            progress,
            forgiven,
            hold,
            transfer,
            adjustment,
            reason,
            by,
        )
        check_balanced(entry)
        self._add(key, at, entry)

    def mark(self, kind: MarkKind, key: str, at: int, mark_id: str, **more: Any) -> None:
        """Add a mark. ``more`` are the optional fields of AccountMarked."""
        balances = self.account.balances
        self._add(key, at, AccountMarked(self.owner, kind, mark_id, balances, **more))

    def _add(self, key: str, at: int, fact: PointsPosted | AccountMarked) -> None:
        self.account = apply(self.account, fact, at)
        self.steps.append(Step(key, at, fact, self.account))

    def last_follows_on(self) -> None:
        """Have the last step made only if those before it are."""
        self.steps[-1] = msgspec.structs.replace(self.steps[-1], follows_on=True)

    def time_key(self) -> str:
        """A key for what time alone brings: the stream's next seq makes it unique."""
        return f"at:{self.account.facts + 1}"


def _moved(
    account: Account, postings: Sequence[Posting]
) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """What there is to spend, what waits and what is held, after some postings."""
    balances, pending, held = account.balances.copy(), account.pending, account.held
    waits = holds = False
    for posting in postings:
        kind, wallet = KINDS[posting.account], posting.wallet
        if kind == "member":
            balances[wallet] = balances.get(wallet, 0) + posting.amount
        elif kind == "pending":
            pending = pending if waits else dict(pending)
            waits = True
            pending[wallet] = pending.get(wallet, 0) + posting.amount
        elif kind == "held":
            held = held if holds else dict(held)
            holds = True
            held[wallet] = held.get(wallet, 0) + posting.amount
    return (
        balances,
        {wallet: points for wallet, points in pending.items() if points} if waits else pending,
        {wallet: points for wallet, points in held.items() if points} if holds else held,
    )


def between(source: str, target: str, wallet: str, lot: str, points: int) -> tuple[Posting, ...]:
    """Points of a lot from one account to another."""
    return (
        Posting(f"{target}/{wallet}", wallet, points, lot),
        Posting(f"{source}/{wallet}", wallet, -points, lot),
    )


def across(
    source: str, wallet: str, lot: str, points: int, *, into: str, account: str = "member"
) -> tuple[Posting, ...]:
    """Points from lot to lot of one owner, through clearing."""
    return (
        *between(source, "clearing", wallet, lot, points),
        *between("clearing", account, wallet, into, points),
    )


def spend_order(account: Account, wallet: str) -> list[tuple[str, int]]:
    """What can be spent, as (lot, points): what expires first comes first."""
    lots = [
        (lot.expires or NEVER, name, lot.left)
        for name, lot in account.lots.items()
        if lot.wallet == wallet and lot.left > 0 and "~" not in name
    ]
    return [(name, left) for _, name, left in sorted(lots)]


def take(account: Account, wallet: str, points: int) -> list[tuple[str, int]]:
    """Lots to spend ``points`` from. Raises InsufficientPoints, AmountOutOfBounds."""
    require_amount(points)
    available = max(0, account.balances.get(wallet, 0))
    if points > available:
        raise InsufficientPoints(wallet, points, available)
    taken: list[tuple[str, int]] = []
    for lot, left in spend_order(account, wallet):
        if not points:
            break
        part = min(left, points)
        taken.append((lot, part))
        points -= part
    return taken


def require_amount(points: int, field_name: str = "points") -> None:
    """Raise AmountOutOfBounds unless 1 <= points < 2^53."""
    if not 1 <= points <= MOST_POINTS:
        raise AmountOutOfBounds(field_name, points)


def fill_debt(account: Account, wallet: str, lots: Iterable[tuple[str, int]]) -> list[Posting]:
    """Postings by which points that just came in fill a negative balance."""
    debt = account.lots.get(debt_lot(wallet))
    owed = -debt.left if debt is not None else 0
    postings: list[Posting] = []
    for lot, points in lots:
        if (part := min(owed, points)) > 0:
            postings += between("member", "fill", wallet, lot, part)
            postings += between("fill", "member", wallet, debt_lot(wallet), part)
            owed -= part
    return postings


def opening(account: Account, terms: Iterable[LotTerms]) -> tuple[LotTerms, ...]:
    """Those terms that the account does not know yet, each once.

    A lot whose expiry moves is known by another one: it keeps the later of the two.
    """
    new: dict[str, LotTerms] = {}
    for each in terms:
        known = new.get(each.lot) or account.lots.get(each.lot)
        if known is None or 0 < known.expires < each.expires:
            new[each.lot] = each
    return tuple(new.values())


def given_back(
    account: Account, parcels: Iterable[Parcel], now: int, *, source: str
) -> list[Posting]:
    """Points back into their lots, those past their expiry at once out of them again.

    What is alive fills a negative balance first; what has expired fills nothing.
    """
    postings: list[Posting] = []
    alive: dict[str, list[tuple[str, int]]] = {}
    for parcel in parcels:
        postings += between(source, "member", parcel.wallet, parcel.lot, parcel.points)
        known = account.lots.get(parcel.lot)
        expires = max(parcel.expires, known.expires) if known else parcel.expires
        if 0 < expires <= now:
            postings += between("member", "breakage", parcel.wallet, parcel.lot, parcel.points)
        else:
            alive.setdefault(parcel.wallet, []).append((parcel.lot, parcel.points))
    for wallet, parts in alive.items():
        postings += fill_debt(account, wallet, parts)
    return postings


def parcels_of(account: Account, wallet: str, parts: Iterable[tuple[str, int]]) -> list[Parcel]:
    """Points of an account's lots with the expiry that they have now."""
    return [Parcel(lot, wallet, account.lots[lot].expires, points) for lot, points in parts]


def require_role(account: Account, pool: str, member: str, roles: tuple[Role, ...]) -> None:
    """Raise PoolRoleMissing unless the member is in the pool with one of these roles."""
    known = account.pool.get(member)
    if known is None or not known.joined or known.role not in roles:
        raise PoolRoleMissing(pool, roles)
