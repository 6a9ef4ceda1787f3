"""Facts of the points service: the ledger. Stream ``account:{owner}``.

The owner is a member, or a household pool as ``@{pool_id}``. An entry is double entry: its
postings sum to zero, for each wallet **and for each lot by itself**. Accounts are named
``{account}/{wallet}``:

=================  ==============================================================================
``member``         what the owner can spend; below zero only after returns
``pending``        earned, and not yet to be spent: waits for a date, an activity or its vesting
``held``           set aside by holds
``issuance``       system: points come into being here, and go back when a purchase is returned
``redemption``     system: points that paid for something
``breakage``       system: points that expired or were forfeited
``transfer``       system: points on their way between two owners
``adjustment``     system: manual corrections
``compensation``   system: points given to make up for something
``clearing``       sums to zero in every entry: points that move from one lot to another
``fill``           sums to zero in every entry: earnings that fill a negative balance
=================  ==============================================================================

A lot's id says what it is: ``base.2027-12-31`` (expires at the end of that day), ``base.never``,
``base.sliding-visits`` (its expiry moves), ``base.debt`` (a negative balance). A lot that waits has
``~`` and what it waits for behind the lot it will go into: ``base.2027-12-31~2027-01-14``,
``base.never~act_7.delivered``, ``base.2027-12-31~vest-17.0``.
"""

from typing import Literal

import msgspec

from contracts.events import Grant

EntryKind = Literal[
    "earn",
    "return",
    "activate",
    "expire",
    "vest",
    "forfeit",
    "hold",
    "capture",
    "release",
    "cancel",
    "transfer_out",
    "transfer_in",
    "transfer_back",
    "adjust",
]
MarkKind = Literal[
    "progress",
    "fulfilled",
    "contact_changed",
    "transfer_declined",
    "transfer_done",
    "adjustment_requested",
    "adjustment_rejected",
    "pool_opened",
    "pool_invited",
    "pool_joined",
    "pool_left",
    "redemption_ruled_out",
]


class Posting(msgspec.Struct, frozen=True, omit_defaults=True):
    """One side of an entry: points into (+) or out of (-) an account, of one lot.

    ``lot`` is always there; facts from before there were lots have none, and mean the endless one.
    """

    account: str
    wallet: str
    amount: int
    lot: str | None = None


class LotTerms(msgspec.Struct, frozen=True, omit_defaults=True):
    """When a lot opens and expires, microseconds; 0 is at once, and never.

    In an entry: the lots it opens, and those whose expiry it moves. ``awaits`` a lot that opens
    with an activity or by vesting, and then ``opens`` is when it stops waiting (0: it does not).
    """

    lot: str
    wallet: str
    opens: int = 0
    expires: int = 0
    awaits: str | None = None


class Instalment(msgspec.Struct, frozen=True, array_like=True):
    """A part of a vesting lot: unlocks at ``due`` if the rule holds for the time before it."""

    due: int
    points: int


class VestingTerms(msgspec.Struct, frozen=True):
    """How a lot unlocks: instalments in order, each period judged by the programme's ``rule``."""

    lot: str
    rule: str
    began: int
    instalments: tuple[Instalment, ...]


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an activity adds to the running period of every vesting lot; returns take away.

    ``spend`` is in minor units. ``activity`` is its type, or the subject of a custom one.
    """

    at: int
    activity: str
    purchases: int = 0
    spend: int = 0


class HoldTerms(msgspec.Struct, frozen=True, omit_defaults=True):
    """Points set aside until ``until``. ``reward_id`` and ``quantity``: for a redemption."""

    hold_id: str
    until: int
    purpose: str
    reward_id: str | None = None
    quantity: int = 1
    money: int = 0


class Parcel(msgspec.Struct, frozen=True, array_like=True):
    """Points of one lot on their way to another owner; they keep their expiry."""

    lot: str
    wallet: str
    expires: int
    points: int


class TransferTerms(msgspec.Struct, frozen=True, omit_defaults=True):
    """A transfer, as each side sees it: ``other`` is the other owner.

    Until ``until`` the receiver may accept; ``at_once``: it needs no acceptance. ``remark`` is the
    id of what the sender wrote for the receiver; the text is kept elsewhere, and may be erased.
    ``note`` is the text itself, in facts from before there were remarks.
    """

    transfer_id: str
    other: str
    until: int
    parcels: tuple[Parcel, ...]
    at_once: bool = False
    note: str | None = None
    remark: str | None = None


class AdjustmentTerms(msgspec.Struct, frozen=True, omit_defaults=True):
    """A manual correction: why, asked by whom, and approved by whom when it needs a second.

    ``remark`` and ``note`` as in a transfer, for colleagues. ``waits_because``: why it needs a
    second, when that is not its amount.
    """

    request_id: str
    wallet: str
    points: int
    reason: str
    by: str
    note: str | None = None
    approved_by: str | None = None
    remark: str | None = None
    waits_because: Literal["daily_limit"] | None = None


class PointsPosted(msgspec.Struct, frozen=True, omit_defaults=True):
    """An entry in an account. The envelope's ``posted_at`` never decreases in a stream.

    ``reward_seq`` is the decision's seq that caused it, 0 when none did. ``balances`` are what the
    owner can spend after it, by wallet; ``pending`` and ``held`` likewise, absent when nothing is.
    ``grants`` is what was earned, by campaign, wallet and purchase line, ``lots`` the lot each of
    them went into (absent: all into ``{wallet}.never``). ``reverses`` is the activity or entry
    whose points a return takes back, ``forgiven`` what the returns policy left. ``by`` is who
    asked, when it was not the owner's activity.
    """

    entry_id: str
    member_id: str
    kind: EntryKind
    activity_id: str
    reward_seq: int
    postings: tuple[Posting, ...]
    balances: dict[str, int]
    grants: tuple[Grant, ...] = ()
    lots: tuple[str, ...] = ()
    reverses: str | None = None
    pending: dict[str, int] = {}
    held: dict[str, int] = {}
    terms: tuple[LotTerms, ...] = ()
    vesting: tuple[VestingTerms, ...] = ()
    progress: Progress | None = None
    forgiven: dict[str, int] = {}
    hold: HoldTerms | None = None
    transfer: TransferTerms | None = None
    adjustment: AdjustmentTerms | None = None
    reason: str | None = None
    by: str | None = None


class AccountMarked(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something an account must remember that moves no points. ``mark_id`` says of what.

    ``reward_seq`` is the decision's seq that caused it, 0 when none did. ``role`` is that of a
    pool's member. ``balances`` are those of the last entry, so that every fact has them.
    """

    member_id: str
    kind: MarkKind
    mark_id: str
    balances: dict[str, int] = {}
    reward_seq: int = 0
    progress: Progress | None = None
    terms: tuple[LotTerms, ...] = ()
    adjustment: AdjustmentTerms | None = None
    other: str | None = None
    role: str | None = None
    by: str | None = None
    reason: str | None = None
