"""Between HTTP bodies and the domain: terms out of a body, views out of states."""

from typing import Any

from contracts.vouchers import SeriesTerms, Worth
from kit.auth import Principal, partner_of
from kit.clock import from_micros, to_micros
from kit.errors import ServiceError
from services.points.domain.voucher_errors import VoucherUnknown
from services.points.domain.voucher_series import most_vouchers
from services.points.domain.vouchers import Basket, Use, Voucher
from services.points.vouchers.commands import Caller, Receipt, Redeemed
from services.points.vouchers.queries import Count, Counted, Held
from services.points.vouchers.schemas import (
    CodeReceipt,
    CountsView,
    RedemptionView,
    SeriesBody,
    SeriesView,
    ShowBody,
    Status,
    UseView,
    VoucherView,
)

_OF_KIND = {
    "value": ("amount",),
    "percentage": ("percent",),
    "product": ("sku",),
    "service": ("service",),
}
_MAY_HAVE = {
    "value": set[str](),
    "percentage": {"most_discount"},
    "product": {"cost"},
    "service": {"cost"},
}
_WORTHS = ("amount", "percent", "most_discount", "sku", "service", "cost")
ENDING = 4


def terms_of(body: SeriesBody, currency: str) -> SeriesTerms:
    """The terms that a body says; raises ServiceError ``invalid`` with every field at fault."""
    errors = [*_worth_errors(body), *_budget_errors(body), *_time_errors(body)]
    if errors:
        fields = ", ".join(one["field"] for one in errors)
        raise ServiceError(
            "invalid", "invalid_request", f"The series is not valid: {fields}.", errors=errors
        )
    return SeriesTerms(
        name=body.name,
        worth=Worth(
            body.kind,
            body.amount or 0,
            body.percent or 0,
            body.most_discount,
            body.sku or body.service,
            body.cost,
        ),
        currency=currency,
        codes=body.codes,
        valid_from=None if body.valid_from is None else to_micros(body.valid_from),
        valid_until=None if body.valid_until is None else to_micros(body.valid_until),
        valid_days=body.valid_days,
        most_vouchers=body.most_vouchers,
        most_value=body.most_value,
        partners=tuple(sorted(set(body.partners))),
        combinable=body.combinable,
        partial=body.partial,
        minimum_basket=body.minimum_basket,
        closed=body.closed,
    )


def _error(field: str, message: str, fix: str) -> dict[str, str]:
    return {"field": field, "message": message, "fix": fix}


def _worth_errors(body: SeriesBody) -> list[dict[str, str]]:
    needed = _OF_KIND[body.kind]
    allowed = {*needed, *_MAY_HAVE[body.kind]}
    found = [
        _error(field, f"is required for kind {body.kind}", "Add it.")
        for field in needed
        if getattr(body, field) is None
    ]
    found += [
        _error(field, f"does not go with kind {body.kind}", "Leave it out.")
        for field in _WORTHS
        if field not in allowed and getattr(body, field) is not None
    ]
    if body.partial and body.kind != "value":
        found.append(_error("partial", "is for kind value only", "Leave it out."))
    return found


def _budget_errors(body: SeriesBody) -> list[dict[str, str]]:
    limits = (body.most_vouchers, body.most_value)
    if body.codes == "imported":
        if limits == (None, None):
            return []
        fix = "Leave most_vouchers and most_value out; import as many codes as may be issued."
        return [_error("most_vouchers", "the budget of imported codes is their number", fix)]
    if limits == (None, None):
        return [_error("most_vouchers", "a budget is required", "Send it, or most_value.")]
    if body.most_value is None:
        return []
    unit = body.amount or body.most_discount or body.cost
    if unit is None:
        fix = "Send most_discount or cost, what one may cost you, or only most_vouchers."
        return [_error("most_value", "what one voucher may cost is not known", fix)]
    if body.most_value < unit:
        return [_error("most_value", "is less than one voucher", f"Send at least {unit}.")]
    return []


def _time_errors(body: SeriesBody) -> list[dict[str, str]]:
    if body.valid_from is None or body.valid_until is None or body.valid_from < body.valid_until:
        return []
    return [_error("valid_until", "is not after valid_from", "Send a later time.")]


