"""The HTTP API of holds: points set aside, for a while, to be taken or given back."""

from typing import Annotated

from fastapi import Body, Depends, Path, Request, Response

from contracts.points import PointsPosted
from kit.auth import Principal, owner_or, require
from kit.clock import from_micros
from kit.http.idempotency import IdempotencyKey
from kit.http.json_body import Router
from kit.http.openapi import problems
from services.points import commands_holds as commands
from services.points import queries
from services.points.asking import STAFF, asked, moment
from services.points.commands import Outcome
from services.points.commands_holds import how, moved_by
from services.points.domain.account import Hold
from services.points.fields import EXAMPLE_ID, ID, MemberPath
from services.points.schemas_holds import (
    HOLD_EXAMPLE,
    CaptureBody,
    HoldBody,
    HoldList,
    HoldView,
    ReleaseBody,
)
from services.points.wiring import Wiring

router = Router(prefix="/v1/members/{member_id}/points/holds", tags=["holds"])

HoldPath = Annotated[str, Path(pattern=ID, examples=[f"hold_{EXAMPLE_ID}"])]


@router.post(
    "",
    status_code=201,
    responses={
        200: {"model": HoldView, "description": "Placed before under this key"},
        **problems("conflict", "refused"),
    },
    response_model_exclude_none=True,
)
async def place_hold(
    request: Request,
    response: Response,
    member_id: MemberPath,
    body: Annotated[HoldBody, Body(examples=[HOLD_EXAMPLE])],
    principal: Annotated[Principal, Depends(owner_or(*STAFF))],
    key: IdempotencyKey,
) -> HoldView:
    """Set points aside, those that expire first. They are given back when `until` is over.

    Above the programme's limit a member needs a token with a second factor (`step_up_needed`).
    """
    wiring: Wiring = request.app.state.wiring
    about = asked(
        principal,
        member_id,
        "hold",
        key,
        wiring.clock(),
        occurred_at=body.occurred_at,
        device_id=body.device_id,
    )
    outcome = await commands.place(wiring, about, body)
    if outcome.repeated:
        response.status_code = 200
    return _view(outcome)


@router.get(
    "",
    dependencies=[Depends(owner_or("agent", "operator"))],
    response_model_exclude_none=True,
)
async def list_holds(request: Request, member_id: MemberPath) -> HoldList:
    """The holds that are open, those of redemptions too; the one that ends first comes first."""
    wiring: Wiring = request.app.state.wiring
    _, state = await queries.account(wiring.ledger, wiring.rules, member_id, wiring.clock())
    holds = sorted(state.holds.items(), key=lambda each: (each[1].until, each[0]))
    return HoldList(member_id=member_id, items=[_open(member_id, *each) for each in holds])


@router.post(
    "/{hold_id}:capture",
    responses=problems("missing", "refused"),
    response_model_exclude_none=True,
)
async def capture_hold(
    request: Request,
    member_id: MemberPath,
    hold_id: HoldPath,
    body: CaptureBody,
    principal: Annotated[Principal, Depends(require(*STAFF))],
    key: IdempotencyKey,
) -> HoldView:
    """Take what is held, or a part of it; the rest is given back. A hold ends once.

    The same amount again gets the first answer; anything else on a hold that has ended is refused
    (`hold_ended`, with `ended`: captured, released or timed_out).
    """
    wiring: Wiring = request.app.state.wiring
    at = moment(body.occurred_at, wiring.clock(), own=False)
    return _view(
        await commands.capture(wiring, member_id, hold_id, body.points, at, principal.subject)
    )


@router.post(
    "/{hold_id}:release",
    responses=problems("missing", "refused"),
    response_model_exclude_none=True,
)
async def release_hold(
    request: Request,
    member_id: MemberPath,
    hold_id: HoldPath,
    body: ReleaseBody,
    principal: Annotated[Principal, Depends(owner_or(*STAFF))],
    key: IdempotencyKey,
) -> HoldView:
    """Give back what is held. What has passed its last day meanwhile is given back expired."""
    wiring: Wiring = request.app.state.wiring
    at = moment(body.occurred_at, wiring.clock(), own=not principal.has(*STAFF))
    return _view(
        await commands.release(wiring, member_id, hold_id, body.reason, at, principal.subject)
    )


def _open(member_id: str, hold_id: str, hold: Hold) -> HoldView:
    return HoldView.model_validate(
        {
            "hold_id": hold_id,
            "member_id": member_id,
            "wallet": hold.wallet,
            "points": hold.points,
            "purpose": hold.purpose,
            "until": from_micros(hold.until),
            "status": "held",
            "reward_id": hold.reward_id,
        }
    )


def _view(outcome: Outcome) -> HoldView:
    entry = outcome.body
    assert isinstance(entry, PointsPosted)
    assert entry.hold is not None
    held, captured = moved_by(entry, "held"), moved_by(entry, "redemption")
    wallet, ended = entry.postings[0].wallet, entry.kind != "hold"
    return HoldView.model_validate(
        {
            "hold_id": entry.hold.hold_id,
            "member_id": entry.member_id,
            "wallet": wallet,
            "points": abs(held),
            "purpose": entry.hold.purpose,
            "until": from_micros(entry.hold.until),
            "status": how(entry),
            "reward_id": entry.hold.reward_id,
            "captured": captured if ended else None,
            "released": abs(held) - captured if ended else None,
            "expired": moved_by(entry, "breakage") if ended else None,
            "balance": entry.balances.get(wallet, 0),
        }
    )
