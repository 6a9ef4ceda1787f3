"""A caller that goes away in the middle of its body is nobody's mistake."""

from typing import Any

import structlog
from starlette.requests import Request

from kit.http.edge import Edge


async def test_a_body_that_breaks_off_is_neither_answered_nor_called_an_error():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await Request(scope, receive).body()

    async def receive() -> dict[str, Any]:
        return next(messages)

    async def send(message: Any) -> None:
        answered.append(message)

    answered: list[Any] = []
    messages = iter(
        [
            {"type": "http.request", "body": b"[1,", "more_body": True},
            {"type": "http.disconnect"},
        ]
    )
    scope = {"type": "http", "method": "POST", "path": "/v1/things", "headers": []}
    with structlog.testing.capture_logs() as logs:
        await Edge(app, "things")(scope, receive, send)
    assert answered == []
    assert logs == []
