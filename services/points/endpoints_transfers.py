"""The HTTP API of transfers between members: an offer, and the receiver's decision."""

from collections.abc import Mapping
from typing import Annotated, Literal

from fastapi import Body, Depends, Path, Query, Request, Response

from contracts.points import PointsPosted, TransferTerms
from kit.auth import Principal, owner_or
from kit.clock import from_micros
from kit.http.idempotency import IdempotencyKey
from kit.http.json_body import Router
from kit.http.openapi import problems
from kit.http.paging import Cursor, Limit, decode_cursor, encode_cursor
from services.points import commands_transfers as commands
from services.points import listing
from services.points.asking import asked, moment
from services.points.commands import Outcome
from services.points.commands_holds import moved_by
from services.points.fields import EXAMPLE_ID, ID, MemberPath
from services.points.listing import Position, TransferRow
from services.points.remarks import shown
from services.points.schemas_transfers import (
    TRANSFER_EXAMPLE,
    DecisionBody,
    Status,
    TransferBody,
    TransferList,
    TransferView,
    WithdrawBody,
)
from services.points.wiring import Wiring

router = Router(prefix="/v1/members/{member_id}/points/transfers", tags=["transfers"])

CLERK = "agent"
TransferPath = Annotated[str, Path(pattern=ID, examples=[f"transfer_{EXAMPLE_ID}"])]
Caller = Annotated[Principal, Depends(owner_or(CLERK))]


@router.post(
    "",
    status_code=201,
    responses={
        200: {"model": TransferView, "description": "Sent before under this key"},
        **problems("conflict", "refused"),
    },
    response_model_exclude_none=True,
)
async def send_points(
    request: Request,
    response: Response,
    member_id: MemberPath,
    body: Annotated[TransferBody, Body(examples=[TRANSFER_EXAMPLE])],
    principal: Caller,
    key: IdempotencyKey,
) -> TransferView:
    """Offer points to another member. They keep their expiry, and come back unless accepted.

    Nobody is told whether the receiver exists: what nobody accepts comes back. Above the
    programme's limit a member needs a token with a second factor (`step_up_needed`).
    """
    wiring: Wiring = request.app.state.wiring
    about = asked(
        principal,
        member_id,
        "transfer",
        key,
        wiring.clock(),
        occurred_at=body.occurred_at,
        device_id=body.device_id,
    )
    told = await commands.send(wiring, about, body)
    if told.outcome.repeated:
        response.status_code = 200
    return sent_view(told.outcome, told.note)