def series_view(counted: Counted) -> SeriesView:
    """A series with its counts."""
    terms = counted.terms
    return SeriesView(
        **_worth(terms.worth),
        series_id=counted.series_id,
        version=counted.series.version,
        name=terms.name,
        currency=terms.currency,
        codes=terms.codes,
        valid_from=None if terms.valid_from is None else from_micros(terms.valid_from),
        valid_until=None if terms.valid_until is None else from_micros(terms.valid_until),
        valid_days=terms.valid_days,
        most_vouchers=terms.most_vouchers,
        most_value=terms.most_value,
        budget=most_vouchers(terms) or None,
        partners=list(terms.partners),
        combinable=terms.combinable,
        partial=terms.partial,
        minimum_basket=terms.minimum_basket,
        closed=terms.closed,
        counts=_counts(counted),
    )


def _counts(counted: Counted) -> CountsView:
    def of(status: str) -> int:
        return counted.counts.get(status, Count()).number

    return CountsView(
        issued=counted.issued,
        open=of("open"),
        redeemed=of("redeemed"),
        cancelled=of("cancelled"),
        expired=of("expired"),
        waiting=of("free"),
        value_outstanding=counted.value_outstanding,
        counted_at=from_micros(counted.counted_at),
    )


def _worth(worth: Worth) -> dict[str, Any]:
    return {
        "kind": worth.kind,
        "amount": worth.amount or None,
        "percent": worth.percent or None,
        "most_discount": worth.most_discount,
        "sku": worth.item if worth.kind == "product" else None,
        "service": worth.item if worth.kind == "service" else None,
        "cost": None,
    }


def voucher_view(held: Held, principal: Principal, now: int) -> VoucherView:
    """A voucher; only its owner sees the code."""
    voucher, terms = held.voucher, held.voucher.terms
    own = principal.is_member(terms.member_id)
    expires_at = terms.expires_at
    over = voucher.status == "open" and expires_at is not None and expires_at <= now
    ended_at = expires_at if over else voucher.ended_at
    return VoucherView(
        **_worth(terms.worth),
        voucher_id=held.voucher_id,
        series_id=voucher.series_id,
        member_id=terms.member_id,
        status="expired" if over else _status(voucher),
        code=held.code if own else None,
        ending=held.code[-ENDING:],
        currency=terms.currency,
        remaining=voucher.remaining if terms.worth.kind == "value" else None,
        issued_at=from_micros(voucher.issued_at),
        valid_from=from_micros(terms.valid_from),
        expires_at=None if expires_at is None else from_micros(expires_at),
        ended_at=from_micros(ended_at) if ended_at else None,
        minimum_basket=terms.minimum_basket,
        combinable=terms.combinable,
        partial=terms.partial,
    )


def _status(voucher: Voucher) -> Status:
    if voucher.status == "none" or voucher.status == "free":
        raise VoucherUnknown
    return voucher.status


def basket_of(body: ShowBody) -> Basket:
    """The basket as the domain knows it."""
    if body.basket is None:
        return Basket(others=body.others)
    return Basket(body.basket.amount, body.basket.currency, body.others)


def use_view(voucher: Voucher, use: Use) -> UseView:
    """What a voucher would do."""
    return UseView(**_use(voucher, use.discount, use.remaining))


def redemption_view(redeemed: Redeemed, undo_within: int) -> RedemptionView:
    """What a voucher did."""
    fact = redeemed.fact
    return RedemptionView(
        **_use(redeemed.voucher, fact.discount, fact.remaining),
        redemption_id=fact.redemption_id,
        redeemed_at=from_micros(redeemed.at),
        undoable_until=from_micros(redeemed.at + undo_within),
    )


def _use(voucher: Voucher, discount: int | None, remaining: int) -> dict[str, Any]:
    terms = voucher.terms
    return {
        **_worth(terms.worth),
        "voucher_id": terms.voucher_id,
        "series_id": voucher.series_id,
        "currency": terms.currency,
        "discount": discount,
        "remaining": remaining,
        "combinable": terms.combinable,
        "expires_at": None if terms.expires_at is None else from_micros(terms.expires_at),
    }


def code_receipt(receipt: Receipt) -> CodeReceipt:
    """What became of an imported code."""
    if receipt.error is None:
        return CodeReceipt(status=receipt.status, code=None, detail=None)
    return CodeReceipt(status=receipt.status, code=receipt.error.code, detail=receipt.error.message)


def caller_of(principal: Principal) -> Caller:
    """Who shows a code. A partner's token must say which partner."""
    return Caller(principal.subject, partner_of(principal))
