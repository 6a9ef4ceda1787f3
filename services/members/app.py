"""The API process of the members service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from kit.auth import token_verifier
from kit.clock import Clock, system_clock
from kit.http.app import create_app as create_kit_app
from kit.http.health import Check
from services.members import endpoints, endpoints_standing
from services.members.settings import ApiSettings
from services.members.wiring import Wiring, wire

TITLE = "members"
DESCRIPTION = "The relationship: who the members are, and the step each of them stands on."
BATCH_BYTES = 8 * 1024 * 1024


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
        [endpoints.router, endpoints_standing.router],
        lifespan=lifespan,
        checks=[Check("store", lambda: _store_answers(wiring))],
        verifier=token_verifier(settings.auth),
        body_limits={"/v1/members:batch": BATCH_BYTES},
        description=DESCRIPTION,
    )
    app.state.wiring = wiring
    return app


async def _store_answers(wiring: Wiring) -> None:
    await wiring.files.head("member:readiness")
