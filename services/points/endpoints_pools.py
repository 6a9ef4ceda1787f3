"""The HTTP API of household pools: put points together, and spend them by role."""

from dataclasses import replace
from typing import Annotated

from fastapi import Body, Depends, Path, Request, Response

from kit.auth import Principal, owner_or, require
from kit.clock import from_micros
from kit.errors import ServiceError
from kit.http.idempotency import IdempotencyKey
from kit.http.json_body import Router
from kit.http.openapi import problems
from kit.http.paging import Cursor, Limit, decode_cursor, encode_cursor
from services.points import commands_pools as commands
from services.points import listing, queries
from services.points.asking import asked
from services.points.commands_pools import pool_owner
from services.points.domain.account import Account
from services.points.domain.moving import fair_share
from services.points.endpoints_statements import statement_body
from services.points.endpoints_transfers import sent_view
from services.points.fields import EXAMPLE_ID, ID, MemberPath
from services.points.languages import Spoken
from services.points.schemas import StatementBody
from services.points.schemas_pools import (
    CONTRIBUTION_EXAMPLE,
    INVITE_EXAMPLE,
    SPENDING_EXAMPLE,
    ContributionBody,
    EmptyBody,
    InviteBody,
    LeftView,
    PoolItem,
    PoolList,
    PoolMemberView,
    PoolView,
    SpendingBody,
    WalletPoints,
)
from services.points.schemas_transfers import TransferView
from services.points.wiring import Wiring

router = Router(tags=["pools"])

STAFF = ("agent", "operator")
NEW_POOL = "@"
"""Whom a request for a new pool is about: the pool's id follows from the request."""
PoolPath = Annotated[str, Path(pattern=ID, examples=[f"pool_{EXAMPLE_ID}"])]
Member = Annotated[Principal, Depends(require("member"))]
Reader = Annotated[Principal, Depends(require("member", *STAFF))]


@router.post(
    "/v1/pools",
    status_code=201,
    responses={200: {"model": PoolView, "description": "Founded before under this key"}},
)
async def found_pool(
    request: Request,
    response: Response,
    body: EmptyBody,
    principal: Member,
    key: IdempotencyKey,
) -> PoolView:
    """Found a pool. Who founds it is its owner: invites, spends, leaves last."""
    wiring: Wiring = request.app.state.wiring
    acting_member(principal)
    about = asked(principal, NEW_POOL, "pool", key, wiring.clock())
    outcome = await commands.found(wiring, replace(about, owner=pool_owner(about.id)))
    if outcome.repeated:
        response.status_code = 200
    return await _seen(wiring, about.id)


@router.post(
    "/v1/pools/{pool_id}/members",
    responses=problems("refused"),
)
async def invite_member(
    request: Request,
    pool_id: PoolPath,
    body: Annotated[InviteBody, Body(examples=[INVITE_EXAMPLE])],
    principal: Member,
    key: IdempotencyKey,
) -> PoolView:
    """Invite a member, who then joins; only the pool's owner may. At most 20 are in a pool.

    Inviting again somebody who has not joined yet changes their role.
    """
    wiring: Wiring = request.app.state.wiring
    await commands.pool_as_seen(wiring, pool_id, acting_member(principal))
    about = asked(principal, pool_owner(pool_id), "pool", key, wiring.clock())
    await commands.invite(wiring, about, body.member_id, body.role)
    return await _seen(wiring, pool_id)


@router.post(
    "/v1/pools/{pool_id}/members/{member_id}:join",
    responses=problems("missing", "refused"),
)
async def join_pool(
    request: Request,
    pool_id: PoolPath,
    member_id: MemberPath,
    body: EmptyBody,
    principal: Annotated[Principal, Depends(owner_or())],
    key: IdempotencyKey,
) -> PoolView:
    """Follow an invitation. From then on one may contribute, and spend with that role."""
    wiring: Wiring = request.app.state.wiring
    about = asked(principal, pool_owner(pool_id), "pool", key, wiring.clock())
    await commands.join(wiring, about)
    return await _seen(wiring, pool_id)


@router.post(
    "/v1/pools/{pool_id}/members/{member_id}:leave",
    responses=problems("missing", "refused"),
)
async def leave_pool(
    request: Request,
    pool_id: PoolPath,
    member_id: MemberPath,
    body: EmptyBody,
    principal: Member,
    key: IdempotencyKey,
) -> LeftView:
    """Leave with a fair share: of everything there the part one put in, rounded down.

    The pool's owner may have others leave, and leaves last, with what remains.
    """
    wiring: Wiring = request.app.state.wiring
    acting_member(principal)
    about = asked(principal, pool_owner(pool_id), "pool", key, wiring.clock())
    left = await commands.leave(wiring, about, member_id)
    return LeftView(
        pool_id=pool_id,
        member_id=member_id,
        left_at=from_micros(left.outcome.fact.occurred_at),
        taken_home=_by_wallet(left.taken_home),
    )


