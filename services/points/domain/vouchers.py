"""A voucher's life: free (imported, waiting), open, then redeemed, cancelled or expired.

Invariants:

* it is issued once, to one member, for one request;
* ``remaining`` never rises above what it was issued with and never falls below zero; what was used
  and what remains of a value voucher add up to it;
* it ends once. A till's mistake opens it again, within a set time and by the same partner only;
* past ``expires_at`` it cannot be used, whether or not its expiry has been noted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
from msgspec.structs import replace

from contracts import vouchers as facts
from contracts.vouchers import VoucherIssued, Worth
from kit.errors import ServiceError
from services.points.domain.voucher_errors import (
    AlreadyCancelled,
    AlreadyExpired,
    AlreadyRedeemed,
    BasketMissing,
    BasketTooSmall,
    CodeTaken,
    CurrencyDiffers,
    NotCombinable,
    NotInParts,
    NotYetValid,
    RedemptionUnknown,
    TooManyRedemptions,
    UndoTooLate,
    VoucherUnknown,
)

MOST_REDEMPTIONS = 100
Status = Literal["none", "free", "open", "redeemed", "cancelled", "expired"]


class Redemption(msgspec.Struct, frozen=True, omit_defaults=True):
    """One use of a voucher."""

    redemption_id: str
    at: int
    partner: str
    used: int = 0
    undone: bool = False


class Voucher(msgspec.Struct, frozen=True, omit_defaults=True):
    """A voucher as it stands. ``ended_at`` is when it was used up, cancelled or expired."""

    status: Status = "none"
    series_id: str = ""
    issued_at: int = 0
    issued: VoucherIssued | None = None
    remaining: int = 0
    redemptions: tuple[Redemption, ...] = ()
    ended_at: int = 0

    @property
    def terms(self) -> VoucherIssued:
        """What it was issued with; only of an issued voucher."""
        if self.issued is None:
            raise VoucherUnknown
        return self.issued


@dataclass(frozen=True, slots=True)
class Basket:
    """What is being paid: ``amount`` in minor units; ``others`` are vouchers already in it."""

    amount: int | None = None
    currency: str | None = None
    others: int = 0


@dataclass(frozen=True, slots=True)
class Import:
    """Put a code from elsewhere into its series."""

    imported: facts.VoucherCodeImported


@dataclass(frozen=True, slots=True)
class Issue:
    """Give the voucher to a member."""

    issued: VoucherIssued
    refusal: ServiceError | None = None


@dataclass(frozen=True, slots=True)
class Redeem:
    """Use it at a till. ``wanted``: how much of a value voucher to use, if not all that it can."""

    voucher_id: str
    redemption_id: str
    partner: str
    till: str | None
    basket: Basket
    wanted: int | None
    now: int


@dataclass(frozen=True, slots=True)
class Undo:
    """Take a redemption back; ``undo_within`` microseconds after it."""

    redemption_id: str
    partner: str
    now: int
    undo_within: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Make it void."""

    voucher_id: str
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class Expire:
    """Note that its time is over, if it is."""

    now: int


@dataclass(frozen=True, slots=True)
class Use:
    """What a voucher does to a basket."""

    used: int
    remaining: int
    discount: int | None


def import_code(voucher: Voucher, command: Import) -> facts.VoucherCodeImported | None:
    """Import it; None when its series has it already. Raises CodeTaken."""
    if voucher.status == "none":
        return command.imported
    if voucher.series_id == command.imported.series_id and voucher.status == "free":
        return None
    raise CodeTaken


def issue(voucher: Voucher, command: Issue) -> VoucherIssued | None:
    """Issue it; None when this request has it already. Raises CodeTaken, or the refusal."""
    if voucher.issued is not None:
        if voucher.issued.request == command.issued.request:
            return None
        raise CodeTaken
    if command.refusal is not None:
        raise command.refusal
    return command.issued


def use(voucher: Voucher, basket: Basket, wanted: int | None, now: int) -> Use:
    """What it does to this basket now; raises what stands in the way."""
    require_usable(voucher, now)
    terms = voucher.terms
    _require_fit(terms, basket)
    if wanted is not None and not terms.partial:
        raise NotInParts
    if terms.worth.kind == "value":
        return _value(voucher, basket, wanted)
    if terms.worth.kind == "percentage":
        return Use(0, 0, _percentage(terms.worth, basket))
    return Use(0, 0, None)


def require_open(voucher: Voucher) -> None:
    """Raise what has become of the voucher unless it is open."""
    if voucher.status in ("none", "free"):
        raise VoucherUnknown
    if voucher.status == "redeemed":
        raise AlreadyRedeemed(voucher.ended_at)
    if voucher.status == "cancelled":
        raise AlreadyCancelled(voucher.ended_at)
    if voucher.status == "expired":
        raise AlreadyExpired(voucher.ended_at)


def require_usable(voucher: Voucher, now: int) -> None:
    """Raise what has become of the voucher unless it is open and its time is now."""
    require_open(voucher)
    if (end := voucher.terms.expires_at) is not None and end <= now:
        raise AlreadyExpired(end)
    if voucher.terms.valid_from > now:
        raise NotYetValid(voucher.terms.valid_from)


