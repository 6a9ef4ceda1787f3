"""The HTTP API of vouchers."""

from typing import Annotated

from fastapi import Body, Depends, Path, Request, Response

from kit.auth import Principal, owner_or, require
from kit.http.idempotency import IdempotencyKey
from kit.http.json_body import Router
from kit.http.openapi import problems
from kit.http.paging import Cursor, Limit, decode_cursor, encode_cursor
from services.points.vouchers import commands, queries
from services.points.vouchers.issuing import issue
from services.points.vouchers.presenting import (
    basket_of,
    caller_of,
    code_receipt,
    redemption_view,
    series_view,
    terms_of,
    use_view,
    voucher_view,
)
from services.points.vouchers.queries import Held
from services.points.vouchers.schemas import (
    EXAMPLE_CODE,
    EXAMPLE_ID,
    MEMBER_ID,
    SERIES_EXAMPLE,
    SERIES_ID,
    VOUCHER_ID,
    CancelBody,
    CodeReceipts,
    CodesBody,
    IssueBody,
    RedeemBody,
    RedemptionView,
    SeriesBody,
    SeriesList,
    SeriesView,
    ShowBody,
    UndoBody,
    UseView,
    VoucherList,
    VoucherView,
)
from services.points.vouchers.wiring import Vouchers

router = Router(tags=["vouchers"])

SeriesId = Annotated[str, Path(pattern=SERIES_ID, examples=["spring-10"])]
MemberId = Annotated[str, Path(pattern=MEMBER_ID, examples=["M1"])]
VoucherId = Annotated[str, Path(pattern=VOUCHER_ID, examples=[EXAMPLE_ID])]
SHOWN = {
    "code": EXAMPLE_CODE,
    "basket": {"amount": 4599, "currency": "USD"},
}
UNUSABLE = problems("missing", "refused", "too_many")


def _vouchers(request: Request) -> Vouchers:
    found: Vouchers = request.app.state.vouchers
    return found


@router.put(
    "/v1/voucher-series/{series_id}",
    responses={201: {"model": SeriesView, "description": "Defined"}, **problems("refused")},
    response_model_exclude_none=True,
)
async def put_series(
    request: Request,
    response: Response,
    series_id: SeriesId,
    body: Annotated[SeriesBody, Body(examples=[SERIES_EXAMPLE])],
    principal: Annotated[Principal, Depends(require("marketer"))],
) -> SeriesView:
    """Define a series of vouchers, or change it: a new version, the old ones are kept.

    The same content again changes nothing. What a voucher is worth, where codes come from and
    whether it can be used in parts never change, and the budget can only be raised: a member, and
    the ledger, must be able to rely on them. `closed` stops issuing; vouchers stay valid.
    """
    vouchers = _vouchers(request)
    terms = terms_of(body, vouchers.currency)
    _, new = await commands.define_series(vouchers, series_id, terms, principal.subject)
    response.status_code = 201 if new else 200
    return series_view(await queries.series(vouchers, series_id))


@router.get(
    "/v1/voucher-series",
    dependencies=[Depends(require("marketer", "agent", "operator"))],
    response_model_exclude_none=True,
)
async def list_series(request: Request, limit: Limit = 50, cursor: Cursor = None) -> SeriesList:
    """The series by id, with how many of their vouchers were issued and what became of them."""
    after = decode_cursor(cursor, str) if cursor else None
    found = await queries.all_series(_vouchers(request), limit, after)
    more = len(found) == limit
    return SeriesList(
        items=[series_view(one) for one in found],
        next=encode_cursor(found[-1].series_id) if more else None,
    )


@router.get(
    "/v1/voucher-series/{series_id}",
    dependencies=[Depends(require("marketer", "agent", "operator"))],
    responses=problems("missing"),
    response_model_exclude_none=True,
)
async def read_series(request: Request, series_id: SeriesId) -> SeriesView:
    """A series and what became of its vouchers."""
    return series_view(await queries.series(_vouchers(request), series_id))


@router.post(
    "/v1/voucher-series/{series_id}/codes",
    responses=problems("missing", "refused"),
    response_model_exclude_none=True,
)
async def import_codes(
    request: Request,
    series_id: SeriesId,
    body: CodesBody,
    principal: Annotated[Principal, Depends(require("marketer", "operator"))],
) -> CodeReceipts:
    """Import up to 1,000 codes into a series with imported codes, with a receipt for each.

    8 to 40 letters and digits; case, blanks and dashes do not matter, nor whether O or 0, I, L or 1
    is written. The call may be repeated: what is there comes back as `duplicate`.
    """
    found = await commands.import_codes(
        _vouchers(request), series_id, body.codes, principal.subject
    )
    return CodeReceipts(
        imported=sum(one.status == "imported" for one in found),
        results=[code_receipt(one) for one in found],
    )


