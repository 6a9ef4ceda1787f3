"""The one place of the gateway that names concrete parts."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

import aiohttp
from fastapi import FastAPI

from gateway.deadlines import Deadlines
from gateway.door import Parts
from gateway.home import HomeComposer
from gateway.in_process import InProcess, Neighbour
from gateway.openapi import MergedApi
from gateway.over_http import OverHttp, open_session
from gateway.proxy import Proxy
from gateway.settings import GatewaySettings
from gateway.upstream import Transport, Upstream
from kit.auth import token_verifier
from kit.errors import ServiceError
from kit.http.app import Lifespan
from kit.http.health import Check
from kit.telemetry import configure_tracing, stop_tracing

Neighbours = Mapping[str, Neighbour]


def parts(settings: GatewaySettings) -> Parts:
    """What the door works with."""
    return Parts(token_verifier(settings.auth), settings.limits)


def lifespan(settings: GatewaySettings, parts: Parts, neighbours: Neighbours) -> Lifespan:
    """Open the ways to the services when the loop runs, close them at the end."""

    @asynccontextmanager
    async def run(app: FastAPI) -> AsyncIterator[None]:
        tracing = configure_tracing("gateway", settings.telemetry)
        seconds = settings.limits.home_part_ms / 1000
        async with open_session() as session:
            deadlines = Deadlines()
            parts.upstreams = {
                name: Upstream(
                    name, _transport(name, url, session, neighbours), settings.limits.in_flight
                )
                for name, url in settings.upstreams.items()
            }
            parts.proxy = Proxy(deadlines)
            app.state.home = HomeComposer(parts.upstreams, deadlines, seconds)
            app.state.merged_api = MergedApi(parts.upstreams, app.state.own_api)
            try:
                yield
            finally:
                stop_tracing(tracing)

    return run


def _transport(
    name: str, url: str, session: aiohttp.ClientSession, neighbours: Neighbours
) -> Transport:
    neighbour = neighbours.get(name)
    return InProcess(neighbour, url) if neighbour is not None else OverHttp(session, url)


def checks(neighbours: Neighbours) -> Iterator[Check]:
    """Readiness waits for neighbours, which start at the same time; never for other processes."""
    for name, neighbour in neighbours.items():
        yield Check(name, partial(_serves, neighbour))


async def _serves(neighbour: Neighbour) -> None:
    if not neighbour.serves():
        raise ServiceError("unavailable", "not_started", "It has not started yet.")
