"""The HTTP API of rewards: the catalogue, its stock, and what a member may redeem."""

from typing import Annotated, Literal

from fastapi import Body, Depends, Path, Query, Request, Response

from contracts.catalogue import StockAdded, StockWrittenDown
from kit.auth import Principal, owner_or, require
from kit.auth.principal import ROLES
from kit.errors import ServiceError
from kit.http.idempotency import IdempotencyKey
from kit.http.json_body import Router
from kit.http.openapi import problems
from kit.http.paging import Cursor, Limit, decode_cursor, encode_cursor
from services.points.cards import as_of, card
from services.points.domain.catalogue import Phase, no_such_reward
from services.points.rewards import commands, queries
from services.points.rewards.presenting import content, detail, member_reward, stock_view
from services.points.rewards.schemas import (
    REWARD_EXAMPLE,
    REWARD_ID,
    MemberRewards,
    RetireBody,
    RewardBody,
    RewardDetail,
    RewardList,
    StockBody,
    StockCorrectionBody,
    StockView,
)
from services.points.rewards.wiring import Rewards

router = Router(tags=["rewards"])

STAFF = ("agent", "marketer", "operator")
KEEPERS = ("marketer", "operator")
RewardId = Annotated[str, Path(pattern=REWARD_ID, examples=["coffee-mug"])]
MemberId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", examples=["M1"])]
PHASES: dict[str, tuple[Phase, ...]] = {
    "live": ("live",),
    "upcoming": ("upcoming",),
    "ended": ("ended",),
    "retired": ("retired",),
    "all": ("upcoming", "live", "ended", "retired"),
}


@router.put(
    "/v1/rewards/{reward_id}",
    status_code=200,
    responses={201: {"model": RewardDetail, "description": "Defined"}, **problems("conflict")},
    response_model_exclude_none=True,
)
async def define_reward(
    request: Request,
    response: Response,
    reward_id: RewardId,
    body: Annotated[RewardBody, Body(examples=[REWARD_EXAMPLE])],
    principal: Annotated[Principal, Depends(require("marketer"))],
) -> RewardDetail:
    """Define a reward, or a new revision of it. The same content again makes no new one.

    Redemptions that are under way keep the price they began with. `limited` and `slices` stay as
    they first were. With `revision`, nobody's change is overwritten unseen.
    """
    rewards: Rewards = request.app.state.rewards
    wanted = content(reward_id, body, principal.subject)
    saved = await commands.define(rewards, wanted, body.revision)
    if saved.changed:
        response.status_code = 201
    return detail(await queries.shown(rewards, reward_id), staff=True)


@router.post(
    "/v1/rewards/{reward_id}:retire",
    responses=problems("missing"),
    response_model_exclude_none=True,
)
async def retire_reward(
    request: Request,
    reward_id: RewardId,
    body: RetireBody,
    principal: Annotated[Principal, Depends(require("marketer"))],
) -> RewardDetail:
    """Offer a reward no more, for good. What was redeemed before stands. May be repeated."""
    rewards: Rewards = request.app.state.rewards
    await commands.retire(rewards, reward_id, body.reason, principal.subject)
    return detail(await queries.shown(rewards, reward_id), staff=True)