@router.post(
    "/v1/members/{member_id}/vouchers",
    status_code=201,
    responses={
        200: {"model": VoucherView, "description": "Issued before, with the same key"},
        **problems("missing", "refused", "conflict"),
    },
    response_model_exclude_none=True,
)
async def issue_voucher(
    request: Request,
    response: Response,
    member_id: MemberId,
    body: IssueBody,
    principal: Annotated[Principal, Depends(require("agent", "operator"))],
    idempotency_key: IdempotencyKey,
) -> VoucherView:
    """Give a member a voucher of a series. The key is that of one voucher of this series.

    The answer shows the last four characters of the code; the member sees all of it.
    """
    vouchers = _vouchers(request)
    key = f"api:{idempotency_key}"
    issued = await issue(vouchers, body.series_id, member_id, key, body.reason)
    if issued.repeated:
        response.status_code = 200
    return await _view(vouchers, issued.voucher_id, principal)


async def _view(vouchers: Vouchers, voucher_id: str, principal: Principal) -> VoucherView:
    voucher = (await vouchers.vouchers.heads([voucher_id]))[voucher_id].state
    codes = await queries.codes_of(vouchers, {voucher_id: voucher})
    held = Held(voucher_id, voucher, codes[voucher_id])
    return voucher_view(held, principal, vouchers.clock())


@router.get("/v1/members/{member_id}/vouchers", response_model_exclude_none=True)
async def list_vouchers(
    request: Request,
    member_id: MemberId,
    principal: Annotated[Principal, Depends(owner_or("agent", "operator"))],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> VoucherList:
    """A member's vouchers, the newest first; the member sees whole codes, staff the last four."""
    vouchers = _vouchers(request)
    after = decode_cursor(cursor, tuple[int, str]) if cursor else None
    found = await queries.of_member(vouchers, member_id, limit, after)
    last = found[-1] if len(found) == limit else None
    now = vouchers.clock()
    return VoucherList(
        member_id=member_id,
        items=[voucher_view(one, principal, now) for one in found],
        next=encode_cursor((-last.voucher.issued_at, last.voucher_id)) if last else None,
    )


@router.post("/v1/vouchers:validate", responses=UNUSABLE, response_model_exclude_none=True)
async def validate_voucher(
    request: Request,
    body: Annotated[ShowBody, Body(examples=[SHOWN])],
    principal: Annotated[Principal, Depends(require("partner", "agent", "operator"))],
) -> UseView:
    """What a voucher would take off this basket now. Nothing changes.

    A mistyped code is told as such (`code_mistyped`). Whoever names too many unknown codes is
    refused for a while (429, `Retry-After`).
    """
    caller = caller_of(principal)
    shown, use = await commands.validate(
        _vouchers(request), caller, body.code, basket_of(body), body.amount
    )
    return use_view(shown.voucher, use)


@router.post(
    "/v1/vouchers:redeem",
    responses=problems("missing", "refused", "conflict", "too_many"),
    response_model_exclude_none=True,
)
async def redeem_voucher(
    request: Request,
    body: Annotated[RedeemBody, Body(examples=[{**SHOWN, "till": "store-12:3"}])],
    principal: Annotated[Principal, Depends(require("partner"))],
    idempotency_key: IdempotencyKey,
) -> RedemptionView:
    """Use a voucher at a till: once, however many tills try.

    The same key again gets the same answer; another attempt gets 409 `voucher_redeemed`, which says
    when. Of a value voucher that is not for use in parts, what exceeds the basket is forfeit.
    """
    vouchers = _vouchers(request)
    redeemed = await commands.redeem(
        vouchers,
        caller_of(principal),
        body.code,
        idempotency_key,
        till=body.till,
        basket=basket_of(body),
        wanted=body.amount,
    )
    return redemption_view(redeemed, vouchers.policy.undo_within)


@router.post(
    "/v1/vouchers/{voucher_id}:cancel",
    responses=problems("missing", "refused"),
    response_model_exclude_none=True,
)
async def cancel_voucher(
    request: Request,
    voucher_id: VoucherId,
    body: CancelBody,
    principal: Annotated[Principal, Depends(require("agent"))],
) -> VoucherView:
    """Make a voucher void, with a reason. Its place in the budget stays taken."""
    vouchers = _vouchers(request)
    await commands.cancel(vouchers, voucher_id, body.reason, principal.subject)
    return await _view(vouchers, voucher_id, principal)


@router.post(
    "/v1/vouchers/{voucher_id}:undo",
    status_code=204,
    responses=problems("missing", "refused"),
)
async def undo_redemption(
    request: Request,
    voucher_id: VoucherId,
    body: UndoBody,
    principal: Annotated[Principal, Depends(require("partner"))],
) -> None:
    """Take a redemption back: a till's mistake, for half an hour, by the same partner.

    The voucher is as it was before. To redeem it again, use a new Idempotency-Key.
    """
    await commands.undo(_vouchers(request), caller_of(principal), voucher_id, body.redemption_id)
