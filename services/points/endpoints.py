"""The HTTP API of the points service: balances and the calendar; statements come in with them."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Path, Query, Request

from kit.auth import owner_or
from kit.clock import from_micros, to_micros
from kit.errors import ServiceError
from kit.http.json_body import Router
from services.points import queries
from services.points.endpoints_statements import router as statements
from services.points.presenting import SOONEST, dated
from services.points.schemas import (
    BalancesBody,
    CalendarBody,
    VestingSchedule,
    WalletBalance,
    WalletCalendar,
)
from services.points.wiring import Wiring

router = Router(prefix="/v1/members/{member_id}/points", tags=["points"])
router.include_router(statements)

MemberId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", examples=["M1"])]
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
        expiring=dated(found.expiring[:SOONEST]),
        opening=dated(found.opening[:SOONEST]),
    )


@router.get("/calendar", dependencies=[READERS])
async def read_calendar(request: Request, member_id: MemberId) -> CalendarBody:
    """Every date on which points expire, open or vest."""
    wiring: Wiring = request.app.state.wiring
    found = await queries.balances(wiring.ledger, wiring.rules, member_id, wiring.clock())
    return CalendarBody(
        member_id=member_id,
        wallets=[
            WalletCalendar(
                wallet=each.wallet,
                expiring=dated(each.expiring),
                opening=dated(each.opening),
                vesting=[
                    VestingSchedule(rule=rule, unlocks=dated(unlocks))
                    for rule, unlocks in each.vesting
                ],
            )
            for each in found.buckets
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
