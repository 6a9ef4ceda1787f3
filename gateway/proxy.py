"""Passing a request on to a service and its answer back, byte by byte.

This is the hot path: a plain ASGI function over aiohttp's client, several times faster than httpx
here. Bodies stream both ways. Nothing is retried: a client that repeats a request with the same
key gets the same result, and only the client knows whether it still wants it.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import aiohttp
import msgspec
import structlog
from prometheus_client import Counter
from starlette.types import Message, Receive, Scope, Send
from yarl import URL

from gateway.deadlines import Deadlines
from gateway.limits import InFlight
from kit.errors import ServiceError
from kit.http.body_limit import declared_length, too_large
from kit.telemetry import current_traceparent, request_id

CONNECT_SECONDS = 1.0
WHOLE_ANSWER_BYTES = 64 * 1024
# Hop-by-hop (RFC 9110, 7.6.1), what the client library writes itself, and what only the gateway
# may say. Mooring has no cookies, so none are passed on.
_NOT_PASSED_ON = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer "
    b"transfer-encoding upgrade host content-length expect cookie forwarded x-forwarded-for "
    b"x-forwarded-host x-forwarded-proto x-real-ip x-request-id traceparent".split()
)
_NOT_PASSED_BACK = frozenset(
    b"connection keep-alive proxy-authenticate proxy-connection te trailer transfer-encoding "
    b"upgrade server date set-cookie x-request-id".split()
)
_SKIP_AUTO = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
_FAILURES = Counter(
    "mooring_gateway_upstream_failures_total",
    "Requests a service did not answer, by reason.",
    ("upstream", "reason"),
)
_log = structlog.get_logger(__name__)


class Upstream:
    """One service: its address, and how much may be under way to it."""

    def __init__(self, name: str, url: str, most_in_flight: int) -> None:
        self.name = name
        self.url = url
        self.in_flight = InFlight(name, most_in_flight)

    def failed(self, error: BaseException) -> ServiceError:
        """What to tell the caller when the service did not answer, counted and logged."""
        slow = isinstance(error, TimeoutError) and not isinstance(
            error, aiohttp.ConnectionTimeoutError
        )
        reason = "timeout" if slow else "unreachable"
        _FAILURES.labels(self.name, reason).inc()
        _log.warning("upstream_failed", upstream=self.name, reason=reason, error=repr(error))
        if slow:
            return ServiceError(
                "timeout",
                "upstream_timeout",
                f"{self.name} did not answer in time.",
                part=self.name,
            )
        return ServiceError(
            "unavailable", "upstream_down", f"{self.name} cannot be reached.", part=self.name
        )


def open_session() -> aiohttp.ClientSession:
    """The client that all requests to services share; it keeps connections, never cookies.

    There is no limit on connections here, because ``InFlight`` bounds the requests.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30.0),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=_SKIP_AUTO,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        trust_env=False,
    )


class Body:
    """A request's body on its way through, counted; sent whole when it came whole."""

    def __init__(self, receive: Receive, most_bytes: int, *, expected: bool) -> None:
        self._receive = receive
        self._most = most_bytes
        self._seen = 0
        self.refused: ServiceError | None = None
        self.gone = False
        self.complete = not expected

    async def data(self) -> bytes | AsyncIterator[bytes] | None:
        """What to give the client library."""
        if self.complete:
            return None
        first = self._take(await self._receive())
        if self.refused is not None:
            raise self.refused
        return (first or None) if self.complete or self.gone else self._stream(first)

    async def _stream(self, first: bytes) -> AsyncIterator[bytes]:
        yield first
        while not self.complete:
            chunk = self._take(await self._receive())
            if self.gone or self.refused is not None:
                raise aiohttp.ClientPayloadError("the body ended early")
            yield chunk

    def _take(self, message: Message) -> bytes:
        if message["type"] == "http.disconnect":
            self.gone = True
            return b""
        chunk: bytes = message.get("body", b"")
        self._seen += len(chunk)
        self.complete = not message.get("more_body", False)
        if self._seen > self._most:
            self.refused = too_large(self._most)
        return chunk


