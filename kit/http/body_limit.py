"""A bound on the size of a request's body, counted as it streams in."""

from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kit.errors import ServiceError
from kit.http.problems import Refusal, problem_response

DEFAULT_BODY_BYTES = 1024 * 1024


class BodyLimit:
    """ASGI middleware: 413 for a body over the limit, declared or not.

    ``by_prefix`` gives paths their own limits; the longest prefix that fits decides.
    """

    def __init__(
        self,
        app: ASGIApp,
        most_bytes: int = DEFAULT_BODY_BYTES,
        by_prefix: Mapping[str, int] | None = None,
    ) -> None:
        self._app = app
        self._most = most_bytes
        self._by_prefix = sorted((by_prefix or {}).items(), key=lambda item: -len(item[0]))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a counting ``receive``."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._limit(scope["path"])
        if declared_length(scope) > most:
            await problem_response(too_large(most), scope["path"])(scope, receive, send)
            return
        await self._app(scope, _counting(receive, most), send)

    def _limit(self, path: str) -> int:
        fits = (most for prefix, most in self._by_prefix if path.startswith(prefix))
        return next(fits, self._most)


def _counting(receive: Receive, most: int) -> Receive:
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most:
            raise Refusal(too_large(most))
        return message

    return counted


def declared_length(scope: Scope) -> int:
    """The Content-Length, 0 when there is none or it is no number."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0


def too_large(most: int) -> ServiceError:
    """The error for a body over ``most`` bytes."""
    return ServiceError(
        "too_large",
        "body_too_large",
        f"The body may have {most} bytes. Send less, or split it into several requests.",
        limit_bytes=most,
    )
