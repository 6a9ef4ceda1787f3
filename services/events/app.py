"""The API process of the events service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from kit.auth import token_verifier
from kit.clock import Clock, system_clock
from kit.http.app import create_app as create_kit_app
from kit.http.health import Check
from services.events.endpoints import router
from services.events.settings import ApiSettings
from services.events.wiring import Wiring, wire

TITLE = "events"
DESCRIPTION = "What members do, and what it earned them."
BATCH_BYTES = 8 * 1024 * 1024


def create_app(settings: ApiSettings, clock: Clock = system_clock) -> FastAPI:
    """The app; it opens its store when it starts and closes it when it ends."""
    wiring = wire(settings.store, clock)

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
        [router],
        lifespan=lifespan,
        checks=[Check("store", lambda: _store_answers(wiring))],
        verifier=token_verifier(settings.auth),
        body_limits={"/v1/activities:batch": BATCH_BYTES},
        description=DESCRIPTION,
    )
    app.state.wiring = wiring
    return app


async def _store_answers(wiring: Wiring) -> None:
    await wiring.activities.head("activity:readiness")