@router.post(
    "/v1/pools/{pool_id}/contributions",
    status_code=201,
    responses={
        200: {"model": TransferView, "description": "Put in before under this key"},
        **problems("conflict", "refused"),
    },
    response_model_exclude_none=True,
)
async def contribute(
    request: Request,
    response: Response,
    pool_id: PoolPath,
    body: Annotated[ContributionBody, Body(examples=[CONTRIBUTION_EXAMPLE])],
    principal: Member,
    key: IdempotencyKey,
) -> TransferView:
    """Put points of one's own into the pool. They are there a moment later, and keep their expiry.

    Above the programme's limit that needs a token with a second factor (`step_up_needed`).
    """
    wiring: Wiring = request.app.state.wiring
    me, now = acting_member(principal), wiring.clock()
    about = asked(principal, me, "transfer", key, now, device_id=body.device_id)
    outcome = await commands.contribute(wiring, pool_id, about, body)
    if outcome.repeated:
        response.status_code = 200
    return sent_view(outcome)


@router.post(
    "/v1/pools/{pool_id}/transfers",
    status_code=201,
    responses={
        200: {"model": TransferView, "description": "Spent before under this key"},
        **problems("conflict", "refused"),
    },
    response_model_exclude_none=True,
)
async def spend(
    request: Request,
    response: Response,
    pool_id: PoolPath,
    body: Annotated[SpendingBody, Body(examples=[SPENDING_EXAMPLE])],
    principal: Member,
    key: IdempotencyKey,
) -> TransferView:
    """Move points of the pool to one of its members; roles owner and spender."""
    wiring: Wiring = request.app.state.wiring
    acting_member(principal)
    owner, now = pool_owner(pool_id), wiring.clock()
    about = asked(principal, owner, "transfer", key, now, device_id=body.device_id)
    told = await commands.spend(wiring, pool_id, about, body)
    if told.outcome.repeated:
        response.status_code = 200
    return sent_view(told.outcome, told.note)


@router.get("/v1/pools/{pool_id}", responses=problems("missing"))
async def read_pool(request: Request, pool_id: PoolPath, principal: Reader) -> PoolView:
    """Who is in the pool, with what they put in and would take home, and what it holds."""
    wiring: Wiring = request.app.state.wiring
    state = await commands.pool_as_seen(wiring, pool_id, _reader(principal))
    return _view(pool_id, state)


@router.get("/v1/pools/{pool_id}/statement", responses=problems("missing"))
async def read_pool_statement(
    request: Request,
    pool_id: PoolPath,
    principal: Reader,
    language: Spoken,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> StatementBody:
    """The pool's entries, newest first, each with the balances after it."""
    wiring: Wiring = request.app.state.wiring
    await commands.pool_as_seen(wiring, pool_id, _reader(principal))
    owner = pool_owner(pool_id)
    return await statement_body(request, principal, owner, language, limit, cursor)


@router.get("/v1/members/{member_id}/pools", dependencies=[Depends(owner_or(*STAFF))])
async def list_pools(
    request: Request, member_id: MemberPath, limit: Limit = 50, cursor: Cursor = None
) -> PoolList:
    """The pools a member is in, or invited to."""
    wiring: Wiring = request.app.state.wiring
    after = decode_cursor(cursor, str) if cursor else None
    rows, rest = await listing.pools_of(wiring.store.views, member_id, limit, after)
    items = [{"pool_id": row.pool_id, "role": row.role, "status": row.status} for row in rows]
    return PoolList(
        member_id=member_id,
        items=[PoolItem.model_validate(item) for item in items],
        next=encode_cursor(rest) if rest is not None else None,
    )


def acting_member(principal: Principal) -> str:
    """The member who asks; a pool is a matter between members."""
    if principal.member_id is None:
        raise ServiceError("forbidden", "no_member", "This needs a token with a member id.")
    return principal.member_id


def _reader(principal: Principal) -> str | None:
    return None if principal.has(*STAFF) else acting_member(principal)


async def _seen(wiring: Wiring, pool_id: str) -> PoolView:
    _, state = await queries.account(
        wiring.ledger, wiring.rules, pool_owner(pool_id), wiring.clock()
    )
    return _view(pool_id, state)


def _view(pool_id: str, state: Account) -> PoolView:
    members = [
        PoolMemberView(
            member_id=member_id,
            role=member.role,
            status="joined" if member.joined else "invited",
            contributed=member.contributed,
            fair_share=_by_wallet(
                {
                    wallet: sum(points for _, points in parts)
                    for wallet, parts in fair_share(state, member).items()
                }
            ),
        )
        for member_id, member in sorted(state.pool.items())
    ]
    return PoolView(pool_id=pool_id, members=members, wallets=_by_wallet(state.balances))


def _by_wallet(points: dict[str, int]) -> list[WalletPoints]:
    return [WalletPoints(wallet=wallet, points=each) for wallet, each in sorted(points.items())]
