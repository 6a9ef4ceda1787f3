"""Answering a plain endpoint without what the framework does for the others on every request.

An endpoint is plain when it and its dependencies are coroutine functions of single values in the
path, the query and the headers, of one JSON body and of the request, and its answer is a model or a
Response. Nearly all of ours are. The framework finds out for each request anew what each of them
takes: 20 µs of CPU for a balance, 55 for a redemption. Here that is done once, and then only the
framework's own fields and serialiser are used.

This is the way of requests that are in order. One with anything wrong in it is handed to the
framework as it came, before any dependency was called: what it then says, it says.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from fastapi import params
from fastapi.datastructures import DefaultPlaceholder
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, RouteContext, serialize_response
from fastapi.utils import is_body_allowed_for_status_code
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kit.errors import ServiceError
from kit.http.json_body import JsonRequest, JsonRoute, is_json, read_json

_NEEDED = object()
_UNUSUAL = (
    "cookie_params",
    "websocket_param_name",
    "http_connection_param_name",
    "background_tasks_param_name",
    "security_scopes_param_name",
    "own_oauth_scopes",
    "parent_oauth_scopes",
    "concurrency",
)
_MANY = (list, tuple, set, frozenset, dict, BaseModel)


class _NotPlainError(Exception):
    """The endpoint wants something that only the framework can do."""


class _NotInOrderError(Exception):
    """The request lacks something or has it wrong; the framework says what."""


@dataclass(frozen=True, slots=True)
class _Value:
    """A single value of a request: the argument it becomes, where it is found, what it must be."""

    name: str
    key: str
    field: Any
    default: Any

    def read(self, given: str | None) -> Any:
        if given is None:
            if self.default is _NEEDED:
                raise _NotInOrderError
            return self.default
        value, errors = self.field.validate(given)
        if errors:
            raise _NotInOrderError
        return value


@dataclass(frozen=True, slots=True)
class _Call:
    """The endpoint or one of its dependencies.

    ``results`` are the arguments that others make, by their positions. ``draft`` is the name of the
    one through which it may set the answer's status and headers.
    """

    call: Callable[..., Awaitable[Any]]
    request: str | None
    draft: str | None
    path: tuple[_Value, ...]
    query: tuple[_Value, ...]
    headers: tuple[_Value, ...]
    results: tuple[tuple[str, int], ...]

    def arguments(self, request: Request) -> dict[str, Any]:
        """Its arguments from the request itself; raises _NotInOrderError."""
        found = {value.name: value.read(request.path_params.get(value.key)) for value in self.path}
        for value in self.query:
            found[value.name] = value.read(request.query_params.get(value.key))
        for value in self.headers:
            found[value.name] = value.read(request.headers.get(value.key))
        if self.request is not None:
            found[self.request] = request
        return found

    async def made(self, known: dict[str, Any], results: Sequence[Any], draft: Response) -> Any:
        """What it returns, called with these arguments, the results before it and the draft."""
        for name, position in self.results:
            known[name] = results[position]
        if self.draft is not None:
            known[self.draft] = draft
        return await self.call(**known)


class PlainEndpoint:
    """An ASGI app for one endpoint; ``framework`` is the one that answers it otherwise."""

    def __init__(self, route: RouteContext, framework: ASGIApp) -> None:
        self._framework = framework
        self._calls = tuple(_calls(route.dependant))
        self._body = _body(route)
        self._request: type[Request] = (
            JsonRequest if isinstance(route.original_route, JsonRoute) else Request
        )
        self._rendering = _rendering(route)
        self._status: int = route.status_code or 200

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = self._request(scope, receive, send)
        body = await request.body() if self._body is not None else b""
        try:
            arguments = [one.arguments(request) for one in self._calls]
            if self._body is not None:
                arguments[-1][self._body.name] = _read(self._body, body, request)
        except _NotInOrderError:
            again = receive if self._body is None else _again(body, receive)
            await self._framework(scope, again, send)
            return
        draft, results = _Draft(), list[Any]()
        for one, known in zip(self._calls, arguments, strict=True):
            results.append(await one.made(known, results, draft))
        answer = results[-1]
        if not isinstance(answer, Response):
            answer = await self._rendered(answer, draft)
        await answer(scope, receive, send)

    async def _rendered(self, answer: Any, draft: Response) -> Response:
        content = await serialize_response(response_content=answer, **self._rendering)
        status = draft.status_code or self._status
        if self._rendering["field"] is None:
            response: Response = JSONResponse(content, status)
        else:
            response = Response(content, status, media_type="application/json")
        if not is_body_allowed_for_status_code(status):
            response.body = b""
        response.raw_headers += draft.raw_headers
        return response


class _Draft(Response):
    """What an endpoint may ask for, to set the status or a header of its answer."""

    def __init__(self) -> None:
        self.status_code = 0
        self.raw_headers = []


def plain(route: RouteContext, framework: ASGIApp) -> PlainEndpoint | None:
    """The endpoint of a route, if it is plain."""
    try:
        return PlainEndpoint(route, framework)
    except _NotPlainError:
        return None


def _calls(endpoint: Dependant) -> Iterator[_Call]:
    calls: list[_Call] = []
    known: dict[Any, int] = {}

    def add(dependant: Dependant) -> int:
        results = []
        for below in dependant.dependencies:
            if not below.use_cache or below.call not in known:
                known[below.call] = add(below)
            if below.name is not None:
                results.append((below.name, known[below.call]))
        calls.append(_call(dependant, tuple(results)))
        return len(calls) - 1

    add(endpoint)
    if any(below.body_params for below in endpoint.dependencies):
        raise _NotPlainError
    yield from calls


def _call(dependant: Dependant, results: tuple[tuple[str, int], ...]) -> _Call:
    call: Any = dependant.call
    if any(getattr(dependant, name) for name in _UNUSUAL) or not _is_coroutine_function(call):
        raise _NotPlainError
    return _Call(
        call,
        dependant.request_param_name,
        dependant.response_param_name,
        tuple(map(_value, dependant.path_params)),
        tuple(map(_value, dependant.query_params)),
        tuple(map(_value, dependant.header_params)),
        results,
    )


def _is_coroutine_function(call: Any) -> bool:
    return asyncio.iscoroutinefunction(call) or asyncio.iscoroutinefunction(type(call).__call__)


def _value(field: Any) -> _Value:
    info = field.field_info
    renamed = info.validation_alias not in (None, field.alias)
    if renamed or field.config or not _is_single(info.annotation):
        raise _NotPlainError
    return _Value(field.name, field.alias, field, _default(info))


def _default(info: Any) -> Any:
    if info.is_required():
        return _NEEDED
    default = info.get_default()
    if (
        info.default_factory is not None
        or info.validate_default
        or deepcopy(default) is not default
    ):
        raise _NotPlainError
    return default


def _is_single(annotation: Any) -> bool:
    if get_origin(annotation) in (Union, UnionType):
        return all(_is_single(one) for one in get_args(annotation) if one is not NoneType)
    if get_origin(annotation) is Literal:
        return True
    return isinstance(annotation, type) and not issubclass(annotation, _MANY)


def _body(route: RouteContext) -> Any:
    fields = route.dependant.body_params
    if not fields:
        return None
    info, whole = fields[0].field_info, route.body_field.field_info
    embedded = len(fields) > 1 or info.annotation is not whole.annotation
    if embedded or isinstance(info, params.Form) or not isinstance(route.original_route, JsonRoute):
        raise _NotPlainError
    return fields[0]


def _read(field: Any, body: bytes, request: Request) -> Any:
    if not body or not is_json(request.headers.get("content-type", "")):
        raise _NotInOrderError
    try:
        value, errors = field.validate(read_json(body))
    except ServiceError as error:
        raise _NotInOrderError from error
    if errors:
        raise _NotInOrderError
    return value


def _again(body: bytes, receive: Receive) -> Receive:
    """Give the body once more, then go on as before."""
    left = [body]

    async def received() -> Message:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return await receive()

    return received


def _rendering(route: RouteContext) -> Mapping[str, Any]:
    ordinary = type(route.original_route) in (APIRoute, JsonRoute)
    if not ordinary or route.max_body_size is not None or route.stream_item_field is not None:
        raise _NotPlainError
    if not isinstance(route.response_class, DefaultPlaceholder):
        raise _NotPlainError
    return {
        "field": route.response_field,
        "include": route.response_model_include,
        "exclude": route.response_model_exclude,
        "by_alias": route.response_model_by_alias,
        "exclude_unset": route.response_model_exclude_unset,
        "exclude_defaults": route.response_model_exclude_defaults,
        "exclude_none": route.response_model_exclude_none,
        "dump_json": route.response_field is not None,
    }
