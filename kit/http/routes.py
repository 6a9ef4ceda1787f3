"""Finding the endpoint of a request at once.

The framework asks each route of each router in turn, and those of included routers twice: 40 to
150 µs of CPU in the points API. Here they are in a table by method and number of segments, so that
a handful is left to try, in the same order. What is not in the table is left to the framework,
which knows what to say about a wrong path or a wrong method.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from re import Pattern
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi.routing import RouteContext, iter_route_contexts
from starlette.convertors import PathConvertor
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class _Line:
    """One route: the paths it takes, and what answers them."""

    pattern: Pattern[str]
    convert: dict[str, Callable[[str], Any]]
    template: str
    route: Any
    endpoint: Any
    answer: ASGIApp


class Routes:
    """ASGI app: the routes that the app has by the time of its first request."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._framework = AsyncExitStackMiddleware(app.router)
        self._table: dict[tuple[str, int], list[_Line]] = {}
        for route in _leading(app):
            line = _line(route)
            for method in route.methods or ():
                self._table.setdefault((method, line.template.count("/")), []).append(line)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request by its line of the table, else as the framework does."""
        line = self._find(scope) if scope["type"] == "http" else None
        await (self._framework if line is None else line.answer)(scope, receive, send)

    def _find(self, scope: Scope) -> _Line | None:
        path: str = scope["path"]
        if scope.get("root_path") or self._app.dependency_overrides:
            return None
        for line in self._table.get((scope["method"], path.count("/")), ()):
            found = line.pattern.match(path)
            if found is not None:
                given = found.groupdict()
                scope["path_params"] = {name: line.convert[name](given[name]) for name in given}
                scope["endpoint"], scope["route"] = line.endpoint, line.route
                scope.setdefault("route_template", line.template)
                scope.setdefault("router", self._app.router)
                return line
        return None


def _leading(app: FastAPI) -> Iterator[RouteContext]:
    """The routes before the first that takes any number of segments, or that is a whole app.

    Those behind it would be asked only after it.
    """
    for route in iter_route_contexts(app.routes):
        if not isinstance(route.original_route, Route):
            return
        if any(isinstance(one, PathConvertor) for one in route.param_convertors.values()):
            return
        yield route


def _line(route: RouteContext) -> _Line:
    return _Line(
        route.path_regex,
        {name: one.convert for name, one in route.param_convertors.items()},
        route.path_format or "",
        route.original_route,
        route.endpoint,
        AsyncExitStackMiddleware(route.app),
    )