def _require_fit(terms: VoucherIssued, basket: Basket) -> None:
    if basket.currency is not None and basket.currency != terms.currency:
        raise CurrencyDiffers(terms.currency)
    if basket.others and not terms.combinable:
        raise NotCombinable
    if terms.minimum_basket or terms.worth.kind in ("value", "percentage"):
        if basket.amount is None or basket.currency is None:
            raise BasketMissing
        if basket.amount < terms.minimum_basket:
            raise BasketTooSmall(terms.minimum_basket)


def _value(voucher: Voucher, basket: Basket, wanted: int | None) -> Use:
    """As much as the basket takes; unless it is for use in parts, the rest is forfeit."""
    assert basket.amount is not None
    discount = min(voucher.remaining, basket.amount)
    if not voucher.terms.partial:
        return Use(voucher.remaining, 0, discount)
    discount = min(discount, wanted if wanted is not None else discount)
    return Use(discount, voucher.remaining - discount, discount)


def _percentage(worth: Worth, basket: Basket) -> int:
    """Per cent of the basket, rounded down to a minor unit, at most what the series says."""
    assert basket.amount is not None
    discount = basket.amount * worth.percent // 100
    return discount if worth.most_discount is None else min(discount, worth.most_discount)


def redeem(voucher: Voucher, command: Redeem) -> facts.VoucherRedeemed:
    """Use it; raises what stands in the way."""
    done = use(voucher, command.basket, command.wanted, command.now)
    if len(voucher.redemptions) >= MOST_REDEMPTIONS:
        raise TooManyRedemptions(MOST_REDEMPTIONS)
    return facts.VoucherRedeemed(
        voucher_id=command.voucher_id,
        series_id=voucher.series_id,
        member_id=voucher.terms.member_id,
        redemption_id=command.redemption_id,
        partner=command.partner,
        till=command.till,
        basket=command.basket.amount,
        discount=done.discount,
        used=done.used,
        remaining=done.remaining,
    )


def undo(voucher: Voucher, command: Undo) -> facts.VoucherRedemptionUndone | None:
    """Take a redemption back; None when it was. Raises RedemptionUnknown and UndoTooLate."""
    redemption = _redemption(voucher.redemptions, command.redemption_id)
    if redemption is None or redemption.partner != command.partner:
        raise RedemptionUnknown
    if redemption.undone:
        return None
    if command.now > (until := redemption.at + command.undo_within):
        raise UndoTooLate(until)
    if voucher.status == "cancelled":
        raise AlreadyCancelled(voucher.ended_at)
    return facts.VoucherRedemptionUndone(
        voucher.terms.voucher_id,
        voucher.series_id,
        voucher.terms.member_id,
        command.redemption_id,
        command.partner,
        voucher.remaining + redemption.used,
    )


def _redemption(redemptions: Sequence[Redemption], redemption_id: str) -> Redemption | None:
    return next((one for one in redemptions if one.redemption_id == redemption_id), None)


def cancel(voucher: Voucher, command: Cancel) -> facts.VoucherCancelled:
    """Make it void; raises what has become of it when it is not open."""
    require_open(voucher)
    terms = voucher.terms
    return facts.VoucherCancelled(
        command.voucher_id,
        voucher.series_id,
        terms.member_id,
        command.reason,
        command.by,
        voucher.remaining,
    )


def expire(voucher: Voucher, command: Expire) -> facts.VoucherExpired | None:
    """Expire it; None when it is not open, or not due."""
    if voucher.status != "open":
        return None
    terms = voucher.terms
    if terms.expires_at is None or terms.expires_at > command.now:
        return None
    return facts.VoucherExpired(
        terms.voucher_id, voucher.series_id, terms.member_id, voucher.remaining
    )


def imported(voucher: Voucher, fact: facts.VoucherCodeImported) -> Voucher:
    """The voucher after ``VoucherCodeImported``."""
    return replace(voucher, status="free", series_id=fact.series_id)


def issued(voucher: Voucher, fact: VoucherIssued, at: int) -> Voucher:
    """The voucher after ``VoucherIssued``."""
    return replace(
        voucher,
        status="open",
        series_id=fact.series_id,
        issued_at=at,
        issued=fact,
        remaining=fact.worth.amount,
    )


def redeemed(voucher: Voucher, fact: facts.VoucherRedeemed, at: int) -> Voucher:
    """The voucher after ``VoucherRedeemed``: at its end when nothing remains."""
    one = Redemption(fact.redemption_id, at, fact.partner, fact.used)
    after = replace(voucher, remaining=fact.remaining, redemptions=(*voucher.redemptions, one))
    return after if fact.remaining else replace(after, status="redeemed", ended_at=at)


def undone(voucher: Voucher, fact: facts.VoucherRedemptionUndone) -> Voucher:
    """The voucher after ``VoucherRedemptionUndone``: open again, unless it has expired."""
    redemptions = tuple(
        replace(one, undone=True) if one.redemption_id == fact.redemption_id else one
        for one in voucher.redemptions
    )
    after = replace(voucher, remaining=fact.remaining, redemptions=redemptions)
    return replace(after, status="open", ended_at=0) if after.status == "redeemed" else after


def ended(voucher: Voucher, status: Status, at: int) -> Voucher:
    """The voucher after ``VoucherCancelled`` or ``VoucherExpired``."""
    return replace(voucher, status=status, ended_at=at)
