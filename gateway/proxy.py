"""Passing a request on to a service and its answer back, byte by byte.

This is the hot path. Bodies stream both ways. Nothing is retried: a client that repeats a request
with the same key gets the same result, and only the client knows whether it still wants it.
"""

from collections.abc import Iterable

from starlette.types import Receive, Scope, Send

from gateway.deadlines import Deadlines
from gateway.headers import passed_back, passed_on
from gateway.upstream import Body, UnreachableError, Upstream
from kit.errors import ServiceError


class Proxy:
    """Forwards requests, each within its time."""

    def __init__(self, deadlines: Deadlines) -> None:
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
        answer = PassedBack(send)
        try:
            with self._deadlines.within(seconds):
                await upstream.transport.pass_on(path, scope, passed_on(scope), body, answer)
        except (UnreachableError, TimeoutError) as error:
            if body.gone:
                return
            if answer.begun:
                _broken_off(upstream, error)
                return
            raise _reason(upstream, body, error) from error


class PassedBack:
    """An answer on its way to the caller."""

    __slots__ = ("_send", "begun")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def begin(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Send the status, and the headers that may be passed back."""
        self.begun = True
        await self._send(
            {"type": "http.response.start", "status": status, "headers": passed_back(headers)}
        )

    async def piece(self, data: bytes, *, more: bool) -> None:
        """Send a piece of the body."""
        await self._send({"type": "http.response.body", "body": data, "more_body": more})


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
