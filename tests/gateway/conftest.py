"""A gateway in front of three small real services, all on loopback sockets of this process."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import msgspec
import pytest
import uvicorn
from fastapi import FastAPI

from gateway.app import create_app
from gateway.door import Parts
from gateway.in_process import Neighbour
from gateway.over_http import OverHttp, open_session
from gateway.settings import GatewaySettings, Limits
from kit.auth import LocalIssuer
from kit.settings import AuthSettings, HttpSettings, TelemetrySettings

ISSUER = "http://127.0.0.1:8080"
Answer = Callable[["Seen"], Awaitable[tuple[int, dict[str, str], bytes]]]


@dataclass
class Seen:
    """A request as a service got it."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


@dataclass
class Service:
    """A plain ASGI service that records what it is asked and answers as told, or is any app."""

    name: str
    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    answer: Answer | None = None
    app: Any = None
    serving: bool = True
    tasks: "set[asyncio.Task[None]]" = field(default_factory=set)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.app is not None:
            await self.app(scope, receive, send)
            return
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        seen = Seen(
            scope["method"],
            scope["raw_path"].decode(),
            scope["query_string"].decode(),
            {name.decode(): value.decode() for name, value in scope["headers"]},
            bytes(body),
        )
        self.seen.append(seen)
        status, headers, content = await (self.answer or self._echo)(seen)
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": content})

    async def _echo(self, seen: Seen) -> tuple[int, dict[str, str], bytes]:
        content = {"service": self.name, "path": seen.path, "bytes": len(seen.body)}
        return 200, {"content-type": "application/json"}, msgspec.json.encode(content)


def answering(status: int, content: Any, headers: dict[str, str] | None = None) -> Answer:
    async def answer(_: Seen) -> tuple[int, dict[str, str], bytes]:
        known = {"content-type": "application/json", **(headers or {})}
        return status, known, msgspec.json.encode(content)

    return answer


def hanging(until: asyncio.Event) -> Answer:
    async def answer(_: Seen) -> tuple[int, dict[str, str], bytes]:
        await until.wait()
        return 200, {}, b"{}"

    return answer


@asynccontextmanager
async def listening(app: Any, lifespan: str = "off") -> AsyncIterator[str]:
    """Serve an ASGI app on a free port; yields its address."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="error", lifespan=lifespan, access_log=False, ws="none")  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server._serve([sock]))
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        await task


@dataclass
class House:
    """The gateway under test, its services, and a client in front."""

    app: FastAPI
    client: httpx.AsyncClient
    issuer: LocalIssuer
    services: dict[str, Service]
    session: aiohttp.ClientSession
    tokens: dict[tuple[str, str | None], str] = field(default_factory=dict)

    def headers(self, role: str = "member", member_id: str | None = "M1") -> dict[str, str]:
        own = member_id if role == "member" else None
        if (role, own) not in self.tokens:
            self.tokens[role, own] = self.issuer.token(role, own)
        return {"authorization": f"Bearer {self.tokens[role, own]}"}

    @property
    def parts(self) -> Parts:
        """What the door works with."""
        parts: Parts = self.app.state.parts
        return parts

    def point(self, service: str, url: str) -> None:
        """Let the gateway look for a service at another address."""
        self.parts.upstreams[service].transport = OverHttp(self.session, url)

    def take_down(self, service: str) -> None:
        """Let a service be gone, whichever way the gateway goes to it."""
        if isinstance(self.parts.upstreams[service].transport, OverHttp):
            self.point(service, "http://127.0.0.1:9")
        self.services[service].serving = False

    def asked(self) -> list[tuple[str, str]]:
        return [
            (service.name, one.path) for service in self.services.values() for one in service.seen
        ]

    async def problem(self, status: int, method: str, path: str, **options: Any) -> dict[str, Any]:
        """Send a request that must end in a problem of this status; the problem."""
        options.setdefault("headers", self.headers())
        answer = await self.client.request(method, path, **options)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        document: dict[str, Any] = answer.json()
        assert document["status"] == status
        assert document["type"] == f"/problems/{document['code']}"
        return document


@pytest.fixture
def limits() -> Limits:
    """The limits of a test's gateway; a test class may override them."""
    return Limits(member_rate=1000, member_burst=10_000, home_part_ms=5_000)


WAYS = ("over_http", "in_process")


@pytest.fixture
def way() -> str:
    """How the gateway goes to its services; a test of forwarding is run with each of ``WAYS``."""
    return "over_http"


@pytest.fixture
async def house(tmp_path: Path, limits: Limits, way: str) -> AsyncIterator[House]:
    services = {name: Service(name) for name in ("members", "points", "events")}
    auth = AuthSettings(ISSUER, "mooring", None, tmp_path / "issuer.jwk")
    async with AsyncExitStack() as stack:
        for service in services.values():
            service.url = await stack.enter_async_context(listening(service))
        settings = GatewaySettings(
            http=HttpSettings("127.0.0.1", 0, 0, "info"),
            auth=auth,
            telemetry=TelemetrySettings(None),
            limits=limits,
            upstreams={name: service.url for name, service in services.items()},
        )
        app = create_app(settings, _neighbours(services) if way == "in_process" else {})
        await stack.enter_async_context(app.router.lifespan_context(app))
        transport = httpx.ASGITransport(app)
        client = httpx.AsyncClient(transport=transport, base_url="http://gateway")
        await stack.enter_async_context(client)
        assert auth.dev_issuer_key is not None
        issuer = LocalIssuer.open(auth.dev_issuer_key, ISSUER, "mooring")
        session = await stack.enter_async_context(open_session())
        yield House(app, client, issuer, services, session)


def _neighbours(services: dict[str, Service]) -> dict[str, Neighbour]:
    return {
        name: Neighbour(service, lambda service=service: service.serving, service.tasks)
        for name, service in services.items()
    }
