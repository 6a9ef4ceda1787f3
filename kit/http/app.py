"""One way to make the HTTP side of a process, so that all of them behave alike."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import ASGIApp

from kit.auth.tokens import TokenVerifier
from kit.http.body_limit import DEFAULT_BODY_BYTES, BodyLimit
from kit.http.edge import Edge
from kit.http.health import Check, Health, health_router
from kit.http.json_body import JsonRoute
from kit.http.openapi import api_routes, declare_roles, document
from kit.http.problems import install_problems
from kit.http.routes import Routes

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[Any]]


def create_app(
    title: str,
    version: str,
    routers: Sequence[APIRouter],
    *,
    lifespan: Lifespan | None = None,
    checks: Sequence[Check] = (),
    live_checks: Sequence[Check] = (),
    verifier: TokenVerifier | None = None,
    most_body_bytes: int = DEFAULT_BODY_BYTES,
    body_limits: Mapping[str, int] | None = None,
    middleware: Sequence[Middleware] = (),
    description: str = "",
    openapi_url: str | None = "/openapi.json",
) -> FastAPI:
    """An app with problem documents, body limits, request ids, traces, health and metrics.

    ``title`` names the service in metrics. ``verifier`` is what ``require`` and ``owner_or`` use.
    ``body_limits`` maps path prefixes to bytes. ``middleware`` (outermost first) stands between
    request ids and body limits. Routers that take JSON are kit's ``Router``. The
    app's ``state.health`` is its Health.
    """
    health = Health(checks=checks, live_checks=live_checks)
    app = _App(
        title=title,
        version=version,
        description=description,
        lifespan=_with_health(lifespan, health),
        openapi_url=openapi_url,
        docs_url=None,
        redirect_slashes=False,  # a redirect would tell a caller the address behind the gateway
        redoc_url=None,
        # Its own tracing, which would trace twice, log exceptions unredacted, and cost 20 µs even
        # when there is nowhere to send to.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.health = health
    app.state.verifier = verifier
    install_problems(app)
    for router in routers:
        _refuse_lenient_routes(router)
        declare_roles(router)
        app.include_router(router)
    app.include_router(health_router(health))
    app.openapi = lambda: document(app)  # type: ignore[method-assign]
    app.add_middleware(BodyLimit, most_bytes=most_body_bytes, by_prefix=body_limits)
    for inner in reversed(middleware):
        app.add_middleware(inner.cls, *inner.args, **inner.kwargs)
    app.add_middleware(Edge, service=title)
    return app


class _App(FastAPI):
    def build_middleware_stack(self) -> ASGIApp:
        """The framework's stack without its three outermost layers, for speed on every request.

        Edge is the last catch, BodyLimit counts bodies, and the framework's tracing is off.
        """
        app: ASGIApp = Routes(self)
        app = ExceptionMiddleware(app, handlers=self.exception_handlers)
        for layer in reversed(self.user_middleware):
            app = layer.cls(app, *layer.args, **layer.kwargs)
        return app


def _refuse_lenient_routes(router: APIRouter) -> None:
    for route in api_routes(router):
        if route.body_field is not None and not isinstance(route, JsonRoute):
            raise TypeError(
                f"{route.path} reads JSON leniently (NaN and Infinity would pass): "
                "make its router with kit.http.json_body.Router"
            )


def _with_health(lifespan: Lifespan | None, health: Health) -> Lifespan:
    @asynccontextmanager
    async def run(app: FastAPI) -> AsyncIterator[Any]:
        async with lifespan(app) if lifespan is not None else _nothing() as state:
            health.started = True
            try:
                yield state
            finally:
                health.draining = True

    return run


@asynccontextmanager
async def _nothing() -> AsyncIterator[None]:
    yield
