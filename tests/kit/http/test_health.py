import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from kit.errors import Unavailable
from kit.http import health
from kit.http.app import create_app
from kit.http.health import Check


class Store:
    up = True

    async def ping(self) -> None:
        if not self.up:
            raise Unavailable("The store", "refused")


async def ask(app: FastAPI, path: str) -> tuple[int, Any]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        answer = await client.get(path)
        return answer.status_code, answer.json()


async def test_a_process_is_alive_before_it_has_started_but_not_ready():
    app = create_app("x", "1", [])
    assert await ask(app, "/health/live") == (200, {"status": "ok"})
    for path in ("/health/ready", "/health/startup"):
        status, body = await ask(app, path)
        assert (status, body["failed"]) == (503, {"process": "has not started yet"})


async def test_a_started_process_is_ready_while_what_it_needs_is_there():
    store = Store()
    app = create_app("x", "1", [], checks=[Check("store", store.ping)])
    async with app.router.lifespan_context(app):
        assert await ask(app, "/health/ready") == (200, {"status": "ok"})
        store.up = False
        expected = {"status": "failing", "failed": {"store": "The store cannot be reached"}}
        assert await ask(app, "/health/ready") == (503, expected)
        assert await ask(app, "/health/live") == (200, {"status": "ok"})
        assert await ask(app, "/health/startup") == (200, {"status": "ok"})


async def test_a_draining_process_is_alive_and_not_ready():
    app = create_app("x", "1", [])
    async with app.router.lifespan_context(app):
        app.state.health.draining = True
        status, body = await ask(app, "/health/ready")
        assert (status, body["failed"]) == (503, {"process": "is draining"})
        assert (await ask(app, "/health/live"))[0] == 200


async def test_a_worker_whose_loop_stands_still_is_not_alive():
    async def stuck() -> None:
        raise Unavailable("The poll loop", "no turn for 60 s")

    app = create_app("x", "1", [], live_checks=[Check("loop", stuck)])
    status, body = await ask(app, "/health/live")
    assert (status, list(body["failed"])) == (503, ["loop"])


async def test_a_check_that_hangs_counts_as_failed():
    async def hang() -> None:
        await asyncio.Event().wait()

    started = asyncio.get_running_loop().time()
    failed = await health.failures([Check("store", hang), Check("bus", hang)])
    assert failed == {"store": "no answer within 2 s", "bus": "no answer within 2 s"}
    assert asyncio.get_running_loop().time() - started < 3.9


@pytest.mark.parametrize("path", ["/v1/errors/refused", "/nowhere/M1"])
async def test_requests_are_counted_by_route_and_never_by_path(
    app: FastAPI, client: httpx.AsyncClient, path: str
):
    await client.get(path)
    metrics = (await client.get("/metrics")).text
    route = "/v1/errors/{name}" if path.startswith("/v1") else "unmatched"
    status = 409 if path.startswith("/v1") else 404
    labels = f'method="GET",route="{route}",service="things",status="{status}"'
    assert f"mooring_http_requests_total{{{labels}}}" in metrics
    assert path not in metrics
