"""Facts of the points service: what points can be redeemed for, and how much of it there is.

Stream ``reward:{reward_id}`` holds the versions of a reward, streams ``stock:{reward_id}.{slice}``
its stock. Stock lies in slices so that no stream is written by everybody: what is left of a slice
is added − taken + given back, and never below zero; what is written down was taken before. Money is
in minor units of the programme's currency, times are microseconds since the epoch.
"""

from typing import Literal

import msgspec

RewardKind = Literal["item", "voucher", "donation", "service"]
WriteDownReason = Literal["damaged", "lost", "miscounted", "returned_to_supplier"]


class RewardPrice(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one costs when it is paid from ``wallet``: points, and money beside them."""

    wallet: str
    points: int
    money: int = 0


class EarlyAccess(msgspec.Struct, frozen=True):
    """Members of ``tier`` may redeem this many hours before everybody."""

    tier: str
    hours: int


class PeriodLimit(msgspec.Struct, frozen=True):
    """At most ``count`` for a member within any ``days`` days."""

    count: int
    days: int


class RewardDefined(msgspec.Struct, frozen=True, omit_defaults=True):
    """A version of a reward; the newest one holds. ``revision`` counts them from 1.

    ``prices`` are alternatives, the first is the usual one. ``names`` and ``descriptions`` are by
    language. ``series`` is the voucher series it gives. ``slices`` is how many streams its stock
    lies in, 0 when there is no limit to it; it never changes. ``eligibility`` is a rule on the
    member card. ``unit_cost`` is what one costs the brand, ``hold_minutes`` how long a reservation
    stands.
    """

    reward_id: str
    revision: int
    gives: RewardKind
    names: dict[str, str]
    prices: tuple[RewardPrice, ...]
    valid_from: int
    unit_cost: int
    hold_minutes: int
    by: str
    descriptions: dict[str, str] = {}
    valid_until: int | None = None
    early_access: tuple[EarlyAccess, ...] = ()
    member_limit: int | None = None
    period_limit: PeriodLimit | None = None
    eligibility: str | None = None
    series: str | None = None
    slices: int = 0


class RewardRetired(msgspec.Struct, frozen=True, omit_defaults=True):
    """A reward is offered no more, for good. What was redeemed before stands."""

    reward_id: str
    reason: str
    by: str


class StockAdded(msgspec.Struct, frozen=True, omit_defaults=True):
    """This slice's share of a delivery. ``delivery`` is the delivery as a whole."""

    reward_id: str
    quantity: int
    delivery: int
    by: str
    note: str | None = None


class StockSought(msgspec.Struct, frozen=True):
    """A redemption found too little in its own slice and took what it needs in others.

    It says where to look again: whatever becomes of the request, it takes once.
    """

    reward_id: str
    redemption_id: str
    member_id: str
    quantity: int
    until: int


class StockTaken(msgspec.Struct, frozen=True):
    """A redemption took ``quantity`` of this slice; after ``until`` somebody looks what became.

    A write-down takes in the same way: ``redemption_id`` is then its id, ``member_id`` is empty,
    and ``quantity`` may be 0 in the slice where it begins.
    """

    reward_id: str
    redemption_id: str
    member_id: str
    quantity: int
    until: int


class StockWrittenDown(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a write-down took of this slice is no more: broken, gone, or never was there.

    ``whole`` is the write-down as a whole. The fact in the slice where it began decides it, and
    says in ``shares`` how much goes in which other slices (by the owner of their streams).
    """

    reward_id: str
    write_down_id: str
    quantity: int
    whole: int
    reason: WriteDownReason
    by: str
    note: str | None = None
    shares: dict[str, int] = {}


class StockSettled(msgspec.Struct, frozen=True):
    """What a redemption took of this slice is paid for."""

    reward_id: str
    redemption_id: str
    quantity: int


class StockGivenBack(msgspec.Struct, frozen=True):
    """What a redemption took of this slice is back in it: never paid for, or cancelled since."""

    reward_id: str
    redemption_id: str
    quantity: int


class MeterCounted(msgspec.Struct, frozen=True):
    """A request counted against the limits of a device or a payee (stream ``meter:{kind}.{id}``).

    ``request`` is the key it bears; a retry of it counts once. It travels on no topic.
    """

    request: str
    points: int
