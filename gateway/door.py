"""The door: what every public request passes before anything else happens to it.

In this order: the path is canonical and known, the method fits, the token is valid, the role fits
and the member is the caller's own, the rate allows it, key and size are in bounds. Only then is a
service asked, and only if there is room. What the gateway answers itself goes on to its own app.
"""

import re
from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.limits import RateLimit
from gateway.proxy import Proxy
from gateway.routes import HERE, Match, canonical, match, own_path
from gateway.settings import Limits
from gateway.upstream import Upstream
from kit.auth.dependencies import bearer_token
from kit.auth.principal import Principal
from kit.auth.tokens import TokenVerifier
from kit.errors import ServiceError
from kit.http.body_limit import declared_length, too_large
from kit.http.problems import problem_response, status_problem

_IDEMPOTENCY_KEY = re.compile(rb"[\x21-\x7e]{1,128}")


class Parts:
    """What the door works with; filled in when the process starts, for a session needs a loop."""

    def __init__(self, verifier: TokenVerifier, limits: Limits) -> None:
        self.verifier = verifier
        self.limits = limits
        self.rate = RateLimit(limits)
        self.upstreams: Mapping[str, Upstream] = {}
        self.proxy: Proxy | None = None


class Door:
    """ASGI middleware in front of the gateway's own app."""

    def __init__(self, app: ASGIApp, parts: Parts) -> None:
        self._app = app
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or answer with the problem that turned it away."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            path = canonical(scope.get("raw_path") or scope["path"].encode())
            if path.startswith("/v1/"):
                await self._admit(path, scope, receive, send)
            else:
                await self._app(scope, receive, send)
        except ServiceError as error:
            await problem_response(error, scope["path"])(scope, receive, send)

    async def _admit(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        method, headers = scope["method"], dict(scope["headers"])
        personal = path.startswith("/v1/me/") or path == "/v1/me"
        found = match("/v1/members/me" + path[6:] if personal else path)
        if found is None:
            raise ServiceError("missing", "no_such_path", "There is nothing at this path.")
        scope["route_template"] = found.route.template
        if method not in found.route.methods:
            await _wrong_method(found, scope, receive, send)
            return
        token = _token(headers)
        verifier = self._parts.verifier
        principal = verifier.recall(token) or await verifier.verify(token)
        if personal:
            found = _owned(path, principal)
        found.route.admit(method, principal, found.member_id)
        self._check(found, headers, scope, principal)
        await self._serve(found, scope, receive, send)

    def _check(
        self, found: Match, headers: Mapping[bytes, bytes], scope: Scope, principal: Principal
    ) -> None:
        length, most = declared_length(scope), found.route.most_body_bytes
        if length > most:
            raise too_large(most)
        key = headers.get(b"idempotency-key")
        if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
            raise ServiceError(
                "malformed",
                "idempotency_key",
                "Idempotency-Key has 1 to 128 visible ASCII characters, e.g. a UUID.",
            )
        chunked = b"content-length" not in headers
        self._parts.rate.charge(
            principal, (most if chunked else length) if found.route.batch else None
        )

    async def _serve(self, found: Match, scope: Scope, receive: Receive, send: Send) -> None:
        if found.route.service == HERE:
            await self._app(scope, receive, send)
            return
        proxy = self._parts.proxy
        if proxy is None:
            raise ServiceError("unavailable", "not_started", "The gateway has not started yet.")
        upstream = self._parts.upstreams[found.route.service]
        limits = self._parts.limits
        seconds = (limits.batch_ms if found.route.batch else limits.upstream_ms) / 1000
        with upstream.in_flight:
            await proxy.forward(
                upstream, found.path, found.route.most_body_bytes, seconds, scope, receive, send
            )


def _token(headers: Mapping[bytes, bytes]) -> str:
    given = headers.get(b"authorization")
    return bearer_token(given.decode("latin-1") if given else None)


def _owned(path: str, principal: Principal) -> Match:
    found = match(own_path(path, principal))
    if found is None:
        raise ServiceError("missing", "no_such_path", "There is nothing at this path.")
    return found


async def _wrong_method(found: Match, scope: Scope, receive: Receive, send: Send) -> None:
    allowed = ", ".join(sorted(found.route.methods))
    detail = f"This path takes {allowed}."
    answer = status_problem(405, detail, scope["path"], {"allow": allowed})
    await answer(scope, receive, send)
