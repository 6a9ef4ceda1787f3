"""The HTTP API of manual corrections: with a reason, and a second person above a limit."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import Body, Depends, Path, Query, Request, Response

from contracts.points import AccountMarked, AdjustmentTerms, PointsPosted
from kit.auth import Principal, require
from kit.clock import from_micros
from kit.http.idempotency import IdempotencyKey
from kit.http.json_body import Router
from kit.http.openapi import problems
from kit.http.paging import Cursor, Limit, decode_cursor, encode_cursor
from services.points import commands_adjustments as commands
from services.points import listing
from services.points.asking import asked
from services.points.commands import Outcome
from services.points.fields import EXAMPLE_ID, ID, MemberPath
from services.points.listing import AdjustmentRow, Position
from services.points.remarks import shown
from services.points.schemas_adjustments import (
    ADJUSTMENT_EXAMPLE,
    AdjustmentBody,
    AdjustmentList,
    AdjustmentView,
    ApproveBody,
    RejectBody,
    Status,
)
from services.points.wiring import Wiring

router = Router(tags=["adjustments"])

MEMBERS = "/v1/members/{member_id}/points/adjustments"
RequestPath = Annotated[str, Path(pattern=ID, examples=[f"adjustment_{EXAMPLE_ID}"])]
Clerk = Annotated[Principal, Depends(require("agent", "operator"))]


@router.post(
    MEMBERS,
    status_code=201,
    responses={
        200: {"model": AdjustmentView, "description": "Booked before under this key"},
        202: {"model": AdjustmentView, "description": "It waits for a second person"},
        **problems("conflict", "refused"),
    },
    response_model_exclude_none=True,
)
async def adjust_points(
    request: Request,
    response: Response,
    member_id: MemberPath,
    body: Annotated[AdjustmentBody, Body(examples=[ADJUSTMENT_EXAMPLE])],
    principal: Clerk,
    key: IdempotencyKey,
) -> AdjustmentView:
    """Correct a balance. More than the programme lets one person move waits for a second (202).

    So does what would be more than they may move alone within 24 hours; `waits_because` tells.
    Points that are given go where points earned now would, and can be spent at once.
    """
    wiring: Wiring = request.app.state.wiring
    commands.require_other(principal, member_id)
    now = wiring.clock()
    at = body.occurred_at
    about = asked(principal, member_id, "adjustment", key, now, occurred_at=at)
    told = await commands.ask(wiring, about, body)
    if isinstance(told.outcome.body, AccountMarked):
        response.status_code = 202
    elif told.outcome.repeated:
        response.status_code = 200
    return _asked_view(told.outcome, told.note)


@router.post(
    f"{MEMBERS}/{{request_id}}:approve",
    responses=problems("missing", "refused"),
    response_model_exclude_none=True,
)
async def approve_adjustment(
    request: Request,
    member_id: MemberPath,
    request_id: RequestPath,
    body: ApproveBody,
    principal: Clerk,
    key: IdempotencyKey,
) -> AdjustmentView:
    """Book what somebody else asked for (`same_person` otherwise). The ledger keeps both names."""
    wiring: Wiring = request.app.state.wiring
    commands.require_other(principal, member_id)
    outcome = await commands.approve(wiring, member_id, request_id, principal.subject)
    return await _decided_view(wiring, outcome)


@router.post(
    f"{MEMBERS}/{{request_id}}:reject",
    responses=problems("missing", "refused"),
    response_model_exclude_none=True,
)
async def reject_adjustment(
    request: Request,
    member_id: MemberPath,
    request_id: RequestPath,
    body: RejectBody,
    principal: Clerk,
    key: IdempotencyKey,
) -> AdjustmentView:
    """Refuse what somebody asked for, or take back one's own request."""
    wiring: Wiring = request.app.state.wiring
    commands.require_other(principal, member_id)
    outcome = await commands.reject(wiring, member_id, request_id, body.reason, principal.subject)
    return await _decided_view(wiring, outcome)


@router.get(
    MEMBERS,
    dependencies=[Depends(require("agent", "operator"))],
    response_model_exclude_none=True,
)
async def list_member_adjustments(
    request: Request, member_id: MemberPath, limit: Limit = 50, cursor: Cursor = None
) -> AdjustmentList:
    """What was corrected in a member's account, or asked for, newest first."""
    return await _list(request.app.state.wiring, {"member": member_id}, limit, cursor)


@router.get(
    "/v1/points/adjustments",
    dependencies=[Depends(require("operator"))],
    response_model_exclude_none=True,
)
async def list_adjustments(
    request: Request,
    status: Annotated[Status, Query(description="Those that stand there.")] = "open",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> AdjustmentList:
    """Corrections of all members, newest first; `status=open` is what waits for a second person."""
    return await _list(request.app.state.wiring, {"status": status}, limit, cursor)


async def _list(
    wiring: Wiring, equals: dict[str, str], limit: int, cursor: str | None
) -> AdjustmentList:
    after = decode_cursor(cursor, Position) if cursor else None  # type: ignore[arg-type]
    rows, rest = await listing.adjustments(wiring.store.views, equals, limit, after)
    texts = await wiring.remarks.texts(rows)
    return AdjustmentList(
        items=[_row(row, texts) for row in rows],
        next=encode_cursor(rest) if rest is not None else None,
    )


def _asked_view(outcome: Outcome, note: str | None) -> AdjustmentView:
    at = from_micros(outcome.fact.occurred_at)
    booked = isinstance(outcome.body, PointsPosted)
    return _view(outcome.body, "booked" if booked else "open", note, {"asked_at": at})


async def _decided_view(wiring: Wiring, outcome: Outcome) -> AdjustmentView:
    body, at = outcome.body, from_micros(outcome.fact.occurred_at)
    assert body.adjustment is not None
    note = await wiring.remarks.note(body.adjustment)
    if isinstance(body, PointsPosted):
        decided = {"decided_at": at, "decided_by": body.adjustment.approved_by}
        return _view(body, "booked", note, decided)
    decided = {"decided_at": at, "decided_by": body.by}
    return _view(body, "rejected", note, {**decided, "rejected_because": body.reason})


def _view(
    body: PointsPosted | AccountMarked, status: str, note: str | None, more: Mapping[str, object]
) -> AdjustmentView:
    terms = body.adjustment
    assert terms is not None
    return AdjustmentView.model_validate(
        {
            "request_id": terms.request_id,
            "member_id": body.member_id,
            "wallet": terms.wallet,
            "points": terms.points,
            "reason": terms.reason,
            "status": status,
            "waits_because": _waits_because(terms, status),
            "asked_by": terms.by,
            "note": note,
            "balance": body.balances.get(terms.wallet, 0) if status == "booked" else None,
            **more,
        }
    )


def _waits_because(about: AdjustmentTerms | AdjustmentRow, status: str) -> str | None:
    return about.waits_because or "amount" if status == "open" else None


def _row(row: AdjustmentRow, texts: Mapping[str, str]) -> AdjustmentView:
    return AdjustmentView.model_validate(
        {
            "request_id": row.request_id,
            "member_id": row.member_id,
            "wallet": row.wallet,
            "points": row.points,
            "reason": row.reason,
            "status": row.status,
            "waits_because": _waits_because(row, row.status),
            "asked_by": row.by,
            "asked_at": from_micros(row.asked_at),
            "decided_by": row.decided_by,
            "decided_at": from_micros(row.decided_at) if row.decided_at else None,
            "rejected_because": row.rejected_because,
            "note": shown(row, texts),
        }
    )
