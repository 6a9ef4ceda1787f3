"""Points from owner to owner: transfers between members, and household pools.

A transfer is two entries, each in its own owner's stream, with the system account ``transfer`` in
between; no step touches two streams. The **receiver's stream decides** what becomes of it: the one
fact that bears ``transfer:{id}`` there accepts or declines it, and the sender's stream follows with
``transfer-end:{id}``. Points keep their expiry on the way; what expired there, expires on arrival.

A pool is an account whose owner is ``@{pool_id}``. Putting in and taking out are transfers that
need no acceptance. Who leaves takes a fair share: of every lot the part that they put in of all
that the pool's present members put in, rounded down.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from contracts.points import LotTerms, MarkKind, Posting, TransferTerms
from services.points.domain.account import Account, PoolMember, Role
from services.points.domain.advancing import advance
from services.points.domain.entries import (
    Course,
    Policy,
    between,
    given_back,
    opening,
    parcels_of,
    require_role,
    spend_order,
    take,
)
from services.points.domain.errors import (
    AlreadyEnded,
    LimitReached,
    NotKnown,
    SameOwner,
)
from services.points.domain.holding import Velocity, later, require_cooled, require_slow

MOST_SENT = 50
MOST_IN_POOL = 20


@dataclass(frozen=True, slots=True)
class Send:
    """Send points to another owner. The key is the request's; the transfer's id follows from it.

    ``by`` is the member who asks, when the points are a pool's.
    """

    owner: str
    key: str
    transfer_id: str
    to: str
    wallet: str
    points: int
    at: int
    until: int
    by: str
    at_once: bool = False
    remark: str | None = None
    velocity: tuple[Velocity, ...] = ()
    cooling: int = 0


@dataclass(frozen=True, slots=True)
class Receive:
    """Accept a transfer: what the sender's entry says is on its way."""

    owner: str
    sender: str
    transfer: TransferTerms
    at: int
    by: str


@dataclass(frozen=True, slots=True)
class Decline:
    """Refuse a transfer, or note that its time is over."""

    owner: str
    sender: str
    transfer_id: str
    at: int
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class EndSent:
    """The receiver has decided: forget the transfer, or book it back."""

    owner: str
    transfer_id: str
    at: int
    accepted: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PoolChange:
    """``found``, ``invite``, ``join`` or ``leave``: ``member`` is whom it is about."""

    owner: str
    key: str
    what: str
    member: str
    by: str
    at: int
    role: Role = "contributor"


def transfer_key(transfer_id: str) -> str:
    """The key of the fact that decides a transfer in the receiver's stream."""
    return f"transfer:{transfer_id}"


def end_of_transfer(transfer_id: str) -> str:
    """The key of the fact by which the sender's stream follows."""
    return f"transfer-end:{transfer_id}"


def send(course: Course, command: Send, policy: Policy) -> None:
    """Add the sender's entry. Raises InsufficientPoints, LimitReached, CoolingOff, SameOwner."""
    now = advance(course, command.at, policy)
    if command.to == command.owner:
        raise SameOwner(command.owner)
    if command.owner.startswith("@"):
        require_role(course.account, command.owner, command.by, ("owner", "spender"))
    parts = take(course.account, command.wallet, command.points)
    require_slow(course.account, command.points, now, command.velocity)
    require_cooled(course.account, now, command.cooling)
    if len(course.account.sent) >= MOST_SENT:
        raise LimitReached("open_transfers", f"At most {MOST_SENT} transfers are on their way")
    _send(course, command, parts, now)


def _send(course: Course, command: Send, parts: Sequence[tuple[str, int]], now: int) -> None:
    parcels = tuple(parcels_of(course.account, command.wallet, parts))
    postings: list[Posting] = []
    for lot, points in parts:
        postings += between("member", "transfer", command.wallet, lot, points)
    until = 0 if command.at_once else later(command.until, command.at, now)
    terms = TransferTerms(
        command.transfer_id, command.to, until, parcels, command.at_once, remark=command.remark
    )
    course.post("transfer_out", command.key, now, postings, transfer=terms, by=command.by)


def receive(course: Course, command: Receive, policy: Policy) -> None:
    """Add the receiver's entry."""
    now = advance(course, command.at, policy)
    terms = command.transfer
    if command.owner.startswith("@"):
        joined = course.account.pool.get(command.sender)
        if joined is None or not joined.joined:
            _declined(course, terms.transfer_id, command.sender, now, "not in the pool")
            return
    if not terms.at_once and 0 < terms.until <= now:
        _declined(course, terms.transfer_id, command.sender, now, "timed_out")
        return
    postings = given_back(course.account, terms.parcels, now, source="transfer")
    opened = [LotTerms(p.lot, p.wallet, 0, p.expires) for p in terms.parcels]
    mirrored = replace(terms, other=command.sender)
    course.post(
        "transfer_in",
        transfer_key(terms.transfer_id),
        now,
        postings,
        transfer=mirrored,
        terms=opening(course.account, opened),
        by=command.by,
    )


