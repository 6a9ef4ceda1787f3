"""The way to a service in the same process: its ASGI app is called, and no byte is sent.

The service must not notice. It gets the scope its own server would make; it runs in a task of its
own, so that a caller who goes away or a deadline that passes never stops it in the middle; and its
server counts that task among its own, waits for it when it ends, and takes no new ones then.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import structlog
from starlette.types import ASGIApp, Message, Scope

from gateway.upstream import Answer, Body, Found, Headers, UnreachableError, json_object
from kit.errors import ServiceError
from kit.http.body_limit import declared_length

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A service beside the gateway: its app, whether its server serves, and that one's tasks."""

    app: ASGIApp
    serves: Callable[[], bool]
    tasks: "set[asyncio.Task[None]]"


class InProcess:
    """The transport to a neighbour, which listens at ``url`` as well."""

    def __init__(self, neighbour: Neighbour, url: str) -> None:
        address = urlsplit(url)
        self._neighbour = neighbour
        self._host = (b"host", address.netloc.encode())
        self._server = (address.hostname, address.port)

    async def pass_on(
        self, path: str, scope: Scope, headers: Headers, body: Body, answer: Answer
    ) -> None:
        """Call the app; pieces of the body are read as it asks for them."""
        first = await body.first()
        if body.gone:
            return
        method, framed = scope["method"], [self._host, *headers]
        if method not in ("GET", "HEAD"):
            framed.append(_framing(scope, body, first))
        asked = self._scope(method, path, scope["query_string"], framed)
        await self._exchange(asked, _Exchange(body, first, answer))

    async def get(self, path: str, query: bytes, headers: Headers, most_bytes: int) -> Found:
        """Call the app and keep what it answers."""
        collected = _Collected(most_bytes)
        asked = self._scope("GET", path, query, [self._host, *headers])
        await self._exchange(asked, _Exchange(_no_body(), b"", collected))
        return Found(collected.status, collected.document())

    def _scope(self, method: str, path: str, query: bytes, headers: Headers) -> Scope:
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self._server,
            "client": ("127.0.0.1", 0),
            "scheme": "http",
            "method": method,
            "root_path": "",
            "path": unquote(path) if "%" in path else path,
            "raw_path": path.encode("ascii"),
            "query_string": query,
            "headers": headers,
            "state": {},
        }

    async def _exchange(self, scope: Scope, exchange: "_Exchange") -> None:
        if not self._neighbour.serves():
            raise UnreachableError("it does not serve")
        app, tasks = self._neighbour.app, self._neighbour.tasks
        running = asyncio.ensure_future(app(scope, exchange.receive, exchange.send))
        tasks.add(running)
        running.add_done_callback(tasks.discard)
        running.add_done_callback(exchange.ended)
        await exchange.answered


class _Exchange:
    """One request and its answer. ``answered`` is done when nothing more can come of it.

    Whoever waits for it and is cancelled cancels it too: then the service hears that its caller has
    gone, and what it still answers is dropped, as its own server would do.
    """

    __slots__ = ("_answer", "_begun", "_body", "_first", "answered")

    def __init__(self, body: Body, first: bytes, answer: Answer) -> None:
        self._body = body
        self._first: bytes | None = first
        self._answer = answer
        self._begun = False
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def receive(self) -> Message:
        """The next piece of the request; when there is none, wait for its end."""
        piece, self._first = self._first, None
        if piece is None and not (self._body.complete or self.answered.done()):
            piece = await self._next()
        if piece is not None:
            return {"type": "http.request", "body": piece, "more_body": not self._body.complete}
        await asyncio.wait((self.answered,))
        return {"type": "http.disconnect"}

    async def _next(self) -> bytes | None:
        reading = asyncio.ensure_future(self._body.next())
        try:
            await asyncio.wait((reading, self.answered), return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                return None
            piece = reading.result()
        finally:
            reading.cancel()
        if not self._body.ended_early:
            return piece
        self._fail(UnreachableError("the body ended early"))
        return None

    async def send(self, message: Message) -> None:
        """Pass on what the service answers, while somebody waits for it."""
        if self.answered.done():
            return
        if message["type"] == "http.response.start":
            self._begun = True
            await self._answer.begin(message["status"], message.get("headers", ()))
            return
        more = message.get("more_body", False)
        await self._answer.piece(message.get("body", b""), more=more)
        if not more and not self.answered.done():
            self.answered.set_result(None)

    def ended(self, running: "asyncio.Future[None]") -> None:
        """The service is done; what it has not answered by now does not come."""
        error = None if running.cancelled() else running.exception()
        if error is not None:
            _log.error("neighbour_failed", exc_info=error)
        if self._begun:
            self._fail(UnreachableError("it broke off its answer"))
        else:
            self._fail(ServiceError("broken", "internal", "The service did not answer."))

    def _fail(self, error: Exception) -> None:
        if not self.answered.done():
            self.answered.set_exception(error)


class _Collected:
    """An answer that the gateway keeps, up to a size."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._body = bytearray()
        self.status = 0

    async def begin(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Note the status."""
        self.status = status

    async def piece(self, data: bytes, *, more: bool) -> None:
        """Keep a piece, and nothing of an answer that is too large."""
        if len(self._body) <= self._most:
            self._body += data

    def document(self) -> dict[str, Any] | None:
        """The JSON object in it, if it is one."""
        return json_object(self._body) if len(self._body) <= self._most else None


def _framing(scope: Scope, body: Body, first: bytes) -> tuple[bytes, bytes]:
    length = len(first) if body.complete else declared_length(scope)
    if length or body.complete:
        return b"content-length", str(length).encode()
    return b"transfer-encoding", b"chunked"


def _no_body() -> Body:
    return Body(_never, 0, expected=False)


async def _never() -> Message:
    raise RuntimeError("a request without a body has nothing to receive")
