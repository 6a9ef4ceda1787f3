"""Processes that share an event loop: started together, stopped together, none cut off."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from mooring.environment import Place
from mooring.preparation import prepare
from mooring.processes import APIS, HttpProcess, build_together, run_all
from tests.journeys.running import free_ports, until

WEB = ("gateway", *APIS)


@dataclass
class Web:
    """What ``mooring up`` runs as its web process, and a client in front of it."""

    processes: dict[str, HttpProcess]
    client: httpx.AsyncClient
    stop: asyncio.Event
    running: "asyncio.Task[None]"

    async def ready(self) -> bool:
        try:
            return (await self.client.get("/health/ready")).is_success
        except httpx.TransportError:
            return False


@pytest.fixture
def place(tmp_path: Path) -> Place:
    port, first_api_port, *_ = free_ports()
    return Place(tmp_path, port=port, first_api_port=first_api_port)


@asynccontextmanager
async def started(place: Place, processes: dict[str, HttpProcess]) -> AsyncIterator[Web]:
    stop = asyncio.Event()
    running = asyncio.create_task(run_all(list(processes.values()), stop))
    headers = {"authorization": f"Bearer {place.issuer().token('agent')}"}
    async with httpx.AsyncClient(base_url=place.address, headers=headers, timeout=20) as client:
        try:
            yield Web(processes, client, stop, running)
        finally:
            stop.set()
            await running


async def built(place: Place) -> dict[str, HttpProcess]:
    place.issuer()
    await prepare(place.store(), place.bus(), place.programme)
    made = build_together(WEB, lambda name: {**place.values_of(name), "MOORING_DRAIN_SECONDS": "0"})
    return {name: one for name, one in zip(WEB, made, strict=True) if isinstance(one, HttpProcess)}


async def test_the_gateway_calls_the_apis_beside_it_without_a_connection(place: Place):
    async with started(place, await built(place)) as web:
        await until(web.ready)
        paths = ("/v1/members/M1/points", "/v1/members/M1/activities", "/openapi.json")
        answers = [await web.client.get(path) for path in paths]
        assert [answer.status_code for answer in answers] == [200, 200, 200]
        assert "x-mooring-missing" not in answers[2].json()
        asked = {name: web.processes[name].server.server_state.total_requests for name in APIS}
        assert asked == dict.fromkeys(APIS, 0)


async def test_the_apis_still_listen_themselves(place: Place):
    async with started(place, await built(place)) as web:
        await until(web.ready)
        for name in APIS:
            url = f"http://127.0.0.1:{web.processes[name].port}/health/ready"
            assert (await web.client.get(url)).status_code == 200


async def test_the_gateway_is_not_ready_before_the_apis_beside_it(place: Place):
    processes = await built(place)
    late = {name: processes[name] for name in WEB if name != "points-api"}
    async with started(place, late) as web:
        await until(lambda: all(process.serves() for process in late.values()))
        answer = await web.client.get("/health/ready")
        assert (answer.status_code, list(answer.json()["failed"])) == (503, ["points"])
        answer = await web.client.get("/v1/members/M1/points")
        assert (answer.status_code, answer.json()["code"]) == (503, "upstream_down")


async def test_an_api_is_stopped_after_what_the_gateway_asked_of_it(place: Place):
    processes = await built(place)
    points, reached, release = processes["points-api"], asyncio.Event(), asyncio.Event()

    async def slow() -> str:
        reached.set()
        await release.wait()
        await points.app.state.wiring.entries.head("account:M1")
        return "done"

    points.app.add_api_route("/v1/rewards/slow/slow", slow)
    async with started(place, processes) as web:
        await until(web.ready)
        asking = asyncio.create_task(web.client.get("/v1/rewards/slow/slow"))
        await reached.wait()
        web.stop.set()
        await until(lambda: not points.serves())
        await asyncio.sleep(0.3)  # three turns of the server's own clock
        release.set()
        assert (await asking).json() == "done"
        await web.running
