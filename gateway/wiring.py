"""The one place of the gateway that names concrete parts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from gateway.deadlines import Deadlines
from gateway.door import Parts
from gateway.home import HomeComposer
from gateway.openapi import MergedApi
from gateway.proxy import Proxy, open_session
from gateway.settings import GatewaySettings
from kit.auth import token_verifier
from kit.http.app import Lifespan
from kit.telemetry import configure_tracing, stop_tracing


def parts(settings: GatewaySettings) -> Parts:
    """What the door works with."""
    return Parts(token_verifier(settings.auth), settings.limits, settings.upstreams)


def lifespan(settings: GatewaySettings, parts: Parts) -> Lifespan:
    """Open the shared client when the loop runs, close it at the end."""

    @asynccontextmanager
    async def run(app: FastAPI) -> AsyncIterator[None]:
        tracing = configure_tracing("gateway", settings.telemetry)
        seconds = settings.limits.home_part_ms / 1000
        async with open_session() as session:
            deadlines = Deadlines()
            parts.proxy = Proxy(session, deadlines)
            app.state.home = HomeComposer(session, parts.upstreams, deadlines, seconds)
            app.state.merged_api = MergedApi(session, parts.upstreams, app.state.own_api)
            try:
                yield
            finally:
                stop_tracing(tracing)

    return run
