"""The HTTP API of the points service: balances and statement."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Path, Query, Request

from kit.auth import owner_or
from kit.clock import from_micros, to_micros
from kit.errors import ServiceError
from kit.http.json_body import Router
from kit.http.paging import Cursor, Limit, decode_cursor, encode_cursor
from services.points import queries
from services.points.schemas import (
    BalancesBody,
    CalendarBody,
    Dated,
    StatementBody,
    StatementEntry,
    WalletBalance,
    WalletCalendar,
    WalletChange,
)
from services.points.wiring import Wiring

router = Router(prefix="/v1/members/{member_id}/points", tags=["points"])

MemberId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", examples=["M1"])]
SOONEST = 3
"""Dates that a balance names; the calendar has all, so that a balance costs the same at any age."""
READERS = Depends(owner_or("agent", "operator"))


@router.get("", dependencies=[READERS], response_model_exclude_none=True)
async def read_balances(
    request: Request,
    member_id: MemberId,
    as_of: Annotated[
        datetime | None, Query(description="A past time; the answer for it never changes.")
    ] = None,
) -> BalancesBody:
    """Balances by wallet, including everything posted so far, or as of a past time.

    An account opens with its first posting: a member without one has no wallets yet.
    """
    wiring: Wiring = request.app.state.wiring
    if as_of is None:
        found = await queries.balances(wiring.ledger, wiring.rules, member_id, wiring.clock())
    else:
        found = await queries.balances_as_of(
            wiring.entries, member_id, _micros(as_of), wiring.clock
        )
    return BalancesBody(
        member_id=member_id,
        as_of=from_micros(found.as_of),
        entries=found.entries,
        wallets=[_wallet(each) for each in found.buckets]
        or [
            WalletBalance(wallet=wallet, balance=balance)
            for wallet, balance in sorted(found.wallets.items())
        ],
    )


def _wallet(found: queries.Bucket) -> WalletBalance:
    return WalletBalance(
        wallet=found.wallet,
        balance=found.active,
        pending=found.pending,
        held=found.held,
        negative=found.negative,
        earned=found.credited,
        spent=found.spent,
        expired=found.expired,
        returned=found.returned,
        expiring=_dated(found.expiring[:SOONEST]),
        opening=_dated(found.opening[:SOONEST]),
    )


def _dated(found: tuple[tuple[int, int], ...]) -> list[Dated]:
    return [Dated(at=from_micros(at), points=points) for at, points in found]


@router.get("/calendar", dependencies=[READERS])
async def read_calendar(request: Request, member_id: MemberId) -> CalendarBody:
    """Every date on which points expire, and on which points that wait can be spent."""
    wiring: Wiring = request.app.state.wiring
    found = await queries.balances(wiring.ledger, wiring.rules, member_id, wiring.clock())
    return CalendarBody(
        member_id=member_id,
        wallets=[
            WalletCalendar(
                wallet=each.wallet, expiring=_dated(each.expiring), opening=_dated(each.opening)
            )
            for each in found.buckets
        ],
    )


@router.get("/statement", dependencies=[READERS])
async def read_statement(
    request: Request, member_id: MemberId, limit: Limit = 50, cursor: Cursor = None
) -> StatementBody:
    """The account's entries, newest first, each with the balances after it."""
    wiring: Wiring = request.app.state.wiring
    before = decode_cursor(cursor, int) if cursor else None
    lines, rest = await queries.statement(wiring.entries, member_id, limit, before)
    return StatementBody(
        member_id=member_id,
        items=[statement_entry(line) for line in lines],
        next=encode_cursor(rest) if rest is not None else None,
    )


def statement_entry(line: queries.StatementLine) -> StatementEntry:
    """A line of the statement, as it travels."""
    entry = line.entry
    changes: dict[str, int] = {}
    for posting in entry.postings:
        if posting.account.startswith("member/"):
            changes[posting.wallet] = changes.get(posting.wallet, 0) + posting.amount
    return StatementEntry(
        entry_id=entry.entry_id,
        kind=entry.kind,
        activity_id=entry.activity_id,
        reverses=entry.reverses,
        campaigns=list(dict.fromkeys(grant.campaign_id for grant in entry.grants)),
        occurred_at=from_micros(line.occurred_at),
        posted_at=from_micros(line.posted_at),
        changes=[
            WalletChange(wallet=wallet, change=change, balance=entry.balances[wallet])
            for wallet, change in changes.items()
        ],
    )


def _micros(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise ServiceError(
            "invalid",
            "time_zone_missing",
            "A time needs its zone, e.g. 2026-03-01T12:00:00Z",
            field="as_of",
        )
    return to_micros(moment)
