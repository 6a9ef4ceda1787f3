"""What only a service on another connection can do: be elsewhere, speak nonsense, hang up."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.gateway.conftest import House, listening

Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def speaking(speak: Speak) -> AsyncIterator[str]:
    """A server that says whatever it likes; yields its address."""
    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def test_the_services_address_may_have_a_path_of_its_own(house: House):
    house.point("points", house.services["points"].url + "/internal")
    answer = await house.client.get("/v1/me/points", headers=house.headers())
    assert answer.json()["path"] == "/internal/v1/members/M1/points"


async def test_a_service_that_breaks_off_before_answering_is_down(house: House):
    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with speaking(broken) as url:
        house.point("points", url)
        assert (await house.problem(503, "GET", "/v1/me/points"))["code"] == "upstream_down"


async def test_a_service_that_speaks_nonsense_is_down(house: House):
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"hello\r\n\r\n")
        writer.close()

    async with speaking(nonsense) as url:
        house.point("points", url)
        assert (await house.problem(503, "GET", "/v1/me/points"))["code"] == "upstream_down"


async def test_a_service_may_answer_before_it_has_read_the_body(house: House):
    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 422 No\r\ncontent-length: 2\r\n\r\n{}")
        await reader.read()
        writer.close()

    async def chunks() -> Any:
        for _ in range(3):
            yield b"x" * 1000
            await asyncio.sleep(0.01)

    async with speaking(hasty) as url:
        house.point("events", url)
        answer = await house.client.post(
            "/v1/activities", headers=house.headers(), content=chunks()
        )
        assert (answer.status_code, answer.json()) == (422, {})


async def test_an_answer_that_breaks_off_closes_the_connection(house: House):
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n" + b"x" * 70_000)
        writer.close()

    async with speaking(half) as service, listening(house.app) as url:
        house.point("points", service)
        async with httpx.AsyncClient(base_url=url) as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get("/v1/me/points", headers=house.headers())
            answer = await client.get("/v1/me/activities", headers=house.headers())
            assert answer.status_code == 200