@router.get("/v1/rewards", response_model_exclude_none=True)
async def list_rewards(
    request: Request,
    principal: Annotated[Principal, Depends(require(*ROLES))],
    phase: Annotated[
        Literal["live", "upcoming", "ended", "retired", "all"],
        Query(description="Only staff see others than what is live."),
    ] = "live",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> RewardList:
    """Rewards by id. What is live for a member depends on their tier (early access)."""
    rewards: Rewards = request.app.state.rewards
    staff = principal.has(*STAFF)
    if phase != "live" and not staff:
        raise ServiceError("forbidden", "only_live", "You may list what is live; leave out `phase`")
    after = decode_cursor(cursor, str) if cursor else None
    tier = None if staff else await _tier(rewards, principal.member_id)
    page = await queries.page(rewards, PHASES[phase], limit, after, tier)
    return RewardList(
        items=[detail(each, staff=staff) for each in page.items],
        next=encode_cursor(page.next) if page.next is not None else None,
    )


@router.get(
    "/v1/rewards/{reward_id}",
    responses=problems("missing"),
    response_model_exclude_none=True,
)
async def read_reward(
    request: Request,
    reward_id: RewardId,
    principal: Annotated[Principal, Depends(require(*ROLES))],
) -> RewardDetail:
    """A reward's newest revision. Those who are no staff see what is live, or has been."""
    rewards: Rewards = request.app.state.rewards
    staff = principal.has(*STAFF)
    tier = None if staff else await _tier(rewards, principal.member_id)
    shown = await queries.shown(rewards, reward_id, tier)
    if shown.phase == "upcoming" and not staff:
        raise no_such_reward(reward_id)
    return detail(shown, staff=staff)


async def _tier(rewards: Rewards, member_id: str | None) -> str | None:
    known = await card(rewards.views, member_id) if member_id else None
    return as_of(known, rewards.clock()).tier if known else None


@router.post(
    "/v1/rewards/{reward_id}/stock",
    status_code=201,
    responses={
        200: {"model": StockView, "description": "Added before under this key"},
        **problems("missing", "conflict", "refused"),
    },
)
async def add_stock(
    request: Request,
    response: Response,
    reward_id: RewardId,
    body: StockBody,
    principal: Annotated[Principal, Depends(require(*KEEPERS))],
    idempotency_key: IdempotencyKey,
) -> StockView:
    """Add a delivery to the stock of a limited reward."""
    rewards: Rewards = request.app.state.rewards
    delivery = StockAdded(
        reward_id, body.quantity, body.quantity, principal.subject, note=body.note
    )
    if not await commands.add_stock(rewards, delivery, idempotency_key):
        response.status_code = 200
    return stock_view(reward_id, await queries.slices(rewards, reward_id))


@router.post(
    "/v1/rewards/{reward_id}/stock/corrections",
    status_code=201,
    responses={
        200: {"model": StockView, "description": "Written down before under this key"},
        **problems("missing", "conflict", "refused"),
    },
)
async def correct_stock(
    request: Request,
    response: Response,
    reward_id: RewardId,
    body: StockCorrectionBody,
    principal: Annotated[Principal, Depends(require(*KEEPERS))],
    idempotency_key: IdempotencyKey,
) -> StockView:
    """Write down what is not on the shelf any more: all of it, or nothing (`stock_short`).

    What redemptions have reserved or taken is not touched; `left` in the problem says how many can
    be written down. What turns up again is added as a delivery.
    """
    rewards: Rewards = request.app.state.rewards
    wanted = StockWrittenDown(
        reward_id, "", 0, -body.quantity, body.reason, principal.subject, body.note
    )
    if not await commands.write_down(rewards, wanted, idempotency_key):
        response.status_code = 200
    return stock_view(reward_id, await queries.slices(rewards, reward_id))


@router.get(
    "/v1/rewards/{reward_id}/stock",
    dependencies=[Depends(require(*STAFF))],
    responses=problems("missing", "refused"),
)
async def read_stock(request: Request, reward_id: RewardId) -> StockView:
    """What was added, is left, is reserved, redeemed and written down, read fresh."""
    rewards: Rewards = request.app.state.rewards
    return stock_view(reward_id, await queries.slices(rewards, reward_id))


@router.get(
    "/v1/members/{member_id}/rewards",
    dependencies=[Depends(owner_or("agent", "operator"))],
    response_model_exclude_none=True,
)
async def list_member_rewards(
    request: Request,
    member_id: MemberId,
    redeemable: Annotated[bool, Query(description="Only what may be redeemed at once.")] = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> MemberRewards:
    """What the member may redeem now or soon, and for each that they may not: all of why not.

    Stock is as it was a moment ago; redeeming decides. With `redeemable` pages may come back short.
    """
    rewards: Rewards = request.app.state.rewards
    after = decode_cursor(cursor, str) if cursor else None
    page = await queries.for_member(rewards, member_id, limit, after, redeemable)
    return MemberRewards(
        member_id=member_id,
        items=[member_reward(each) for each in page.items],
        next=encode_cursor(page.next) if page.next is not None else None,
    )