class Proxy:
    """Forwards requests over one shared session."""

    def __init__(self, session: aiohttp.ClientSession, deadlines: Deadlines) -> None:
        self._session = session
        self._deadlines = deadlines

    async def forward(
        self,
        upstream: Upstream,
        path: str,
        most_body_bytes: int,
        seconds: float,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Pass one request on; raises ServiceError while nothing has been answered yet."""
        body = Body(receive, most_body_bytes, expected=scope["method"] not in ("GET", "HEAD"))
        begun = False
        try:
            with self._deadlines.within(seconds):
                data = await body.data()
                if body.gone:
                    return
                async with self._session.request(
                    scope["method"],
                    target(upstream.url, path, scope["query_string"]),
                    headers=_request_headers(scope, streamed=data),
                    data=data,
                    allow_redirects=False,
                ) as answer:
                    await _begin(answer, send)
                    begun = True
                    await _pass_back(answer, send)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if body.gone:
                return
            if begun:
                _broken_off(upstream, error)
                return
            raise _reason(upstream, body, error) from error


def target(url: str, path: str, query: bytes) -> URL:
    """The address of a path that is already canonical."""
    return URL(f"{url}{path}?{query.decode('latin-1')}" if query else url + path, encoded=True)


async def read_document(answer: aiohttp.ClientResponse, most_bytes: int) -> dict[str, Any] | None:
    """The JSON object in an answer; None when it is anything else, or larger than allowed."""
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > most_bytes:
            return None
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _reason(upstream: Upstream, body: Body, error: BaseException) -> ServiceError:
    if body.refused is not None:
        return body.refused
    if isinstance(error, TimeoutError) and not body.complete:
        return ServiceError("timeout", "body_too_slow", "The body did not arrive in time.")
    return upstream.failed(error)


def _broken_off(upstream: Upstream, error: BaseException) -> None:
    """The answer had begun: all that is left is to close the connection in the middle of it.

    Returning without the last message makes the server do so.
    """
    upstream.failed(error)


async def _begin(answer: aiohttp.ClientResponse, send: Send) -> None:
    dropped = _NOT_PASSED_BACK
    named = answer.headers.get("Connection")
    if named is not None:
        dropped = dropped | _named_by_connection([named.encode("latin-1")])
    headers = [
        (lowered, value)
        for name, value in answer.raw_headers
        if (lowered := name.lower()) not in dropped
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})


async def _pass_back(answer: aiohttp.ClientResponse, send: Send) -> None:
    length = answer.content_length
    if length is not None and length <= WHOLE_ANSWER_BYTES:
        await send({"type": "http.response.body", "body": await answer.read()})
        return
    async for chunk in answer.content.iter_any():
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _request_headers(scope: Scope, *, streamed: object) -> list[tuple[str, str]]:
    incoming: list[tuple[bytes, bytes]] = scope["headers"]
    dropped = _NOT_PASSED_ON
    named = [value for name, value in incoming if name == b"connection"]
    if named and named != [b"keep-alive"]:
        dropped = dropped | _named_by_connection(named)
    headers = [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in incoming
        if name not in dropped
    ]
    headers += _added(scope)
    if isinstance(streamed, AsyncIterator) and declared_length(scope):
        headers.append(("content-length", str(declared_length(scope))))
    return headers


def _added(scope: Scope) -> Iterable[tuple[str, str]]:
    client = scope.get("client")
    known: Mapping[str, str | None] = {
        "x-request-id": request_id.get(),
        "traceparent": current_traceparent(),
        "x-forwarded-for": client[0] if client else None,
    }
    return [(name, value) for name, value in known.items() if value is not None]


def _named_by_connection(values: Iterable[bytes]) -> frozenset[bytes]:
    # A client must not be able to have its Authorization or its trace taken away by naming it.
    named = {word.strip().lower() for value in values for word in value.split(b",")}
    return frozenset(named - {b"authorization", b"content-type", b"idempotency-key"})