def decline(course: Course, command: Decline, policy: Policy) -> None:
    """Mark that a transfer was not accepted."""
    now = advance(course, command.at, policy)
    _declined(course, command.transfer_id, command.sender, now, command.reason, command.by)


def _declined(
    course: Course, transfer_id: str, sender: str, now: int, reason: str, by: str = "system"
) -> None:
    course.mark(
        "transfer_declined",
        transfer_key(transfer_id),
        now,
        transfer_id,
        other=sender,
        by=by,
        reason=reason,
    )


def end_sent(course: Course, command: EndSent, policy: Policy) -> None:
    """Follow the receiver; nothing when that was done before."""
    now = advance(course, command.at, policy)
    account, key = course.account, end_of_transfer(command.transfer_id)
    if (sent := account.sent.get(command.transfer_id)) is None:
        return
    if command.accepted:
        course.mark("transfer_done", key, now, command.transfer_id, other=sent.other)
        return
    postings = given_back(account, sent.parcels, now, source="transfer")
    terms = TransferTerms(command.transfer_id, sent.other, sent.until, sent.parcels)
    opened = [LotTerms(p.lot, p.wallet, 0, p.expires) for p in sent.parcels]
    course.post(
        "transfer_back",
        key,
        now,
        postings,
        transfer=terms,
        terms=opening(account, opened),
        reason=command.reason,
    )


def change_pool(course: Course, command: PoolChange, policy: Policy) -> None:
    """Add a change of a pool's members.

    Raises AlreadyEnded, LimitReached, NotKnown, PoolRoleMissing.
    """
    now = advance(course, command.at, policy)
    if command.what == "found":
        _found(course, command, now)
    elif command.what == "invite":
        _invite(course, command, now)
    elif command.what == "join":
        _join(course, command, now)
    else:
        _leave(course, command, now)


def _found(course: Course, command: PoolChange, now: int) -> None:
    account = course.account
    if account.pool or account.lots:
        raise AlreadyEnded("pool", command.owner, "it was founded before")
    _change(course, command, "pool_opened", now, "owner")


def _invite(course: Course, command: PoolChange, now: int) -> None:
    require_role(course.account, command.owner, command.by, ("owner",))
    pool = course.account.pool
    if (known := pool.get(command.member)) is not None and known.joined:
        raise AlreadyEnded("invitation", command.member, "they are in the pool")
    if known is None and len(pool) >= MOST_IN_POOL:
        raise LimitReached("pool_members", f"A pool has at most {MOST_IN_POOL} members")
    _change(course, command, "pool_invited", now, command.role)


def _join(course: Course, command: PoolChange, now: int) -> None:
    pool = course.account.pool
    if command.member not in pool or not any(each.role == "owner" for each in pool.values()):
        raise NotKnown("invitation", command.owner)
    _change(course, command, "pool_joined", now)


def _change(
    course: Course, command: PoolChange, kind: MarkKind, now: int, role: Role | None = None
) -> None:
    who, by = command.member, command.by
    course.mark(kind, command.key, now, command.owner, other=who, role=role, by=by)


def _leave(course: Course, command: PoolChange, now: int) -> None:
    """Send a member's fair share home, and forget the member.

    The last one leaves nothing that may come back to a pool without an owner. A share is named
    after its wallet, so that a departure that was cut short sends none twice.
    """
    account, pool = course.account, course.account.pool
    if (leaver := pool.get(command.member)) is None:
        raise NotKnown("pool_member", command.member)
    if command.by != command.member:
        require_role(account, command.owner, command.by, ("owner",))
    last = _alone(account, leaver)
    if leaver.role == "owner" and not last:
        raise LimitReached("pool_owner", "The owner leaves last: make the others leave first")
    away = account.sent.values()
    returning = any(each.until or each.other.startswith("@") for each in away)
    if last and (account.holds or account.redemptions or returning):
        raise LimitReached(
            "pool_busy",
            "Points of the pool are held or on their way, or a reward is not handed over: wait",
        )
    for wallet, parts in sorted(fair_share(account, leaver).items()):
        points = sum(part for _, part in parts)
        name = f"{command.key}.{wallet}"
        home = Send(
            command.owner,
            name,
            name.replace(":", "-"),
            command.member,
            wallet,
            points,
            now,
            now,
            command.by,
            at_once=True,
        )
        _send(course, home, parts, now)
    _change(course, command, "pool_left", now)


def _alone(account: Account, member: PoolMember) -> bool:
    return member.joined and sum(each.joined for each in account.pool.values()) == 1


def fair_share(account: Account, leaver: PoolMember) -> dict[str, list[tuple[str, int]]]:
    """What a member takes home, as (lot, points) by wallet: their part of each lot.

    The last one takes everything. Contributions are counted over the present members alone, so
    that what somebody who left had put in, and left behind by rounding, belongs to those who stay.
    """
    put_in = sum(member.contributed for member in account.pool.values())
    alone = _alone(account, leaver)
    shares: dict[str, list[tuple[str, int]]] = {}
    for wallet in account.balances:
        for lot, left in spend_order(account, wallet):
            part = left if alone else left * leaver.contributed // put_in if put_in else 0
            if part:
                shares.setdefault(wallet, []).append((lot, part))
    return shares
