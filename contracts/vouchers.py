"""Facts of the points service about vouchers. Money in minor units, times in microseconds.

=================================  ================================================================
``voucher_series:{series_id}``     a pool of codes, version by version: ``VoucherSeriesDefined``
``voucher:{voucher_id}``           a voucher's life: ``VoucherCodeImported`` (imported codes only),
                                   ``VoucherIssued``, then ``VoucherRedeemed`` (in parts if the
                                   series says so) and ``VoucherRedemptionUndone``, until it ends
                                   redeemed, ``VoucherCancelled`` or ``VoucherExpired``
``voucher_budget:{series}.{n}``    slice n of a budget: ``VoucherBudgetTaken``,
                                   ``VoucherBudgetReturned``; stays in the journal
``voucher_request:{request}``      which imported code answers a request: ``VoucherCodeChosen``;
                                   stays in the journal
=================================  ================================================================

No fact has a code in it: a code is money to whoever reads it. A voucher's id is a keyed hash of its
code, the key being in the service's store alone.
"""

from typing import Literal

import msgspec

VoucherKind = Literal["value", "percentage", "product", "service"]
CodeSource = Literal["generated", "imported"]


class Worth(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a voucher is worth; by kind.

    ``value``: ``amount``. ``percentage``: ``percent`` of the basket, at most ``most_discount``.
    ``product``, ``service``: ``item`` (a SKU, the code of a service), which costs us ``cost``.
    """

    kind: VoucherKind
    amount: int = 0
    percent: int = 0
    most_discount: int | None = None
    item: str | None = None
    cost: int | None = None


class SeriesTerms(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a series says. ``partners`` may redeem (none named: every partner).

    A voucher holds from ``valid_from`` until ``valid_until`` or ``valid_days`` days after it was
    issued, whichever comes first. ``partial``: a value voucher may be used up in parts.
    """

    name: str
    worth: Worth
    currency: str
    codes: CodeSource
    valid_from: int | None = None
    valid_until: int | None = None
    valid_days: int | None = None
    most_vouchers: int | None = None
    most_value: int | None = None
    partners: tuple[str, ...] = ()
    combinable: bool = False
    partial: bool = False
    minimum_basket: int = 0
    closed: bool = False


class VoucherSeriesDefined(msgspec.Struct, frozen=True):
    """A series was defined, changed, closed or opened again; the stream's seq is its version."""

    series_id: str
    terms: SeriesTerms
    by: str


class VoucherCodeImported(msgspec.Struct, frozen=True):
    """A code from elsewhere waits in its series to be issued."""

    voucher_id: str
    series_id: str
    by: str


class VoucherIssued(msgspec.Struct, frozen=True, omit_defaults=True):
    """A member was given a voucher, on the terms that hold for it whatever becomes of the series.

    ``request`` is a keyed hash of series and idempotency key; a generated code is derived from it.
    ``slice`` is where its place in the budget was taken (generated codes only).
    """

    voucher_id: str
    series_id: str
    series_version: int
    member_id: str
    request: str
    worth: Worth
    currency: str
    valid_from: int
    expires_at: int | None = None
    minimum_basket: int = 0
    combinable: bool = False
    partial: bool = False
    slice: int | None = None
    reason: str | None = None


class VoucherRedeemed(msgspec.Struct, frozen=True, omit_defaults=True):
    """A partner took a voucher. ``used`` of its value went, ``discount`` of it off the basket.

    ``remaining`` is what is left of a value voucher; 0 ends it.
    """

    voucher_id: str
    series_id: str
    member_id: str
    redemption_id: str
    partner: str
    till: str | None = None
    basket: int | None = None
    discount: int | None = None
    used: int = 0
    remaining: int = 0


class VoucherRedemptionUndone(msgspec.Struct, frozen=True):
    """A till's mistake: the redemption did not happen, and the voucher is as it was before it."""

    voucher_id: str
    series_id: str
    member_id: str
    redemption_id: str
    partner: str
    remaining: int


class VoucherCancelled(msgspec.Struct, frozen=True):
    """An agent made a voucher void; ``remaining`` is the value that goes with it."""

    voucher_id: str
    series_id: str
    member_id: str
    reason: str
    by: str
    remaining: int


class VoucherExpired(msgspec.Struct, frozen=True):
    """A voucher's time was over before it was used up; ``remaining`` is the value that goes."""

    voucher_id: str
    series_id: str
    member_id: str
    remaining: int


class VoucherBudgetTaken(msgspec.Struct, frozen=True):
    """A place in a slice of a budget was taken for the voucher that ``issued`` says, in full.

    It decides; ``VoucherIssued`` follows, by whoever comes first if its writer stops in between.
    """

    issued: VoucherIssued


class VoucherBudgetReturned(msgspec.Struct, frozen=True):
    """A place came back: the same request had taken one in another slice."""

    series_id: str
    request: str
    voucher_id: str


class VoucherCodeChosen(msgspec.Struct, frozen=True):
    """An imported code was chosen for a request, the one chosen before it being another's."""

    series_id: str
    member_id: str
    request: str
    voucher_id: str
