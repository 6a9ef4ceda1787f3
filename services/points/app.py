"""The API process of the points service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from kit.auth import token_verifier
from kit.clock import Clock, system_clock
from kit.http.app import create_app as create_kit_app
from kit.http.health import Check
from services.points import (
    endpoints,
    endpoints_adjustments,
    endpoints_holds,
    endpoints_pools,
    endpoints_transfers,
)
from services.points.reports import endpoints as report_endpoints
from services.points.rewards import endpoints as reward_endpoints
from services.points.rewards import endpoints_pool_redemptions, endpoints_redemptions
from services.points.settings import ApiSettings
from services.points.vouchers import endpoints as voucher_endpoints
from services.points.wiring import Wiring, wire

TITLE = "points"
DESCRIPTION = "Everything of value: a member's wallets, in double entry."
PARTS = (
    endpoints,
    endpoints_redemptions,
    endpoints_holds,
    endpoints_transfers,
    endpoints_pools,
    endpoints_pool_redemptions,
    endpoints_adjustments,
    reward_endpoints,
    voucher_endpoints,
    report_endpoints,
)


def create_app(settings: ApiSettings, clock: Clock = system_clock) -> FastAPI:
    """The app; it opens its store when it starts and closes it when it ends."""
    wiring = wire(settings.store, clock, settings.programme)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await wiring.prepare()
        try:
            yield
        finally:
            await wiring.close()

    app = create_kit_app(
        TITLE,
        "1",
        [part.router for part in PARTS],
        lifespan=lifespan,
        checks=[Check("store", lambda: _store_answers(wiring))],
        verifier=token_verifier(settings.auth),
        description=DESCRIPTION,
    )
    app.state.wiring = wiring
    for part in ("rewards", "redemptions", "vouchers", "reports"):
        setattr(app.state, part, getattr(wiring, part))
    return app


async def _store_answers(wiring: Wiring) -> None:
    await wiring.entries.head("account:readiness")