@router.get(
    "",
    dependencies=[Depends(owner_or(CLERK, "operator"))],
    response_model_exclude_none=True,
)
async def list_transfers(
    request: Request,
    member_id: MemberPath,
    direction: Annotated[Literal["sent", "received"], Query()] = "received",
    status: Annotated[
        Status | None, Query(description="Only of `received`: those that stand there.")
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> TransferList:
    """Transfers, newest first. `direction=received&status=offered`: what waits for a decision.

    A transfer is listed a moment after it was made. What an action answers is up to date.
    """
    wiring: Wiring = request.app.state.wiring
    equals = {"sender" if direction == "sent" else "receiver": member_id}
    if status is not None and direction == "received":
        equals["status"] = status
    after = decode_cursor(cursor, Position) if cursor else None  # type: ignore[arg-type]
    rows, rest = await listing.transfers(wiring.store.views, equals, limit, after)
    texts = await wiring.remarks.texts(rows)
    return TransferList(
        member_id=member_id,
        items=[_row(row, wiring.clock(), texts) for row in rows],
        next=encode_cursor(rest) if rest is not None else None,
    )


@router.post(
    "/{transfer_id}:accept",
    responses=problems("missing", "refused"),
    response_model_exclude_none=True,
)
async def accept_transfer(
    request: Request,
    member_id: MemberPath,
    transfer_id: TransferPath,
    body: DecisionBody,
    principal: Caller,
    key: IdempotencyKey,
) -> TransferView:
    """Take in what another member offers. A transfer ends once (`transfer_ended` says how)."""
    wiring: Wiring = request.app.state.wiring
    at = moment(body.occurred_at, wiring.clock(), own=not principal.has(CLERK))
    by = member_id if principal.is_member(member_id) else principal.subject
    outcome = await commands.accept(wiring, member_id, transfer_id, body.sender, at, by)
    return await _received_view(wiring, outcome)


@router.post(
    "/{transfer_id}:decline",
    responses=problems("missing", "refused"),
    response_model_exclude_none=True,
)
async def decline_transfer(
    request: Request,
    member_id: MemberPath,
    transfer_id: TransferPath,
    body: DecisionBody,
    principal: Caller,
    key: IdempotencyKey,
) -> TransferView:
    """Refuse what another member offers; the points go back to them."""
    wiring: Wiring = request.app.state.wiring
    at = moment(body.occurred_at, wiring.clock(), own=not principal.has(CLERK))
    by = member_id if principal.is_member(member_id) else principal.subject
    outcome = await commands.decline(wiring, member_id, transfer_id, body.sender, at, by)
    return await _ended_view(wiring, body.sender, transfer_id, outcome)


@router.post(
    "/{transfer_id}:withdraw",
    responses=problems("missing", "refused"),
    response_model_exclude_none=True,
)
async def withdraw_transfer(
    request: Request,
    member_id: MemberPath,
    transfer_id: TransferPath,
    body: WithdrawBody,
    principal: Caller,
    key: IdempotencyKey,
) -> TransferView:
    """Take back an offer of one's own that was not accepted yet; the points come back."""
    wiring: Wiring = request.app.state.wiring
    by = member_id if principal.is_member(member_id) else principal.subject
    outcome = await commands.withdraw(wiring, member_id, transfer_id, wiring.clock(), by)
    return await _ended_view(wiring, member_id, transfer_id, outcome)


def sent_view(outcome: Outcome, note: str | None = None) -> TransferView:
    """What the sender's entry says, and the text beside it."""
    entry = outcome.body
    assert isinstance(entry, PointsPosted)
    assert entry.transfer is not None
    terms = entry.transfer
    return TransferView.model_validate(
        {
            **_terms(terms, note),
            "sender": entry.member_id,
            "receiver": terms.other,
            "status": "arriving" if terms.at_once else "offered",
            "sent_at": from_micros(outcome.fact.occurred_at),
            "balance": entry.balances.get(terms.parcels[0].wallet, 0),
        }
    )


async def _received_view(wiring: Wiring, outcome: Outcome) -> TransferView:
    entry = outcome.body
    assert isinstance(entry, PointsPosted)
    assert entry.transfer is not None
    terms = entry.transfer
    return TransferView.model_validate(
        {
            **_terms(terms, await wiring.remarks.note(terms)),
            "sender": terms.other,
            "receiver": entry.member_id,
            "status": "accepted",
            "ended_at": from_micros(outcome.fact.occurred_at),
            "expired": moved_by(entry, "breakage"),
            "balance": entry.balances.get(terms.parcels[0].wallet, 0),
        }
    )


async def _ended_view(
    wiring: Wiring, sender: str, transfer_id: str, outcome: Outcome
) -> TransferView:
    found = await commands.sent(wiring, sender, transfer_id)
    assert found is not None
    entry = found.body
    assert isinstance(entry, PointsPosted)
    assert entry.transfer is not None
    note = await wiring.remarks.note(entry.transfer)
    ended_at = from_micros(outcome.fact.occurred_at)
    status = listing.how_ended(outcome.body)
    changed = {"status": status, "ended_at": ended_at, "balance": None}
    return sent_view(found, note).model_copy(update=changed)


def _terms(terms: TransferTerms, note: str | None) -> dict[str, object]:
    return {
        "transfer_id": terms.transfer_id,
        "wallet": terms.parcels[0].wallet,
        "points": sum(parcel.points for parcel in terms.parcels),
        "until": from_micros(terms.until) if terms.until else None,
        "note": note,
    }


def _row(row: TransferRow, now: int, texts: Mapping[str, str]) -> TransferView:
    late = row.status == "offered" and 0 < row.until <= now
    return TransferView.model_validate(
        {
            "transfer_id": row.transfer_id,
            "sender": row.sender,
            "receiver": row.receiver,
            "wallet": row.wallet,
            "points": row.points,
            "status": "timed_out" if late else row.status,
            "sent_at": from_micros(row.sent_at),
            "until": from_micros(row.until) if row.until else None,
            "ended_at": from_micros(row.ended_at) if row.ended_at else None,
            "note": shown(row, texts),
        }
    )
