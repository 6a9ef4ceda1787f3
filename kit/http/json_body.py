"""JSON bodies, read strictly: no NaN, no Infinity, no lone surrogates, no bottomless nesting.

Python's own reader takes the first two; msgspec refuses all of them and is several times faster.
"""

from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from kit.errors import ServiceError
from kit.http.problems import Refusal


def read_json(body: bytes) -> Any:
    """The value of a JSON text; raises ServiceError ``malformed`` that says what is wrong where."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise malformed_json(error) from error


def malformed_json(error: Exception) -> ServiceError:
    """The ServiceError for a body that msgspec could not read."""
    deep = isinstance(error, RecursionError)
    reason = "it is nested too deeply" if deep else str(error)
    return ServiceError(
        "malformed",
        "malformed_json",
        f"The body is not valid JSON: {reason}. Send UTF-8 JSON; NaN and Infinity do not exist.",
    )


class JsonRequest(Request):
    """A request whose body is read strictly."""

    async def json(self) -> Any:
        """The body's value; raises Refusal, which the framework passes on untouched."""
        try:
            return read_json(await self.body())
        except ServiceError as error:
            raise Refusal(error) from error


class JsonRoute(APIRoute):
    """A route that reads JSON strictly and takes no other kind of body."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The framework's handler, given a JsonRequest."""
        handler = super().get_route_handler()
        takes_body = self.body_field is not None

        async def handle(request: Request) -> Response:
            if takes_body and not _is_json(request.headers.get("content-type", "")):
                raise Refusal(_CONTENT_TYPE)
            return await handler(JsonRequest(request.scope, request.receive))

        return handle


_CONTENT_TYPE = ServiceError(
    "malformed", "content_type", "Send the body as JSON with `Content-Type: application/json`."
)


def _is_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )


class Router(APIRouter):
    """An APIRouter whose routes read JSON strictly. Services use this one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(route_class=JsonRoute, **options)
