"""The HTTP API of redemptions."""

from datetime import datetime
from typing import Annotated

from fastapi import Body, Depends, Path, Query, Request, Response
from pydantic import AwareDatetime

from kit.auth import Principal, owner_or
from kit.auth import require as require_role
from kit.clock import from_micros
from kit.http.idempotency import IdempotencyKey
from kit.http.json_body import Router
from kit.http.openapi import problems
from kit.http.paging import Cursor, Limit, decode_cursor, encode_cursor
from services.points.asking import moment
from services.points.domain.redemptions import Redemption
from services.points.rewards import redeeming
from services.points.rewards.endpoints import MemberId
from services.points.rewards.redeeming import Caller, Redeem
from services.points.rewards.redemptions import Redemptions, as_of, page, require
from services.points.rewards.schemas_redemptions import (
    EXAMPLE_ID,
    REDEEM_EXAMPLE,
    REDEMPTION_ID,
    CancelBody,
    RedeemBody,
    RedemptionList,
    RedemptionView,
)

CLERKS = ("agent", "operator", "partner")
Asking = Annotated[Principal, Depends(owner_or(*CLERKS))]
HandedOver = Annotated[
    AwareDatetime | None, Query(description="For imports: when it was handed over.")
]
RedemptionId = Annotated[str, Path(pattern=REDEMPTION_ID, examples=[EXAMPLE_ID])]

router = Router(prefix="/v1/members/{member_id}/redemptions", tags=["redemptions"])


@router.post(
    "",
    status_code=201,
    responses={
        200: {"model": RedemptionView, "description": "Asked before under this key"},
        **problems("missing", "refused", "conflict", "too_many"),
    },
    response_model_exclude_none=True,
)
async def redeem_reward(
    request: Request,
    response: Response,
    member_id: MemberId,
    body: Annotated[RedeemBody, Body(examples=[REDEEM_EXAMPLE])],
    principal: Asking,
    idempotency_key: IdempotencyKey,
) -> RedemptionView:
    """Redeem points for a reward, or reserve it. Send it again after any failure: it happens once.

    A refusal says everything that is in the way (`why_not`), in words and figures. What costs
    money, too, is reserved by the member and confirmed by whoever takes the money. Above a limit
    of the programme a member needs a token that says a second factor was used.
    """
    wanted = Redeem(
        member_id,
        body.reward_id,
        idempotency_key,
        caller_of(principal),
        body.quantity,
        body.wallet,
        body.confirm,
        body.device_id if body.occurred_at is None else None,  # what is imported does not count
    )
    redemptions = redemptions_at(request, principal, member_id, body.occurred_at)
    found, made = await redeeming.redeem(redemptions, wanted)
    if not made:
        response.status_code = 200
    return redemption_view(found)


@router.get("", response_model_exclude_none=True)
async def list_redemptions(
    request: Request,
    member_id: MemberId,
    principal: Asking,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> RedemptionList:
    """A member's redemptions, newest first, each as it stands now."""
    after = decode_cursor(cursor, tuple[int, str]) if cursor else None
    found = await page(_redemptions(request), member_id, limit, after)
    return RedemptionList(
        member_id=member_id,
        items=[redemption_view(each) for each in found.items],
        next=encode_cursor(found.next) if found.next is not None else None,
    )


@router.get("/{redemption_id}", responses=problems("missing"), response_model_exclude_none=True)
async def read_redemption(
    request: Request, member_id: MemberId, redemption_id: RedemptionId, principal: Asking
) -> RedemptionView:
    """A redemption as its member's account tells it now."""
    return redemption_view(await require(_redemptions(request), member_id, redemption_id))


@router.post(
    "/{redemption_id}:confirm",
    responses=problems("missing", "refused"),
    response_model_exclude_none=True,
)
async def confirm_redemption(
    request: Request, member_id: MemberId, redemption_id: RedemptionId, principal: Asking
) -> RedemptionView:
    """Make a reservation final. May be repeated. One that has expired or was cancelled is refused.

    With a money part: by agents, operators and partners alone, once it is paid.
    """
    redemptions, caller = _redemptions(request), caller_of(principal)
    return redemption_view(await redeeming.confirm(redemptions, member_id, redemption_id, caller))


@router.post(
    "/{redemption_id}:fulfil",
    responses=problems("missing", "refused"),
    response_model_exclude_none=True,
)
async def fulfil_redemption(
    request: Request,
    member_id: MemberId,
    redemption_id: RedemptionId,
    principal: Annotated[Principal, Depends(require_role(*CLERKS))],
    occurred_at: HandedOver = None,
) -> RedemptionView:
    """It was handed over, and can no longer be cancelled. May be repeated.

    Donations and vouchers fulfil themselves.
    """
    redemptions, by = redemptions_at(request, principal, member_id, occurred_at), principal.subject
    return redemption_view(await redeeming.fulfil(redemptions, member_id, redemption_id, by))


@router.post(
    "/{redemption_id}:cancel",
    responses=problems("missing", "refused"),
    response_model_exclude_none=True,
)
async def cancel_redemption(
    request: Request,
    member_id: MemberId,
    redemption_id: RedemptionId,
    body: CancelBody,
    principal: Asking,
) -> RedemptionView:
    """Undo what is not fulfilled: points go back with their old expiry, and so does the stock.

    Members cancel what they have reserved; what is confirmed, agents, operators and partners do.
    May be repeated.
    """
    redemptions = redemptions_at(request, principal, member_id, body.occurred_at)
    caller = caller_of(principal)
    return redemption_view(
        await redeeming.cancel(redemptions, member_id, redemption_id, caller, body.reason)
    )


def _redemptions(request: Request) -> Redemptions:
    found: Redemptions = request.app.state.redemptions
    return found


def redemptions_at(
    request: Request, principal: Principal, member_id: str, occurred_at: datetime | None
) -> Redemptions:
    """Redemptions at the time that the caller gives. Raises ServiceError when it is not theirs."""
    redemptions = _redemptions(request)
    if occurred_at is None:
        return redemptions
    own = principal.is_member(member_id) or not principal.has(*CLERKS)
    return as_of(redemptions, moment(occurred_at, redemptions.clock(), own=own))


def caller_of(principal: Principal) -> Caller:
    """Who asks, as the ledger knows them."""
    return Caller(principal.subject, principal.has(*CLERKS), principal.stepped_up)


def redemption_view(found: Redemption) -> RedemptionView:
    """A redemption as it is shown."""

    def moment(micros: int | None) -> object:
        return None if micros is None else from_micros(micros)

    return RedemptionView.model_validate(
        {
            "redemption_id": found.redemption_id,
            "member_id": found.receiver,
            "pool_id": found.pool_id,
            "reward_id": found.reward_id,
            "quantity": found.quantity,
            "wallet": found.wallet,
            "points": found.points,
            "money": found.money,
            "status": found.status,
            "reserved_at": moment(found.reserved_at),
            "reserved_until": moment(found.reserved_until),
            "confirmed_at": moment(found.confirmed_at),
            "ended_at": moment(found.ended_at),
            "reason": found.reason,
        }
    )
