"""The way to a service over HTTP: aiohttp's client, several times faster than httpx here."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import aiohttp
from starlette.types import Scope
from yarl import URL

from gateway.upstream import Answer, Body, Found, Headers, UnreachableError, json_object
from kit.http.body_limit import declared_length

CONNECT_SECONDS = 1.0
WHOLE_ANSWER_BYTES = 64 * 1024
_SKIP_AUTO = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


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


class OverHttp:
    """A service at an address, which may have a path of its own."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def pass_on(
        self, path: str, scope: Scope, headers: Headers, body: Body, answer: Answer
    ) -> None:
        """Ask over a connection of the pool; both bodies stream."""
        first = await body.first()
        if body.gone:
            return
        named = _text(headers)
        data: bytes | AsyncIterator[bytes] | None = first or None
        if not body.complete:
            data = _rest(body, first)
            if declared_length(scope):
                named.append(("content-length", str(declared_length(scope))))
        with _unreachable():
            async with self._session.request(
                scope["method"],
                _target(self._url, path, scope["query_string"]),
                headers=named,
                data=data,
                allow_redirects=False,
            ) as given:
                await _pass_back(given, answer)

    async def get(self, path: str, query: bytes, headers: Headers, most_bytes: int) -> Found:
        """Get a document over a connection of the pool."""
        url = _target(self._url, path, query)
        with _unreachable():
            async with self._session.get(
                url, headers=_text(headers), allow_redirects=False
            ) as given:
                body = bytearray()
                async for piece in given.content.iter_any():
                    body += piece
                    if len(body) > most_bytes:
                        return Found(given.status, None)
                return Found(given.status, json_object(body))


@contextmanager
def _unreachable() -> Iterator[None]:
    # A time that aiohttp sets itself is that for connecting, and no service is slow at that.
    try:
        yield
    except (aiohttp.ClientError, OSError) as error:
        raise UnreachableError(repr(error)) from error


async def _rest(body: Body, first: bytes) -> AsyncIterator[bytes]:
    yield first
    while not body.complete:
        piece = await body.next()
        if body.ended_early:
            raise aiohttp.ClientPayloadError("the body ended early")
        yield piece


def _target(url: str, path: str, query: bytes) -> URL:
    """The address of a path that is already canonical."""
    return URL(f"{url}{path}?{query.decode('latin-1')}" if query else url + path, encoded=True)


async def _pass_back(given: aiohttp.ClientResponse, answer: Answer) -> None:
    await answer.begin(given.status, [(name.lower(), value) for name, value in given.raw_headers])
    length = given.content_length
    if length is not None and length <= WHOLE_ANSWER_BYTES:
        await answer.piece(await given.read(), more=False)
        return
    async for piece in given.content.iter_any():
        await answer.piece(piece, more=True)
    await answer.piece(b"", more=False)


def _text(headers: Headers) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
