"""However the gateway goes to a service, the service and the caller cannot tell the difference."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from gateway.settings import Limits
from kit.http.app import create_app
from kit.http.json_body import Router
from tests.gateway.conftest import WAYS, House, Seen, listening

pytestmark = pytest.mark.parametrize("way", WAYS)
START = {"type": "http.response.start", "status": 200, "headers": []}


class Asked:
    """An app that notes everything it is told, and answers 204."""

    def __init__(self) -> None:
        self.scopes: list[dict[str, Any]] = []
        self.messages: list[dict[str, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        more = True
        while more:
            self.messages.append(await receive())
            more = self.messages[-1].get("more_body", False)
        await send({**START, "status": 204})
        await send({"type": "http.response.body"})

    def framing(self) -> dict[bytes, bytes]:
        (scope,) = self.scopes
        kept = (b"content-length", b"transfer-encoding")
        return {name: value for name, value in scope["headers"] if name in kept}

    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.messages)


@pytest.fixture
def asked(house: House) -> Asked:
    asked = Asked()
    for service in house.services.values():
        service.app = asked
    return asked


async def test_a_service_is_told_the_same(house: House, asked: Asked):
    path = "/v1/members/M%C3%A9/points/statement"
    headers = house.headers("agent") | {"x-request-id": "r-1", "x-forwarded-for": "8.8.8.8"}
    await house.client.get(f"{path}?from=a%2Fb&to=%C3%A9", headers=headers)
    (scope,) = asked.scopes
    named = dict(scope["headers"])
    address = house.services["points"].url.removeprefix("http://")
    assert {name: scope[name] for name in scope if name not in ("headers", "client", "state")} == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", int(address.partition(":")[2])),
        "scheme": "http",
        "method": "GET",
        "root_path": "",
        "path": "/v1/members/Mé/points/statement",
        "raw_path": path.encode(),
        "query_string": b"from=a%2Fb&to=%C3%A9",
    }
    assert (scope["client"][0], scope["state"]) == ("127.0.0.1", {})
    assert named[b"host"] == address.encode()
    assert named[b"x-request-id"] == b"r-1"
    assert named[b"x-forwarded-for"] == b"127.0.0.1"
    assert sorted(named) == [
        b"accept",
        b"accept-encoding",
        b"authorization",
        b"host",
        b"traceparent",
        b"user-agent",
        b"x-forwarded-for",
        b"x-request-id",
    ]


async def pieces() -> AsyncIterator[bytes]:
    for _ in range(3):
        yield b"12345"
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("method", "content", "length", "framing", "body"),
    [
        ("GET", None, None, {}, b""),
        ("GET", b"12345", None, {}, b""),
        ("POST", None, None, {b"content-length": b"0"}, b""),
        ("POST", b"12345", None, {b"content-length": b"5"}, b"12345"),
        ("POST", pieces, None, {b"transfer-encoding": b"chunked"}, b"12345" * 3),
        ("POST", pieces, "15", {b"content-length": b"15"}, b"12345" * 3),
    ],
)
async def test_a_body_is_framed_the_same(
    house: House,
    asked: Asked,
    method: str,
    content: Any,
    length: str | None,
    framing: dict[bytes, bytes],
    body: bytes,
):
    headers = house.headers("agent") | ({"content-length": length} if length else {})
    given = content() if callable(content) else content
    async with listening(house.app) as url, httpx.AsyncClient(base_url=url) as client:
        answer = await client.request(method, "/v1/activities", headers=headers, content=given)
    assert answer.status_code == 204
    assert (asked.framing(), asked.body()) == (framing, body)


async def test_an_app_that_fails_is_broken_and_the_next_request_is_served(house: House):
    async def failing(_: Seen) -> tuple[int, dict[str, str], bytes]:
        raise RuntimeError("a mistake")

    house.services["points"].answer = failing
    answer = await house.client.get("/v1/me/points", headers=house.headers())
    assert answer.status_code == 500
    assert "mistake" not in answer.text
    house.services["points"].answer = None
    answer = await house.client.get("/v1/me/points", headers=house.headers())
    assert answer.status_code == 200


async def test_a_service_answers_its_own_mistakes_with_its_own_problem(house: House):
    router = Router()

    @router.get("/v1/members/{member_id}/points")
    async def mistaken(member_id: str) -> None:
        raise RuntimeError(f"a mistake about {member_id}")

    house.services["points"].app = create_app("things", "1", [router])
    found = await house.problem(500, "GET", "/v1/me/points")
    assert (found["code"], found["instance"]) == ("internal", "/v1/members/M1/points")


async def test_an_answer_reaches_the_caller_piece_by_piece(house: House):
    go_on = asyncio.Event()

    async def slowly(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await go_on.wait()
        await send({"type": "http.response.body", "body": b"second"})

    house.services["points"].app = slowly
    async with (
        listening(house.app) as url,
        httpx.AsyncClient(base_url=url, headers=house.headers()) as client,
        client.stream("GET", "/v1/me/points") as answer,
    ):
        arriving = answer.aiter_raw()
        assert await anext(arriving) == b"first"
        go_on.set()
        assert await anext(arriving) == b"second"


@pytest.mark.parametrize("declared", [True, False])
async def test_an_answer_that_is_never_finished_closes_the_connection(house: House, declared: bool):
    async def half(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"100000")] if declared else []
        await send({**START, "headers": headers})
        await send({"type": "http.response.body", "body": b"x" * 70_000, "more_body": True})

    house.services["points"].app = half
    async with listening(house.app) as url, httpx.AsyncClient(base_url=url) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/v1/me/points", headers=house.headers())
        answer = await client.get("/v1/me/activities", headers=house.headers())
        assert answer.status_code == 200


async def test_a_service_may_answer_without_the_rest_of_the_body(house: House):
    async def hasty(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({**START, "status": 422, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"{}"})

    house.services["events"].app = hasty
    answer = await house.client.post("/v1/activities", headers=house.headers(), content=pieces())
    assert (answer.status_code, answer.json()) == (422, {})


class Waiting:
    """An app that reads its request, waits until it is let go on, and says what came of it."""

    def __init__(self) -> None:
        self.reached, self.release, self.finished = asyncio.Event(), asyncio.Event(), False
        self.last: str | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            message = await receive()
            self.last, more = message["type"], message.get("more_body", False)
        self.reached.set()
        await self.release.wait()
        await send({**START, "status": 204})
        await send({"type": "http.response.body"})
        self.last = (await receive())["type"]
        self.finished = True


async def until_finished(waiting: Waiting) -> None:
    async with asyncio.timeout(2):
        while not waiting.finished:
            await asyncio.sleep(0.005)


class TestHaste:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(upstream_ms=100, home_part_ms=100)

    async def test_what_a_service_has_begun_it_finishes_when_its_time_is_over(self, house: House):
        house.services["points"].app = waiting = Waiting()
        found = await house.problem(504, "GET", "/v1/me/points")
        assert found["code"] == "upstream_timeout"
        assert house.parts.upstreams["points"].in_flight.now == 0
        waiting.release.set()
        await until_finished(waiting)
        assert waiting.last == "http.disconnect"

    async def test_a_part_of_the_home_screen_that_is_left_out_is_finished_too(self, house: House):
        house.services["points"].app = waiting = Waiting()
        answer = await house.client.get("/v1/me/home", headers=house.headers())
        assert answer.json()["unavailable"] == ["points"]
        assert waiting.reached.is_set()
        waiting.release.set()
        await until_finished(waiting)

    async def test_a_service_hears_that_nobody_waits_for_its_answer(self, house: House):
        told: list[str] = []

        async def listener(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            told.append((await receive())["type"])

        house.services["points"].app = listener
        await house.problem(504, "GET", "/v1/me/points")
        async with asyncio.timeout(2):
            while not told:
                await asyncio.sleep(0.005)
        assert told == ["http.disconnect"]

    async def test_a_service_hears_that_the_rest_of_a_body_does_not_come(self, house: House):
        house.services["events"].app = waiting = Waiting()

        async def never_ending() -> AsyncIterator[bytes]:
            yield b"12345"
            await asyncio.Event().wait()

        found = await house.problem(504, "POST", "/v1/activities", content=never_ending())
        assert found["code"] == "body_too_slow"
        async with asyncio.timeout(2):
            await waiting.reached.wait()
        assert waiting.last == "http.disconnect"


async def test_a_service_never_takes_a_body_that_is_too_large_as_whole(house: House):
    house.services["events"].app = waiting = Waiting()

    async def large() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b" " * 300_000
            await asyncio.sleep(0.001)

    found = await house.problem(413, "POST", "/v1/activities", content=large())
    assert found["code"] == "body_too_large"
    async with asyncio.timeout(2):
        await waiting.reached.wait()
    assert waiting.last == "http.disconnect"


async def test_what_a_service_has_begun_it_finishes_when_its_caller_has_gone(house: House):
    house.services["points"].app = waiting = Waiting()
    token = house.headers()["authorization"]
    async with listening(house.app) as url:
        _, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        head = f"GET /v1/me/points HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n\r\n"
        writer.write(head.encode())
        await waiting.reached.wait()
        writer.close()
        await asyncio.sleep(0.02)
        waiting.release.set()
        await until_finished(waiting)
