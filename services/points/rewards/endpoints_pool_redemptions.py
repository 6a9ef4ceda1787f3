"""The HTTP API of redemptions that a household pool pays for."""

from typing import Annotated

from fastapi import Body, Depends, Request, Response

from kit.auth import Principal, require
from kit.http.idempotency import IdempotencyKey
from kit.http.json_body import Router
from kit.http.openapi import problems
from kit.http.paging import Cursor, Limit, decode_cursor, encode_cursor
from services.points.asking import moment
from services.points.commands_pools import pool_owner
from services.points.endpoints_pools import PoolPath, acting_member
from services.points.rewards import pools, redeeming
from services.points.rewards.endpoints_redemptions import (
    CLERKS,
    HandedOver,
    RedemptionId,
    caller_of,
    redemption_view,
    redemptions_at,
)
from services.points.rewards.redeeming import Caller, Redeem
from services.points.rewards.schemas_redemptions import (
    REDEEM_EXAMPLE,
    CancelBody,
    PoolRedemptionList,
    RedeemBody,
    RedemptionView,
)
from services.points.wiring import Wiring

router = Router(prefix="/v1/pools/{pool_id}/redemptions", tags=["pools"])

Member = Annotated[Principal, Depends(require("member"))]
Clerk = Annotated[Principal, Depends(require(*CLERKS))]
Asking = Annotated[Principal, Depends(require("member", *CLERKS))]


@router.post(
    "",
    status_code=201,
    responses={
        200: {"model": RedemptionView, "description": "Asked before under this key"},
        **problems("missing", "refused", "conflict", "too_many"),
    },
    response_model_exclude_none=True,
)
async def redeem_from_pool(
    request: Request,
    response: Response,
    pool_id: PoolPath,
    body: Annotated[RedeemBody, Body(examples=[REDEEM_EXAMPLE])],
    principal: Member,
    idempotency_key: IdempotencyKey,
) -> RedemptionView:
    """Redeem a pool's points for a reward, or reserve it; roles owner and spender.

    It is for who asks, and their own card says whether they may have it. What is limited for each
    member cannot be had from a pool (`not_from_pools`): move points to yourself for that.
    """
    wiring: Wiring = request.app.state.wiring
    owner = pool_owner(pool_id)
    if body.occurred_at is not None:
        moment(body.occurred_at, wiring.clock(), own=True)  # members do what they do now
    wanted = Redeem(
        owner,
        body.reward_id,
        idempotency_key,
        Caller(acting_member(principal), stepped_up=principal.stepped_up),
        body.quantity,
        body.wallet,
        body.confirm,
        body.device_id,
    )
    found, made = await pools.redeem(wiring, pool_id, wanted)
    if not made:
        response.status_code = 200
    return redemption_view(found)


@router.get("", responses=problems("missing"), response_model_exclude_none=True)
async def list_pool_redemptions(
    request: Request,
    pool_id: PoolPath,
    principal: Asking,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> PoolRedemptionList:
    """A pool's redemptions, newest first, each as it stands now."""
    after = decode_cursor(cursor, tuple[int, str]) if cursor else None
    wiring: Wiring = request.app.state.wiring
    found = await pools.listed(wiring, pool_id, _looking(principal), limit, after)
    return PoolRedemptionList(
        pool_id=pool_id,
        items=[redemption_view(each) for each in found.items],
        next=encode_cursor(found.next) if found.next is not None else None,
    )


@router.get("/{redemption_id}", responses=problems("missing"), response_model_exclude_none=True)
async def read_pool_redemption(
    request: Request, pool_id: PoolPath, redemption_id: RedemptionId, principal: Asking
) -> RedemptionView:
    """A redemption as the pool's account tells it now."""
    wiring: Wiring = request.app.state.wiring
    return redemption_view(await pools.seen(wiring, pool_id, redemption_id, _looking(principal)))


@router.post(
    "/{redemption_id}:confirm",
    responses=problems("missing", "refused"),
    response_model_exclude_none=True,
)
async def confirm_pool_redemption(
    request: Request, pool_id: PoolPath, redemption_id: RedemptionId, principal: Asking
) -> RedemptionView:
    """Make a reservation final. May be repeated. Who may spend the pool's points may, and staff."""
    wiring: Wiring = request.app.state.wiring
    return redemption_view(await pools.confirm(wiring, pool_id, redemption_id, _hand(principal)))


@router.post(
    "/{redemption_id}:fulfil",
    responses=problems("missing", "refused"),
    response_model_exclude_none=True,
)
async def fulfil_pool_redemption(
    request: Request,
    pool_id: PoolPath,
    redemption_id: RedemptionId,
    principal: Clerk,
    occurred_at: HandedOver = None,
) -> RedemptionView:
    """It was handed over, and can no longer be cancelled. May be repeated."""
    owner, by = pool_owner(pool_id), principal.subject
    redemptions = redemptions_at(request, principal, owner, occurred_at)
    return redemption_view(await redeeming.fulfil(redemptions, owner, redemption_id, by))


@router.post(
    "/{redemption_id}:cancel",
    responses=problems("missing", "refused"),
    response_model_exclude_none=True,
)
async def cancel_pool_redemption(
    request: Request,
    pool_id: PoolPath,
    redemption_id: RedemptionId,
    body: CancelBody,
    principal: Asking,
) -> RedemptionView:
    """Undo what is not fulfilled: points go back into the pool, with their old expiry.

    Who may spend the pool's points cancels what is reserved; what is confirmed, staff does.
    """
    wiring: Wiring = request.app.state.wiring
    redemptions = redemptions_at(request, principal, pool_owner(pool_id), body.occurred_at)
    caller = _hand(principal)
    return redemption_view(
        await pools.cancel(wiring, redemptions, pool_id, redemption_id, caller, body.reason)
    )


def _looking(principal: Principal) -> str | None:
    """Whose eyes: a member's, who must be in the pool, or staff's (None)."""
    return None if principal.has(*CLERKS) else acting_member(principal)


def _hand(principal: Principal) -> Caller:
    """Who acts: staff under the name of their token, a member under their own."""
    if principal.has(*CLERKS):
        return caller_of(principal)
    return Caller(acting_member(principal), stepped_up=principal.stepped_up)
