"""A redemption, as the facts of its member's account tell it.

reserved (points are held) → confirmed (captured) → fulfilled (handed over), or cancelled from any
of the first two; a reservation that nobody confirms expires. Three facts decide, each borne by a
key of its own and so there at most once: the hold, what ended the hold, what ended the redemption.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from contracts.points import AccountMarked, PointsPosted
from services.points.domain.advancing import end_of_hold
from services.points.domain.holding import end_of_redemption, hold_key

Status = Literal["reserved", "confirmed", "fulfilled", "cancelled", "expired"]
SOLD_OUT = "sold_out"
TIMED_OUT = "timed_out"
Told = tuple[int, PointsPosted | AccountMarked]
"""A fact's time and body."""


class Redemption(msgspec.Struct, frozen=True):
    """Times in microseconds. ``ended_at`` is when it was fulfilled, cancelled or released.

    ``by`` is who asked for it, and ``member_id`` whose account pays: a pool's is ``@{pool_id}``.
    An expired one without ``ended_at`` has run out, and nothing has told its account yet.
    """

    redemption_id: str
    member_id: str
    reward_id: str
    quantity: int
    wallet: str
    points: int
    money: int
    status: Status
    reserved_at: int
    reserved_until: int
    confirmed_at: int | None = None
    ended_at: int | None = None
    reason: str | None = None
    by: str = ""

    @property
    def receiver(self) -> str:
        """Whom it is for: the account's member, or who spends a pool's points."""
        return receiver_of(self.member_id, self.by)

    @property
    def pool_id(self) -> str | None:
        """The household pool that pays; None: a member does."""
        return self.member_id[1:] if self.member_id.startswith("@") else None


def receiver_of(owner: str, by: str) -> str:
    """Whom a redemption from ``owner``'s account is for, asked for ``by`` somebody."""
    return by if owner.startswith("@") else owner


def keys_of(redemption_id: str) -> tuple[str, str, str]:
    """The keys of the facts that a redemption is told by."""
    return hold_key(redemption_id), end_of_hold(redemption_id), end_of_redemption(redemption_id)


def told(redemption_id: str, facts: Mapping[str, Told], now: int) -> Redemption | None:
    """The redemption that facts (by key) tell at ``now``; None when there is none."""
    first, ended, closed = (facts.get(key) for key in keys_of(redemption_id))
    if first is None or isinstance(first[1], AccountMarked):
        return None  # it was never asked for, or ruled out before it began
    status, confirmed_at, ended_at, reason = _came(ended, closed)
    reserved_at, hold = first
    assert isinstance(hold, PointsPosted)
    assert hold.hold is not None
    assert hold.hold.reward_id is not None
    if status == "reserved" and now >= hold.hold.until:
        status, reason = "expired", TIMED_OUT
    return Redemption(
        redemption_id,
        hold.member_id,
        hold.hold.reward_id,
        hold.hold.quantity,
        hold.postings[0].wallet,
        _held(hold),
        hold.hold.money,
        status,
        reserved_at,
        hold.hold.until,
        confirmed_at,
        ended_at,
        reason,
        hold.by or "",
    )


def _came(
    ended: Told | None, closed: Told | None
) -> tuple[Status, int | None, int | None, str | None]:
    """What became of a hold: status, when it was confirmed, when it ended, and why."""
    if ended is None:
        return "reserved", None, None, None
    at, entry = ended
    if entry.kind == "release":
        status: Status = "expired" if entry.reason == TIMED_OUT else "cancelled"
        return status, None, at, entry.reason
    if closed is None:
        return "confirmed", at, None, None
    over, last = closed
    return ("cancelled" if last.kind == "cancel" else "fulfilled"), at, over, last.reason


def _held(entry: PointsPosted) -> int:
    return sum(p.amount for p in entry.postings if p.account.startswith("held/"))
