"""The outermost layer of a process's HTTP side: request id, trace, metrics, the last catch."""

import re
import time
from random import getrandbits
from typing import Any

from opentelemetry.trace import SpanKind, Status, StatusCode
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kit.http.problems import unexpected
from kit.telemetry import HttpMetrics, request_id, span, valid_traceparent

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class Edge:
    """ASGI middleware around everything else.

    It takes over a caller's ``x-request-id`` and ``traceparent`` or makes new ones, answers what
    nobody foresaw with a bare 500 problem (one of the two places that catch every exception), and
    counts requests by route template.
    """

    def __init__(self, app: ASGIApp, service: str) -> None:
        self._app = app
        self._metrics = HttpMetrics(service)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(scope, send)
        reset = request_id.set(exchange.request_id)
        began = time.perf_counter()
        try:
            with span(scope["method"], exchange.parent, SpanKind.SERVER) as live:
                await self._serve(exchange, scope, receive)
                if live is not None:
                    live.update_name(f"{scope['method']} {route_template(scope)}")
                    live.set_attribute("http.response.status_code", exchange.status)
                    if exchange.status >= 500:
                        live.set_status(Status(StatusCode.ERROR))
        finally:
            request_id.reset(reset)
            seconds = time.perf_counter() - began
            self._metrics.observe(scope["method"], route_template(scope), exchange.status, seconds)

    async def _serve(self, exchange: "Exchange", scope: Scope, receive: Receive) -> None:
        try:
            await self._app(scope, receive, exchange.send)
        except ClientDisconnect:
            return  # the caller went away in the middle of its body, and nobody is left to answer
        except Exception as error:
            answer = unexpected(error, scope["path"])
            if exchange.begun:
                raise
            await answer(scope, receive, exchange.send)


class Exchange:
    """One request's ids and what has been answered so far."""

    __slots__ = ("_send", "begun", "parent", "request_id", "status")

    def __init__(self, scope: Scope, send: Send) -> None:
        self._send = send
        self.begun = False
        self.status = 499  # the caller went away before there was an answer
        self.request_id, self.parent = _ids(scope["headers"])

    async def send(self, message: Message) -> None:
        """Pass a message on, noting the status and adding the request id."""
        if message["type"] == "http.response.start":
            self.begun = True
            self.status = message["status"]
            headers = [*message.get("headers", ()), (b"x-request-id", self.request_id.encode())]
            message = {**message, "headers": headers}
        await self._send(message)


def _ids(headers: Any) -> tuple[str, str | None]:
    given, parent = None, None
    for name, value in headers:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            given = value.decode()
        elif name == b"traceparent":
            parent = valid_traceparent(value.decode("latin-1"))
    return given or f"{getrandbits(64):016x}", parent


def route_template(scope: Scope) -> str:
    """The route a request matched, with its parameters by name; ``unmatched`` when none did."""
    template = scope.get("route_template") or getattr(scope.get("route"), "path", None)
    return template or "unmatched"
