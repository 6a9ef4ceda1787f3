"""The gateway as an app: the door and the proxy in front, its own few endpoints behind."""

from typing import Any

import msgspec
from fastapi import APIRouter, FastAPI, Request
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, Response

from gateway import wiring
from gateway.docs_page import CONTENT_SECURITY_POLICY, render
from gateway.door import Door
from gateway.home import home_router
from gateway.settings import GatewaySettings
from kit.auth import LocalIssuer
from kit.auth.wiring import local_issuer
from kit.http.app import create_app as create_http_app
from kit.http.openapi import document

VERSION = "1.0.0"
DESCRIPTION = """\
The public API of Mooring, a member club and loyalty platform.

Send an access token with every call: `Authorization: Bearer …`. Money is in minor units (1250 is
12.50), points are whole numbers, times are RFC 3339 with an offset. Every error is a problem
document (RFC 9457); decide on its `code`. A write may be repeated with the same `Idempotency-Key`
or the same business key: it takes effect once and answers the same.
"""


def create_app(settings: GatewaySettings, neighbours: wiring.Neighbours | None = None) -> FastAPI:
    """The gateway for these settings; ``neighbours`` are services in the same process, by name."""
    beside = neighbours or {}
    parts = wiring.parts(settings)
    app = create_http_app(
        "gateway",
        VERSION,
        [home_router(), _documents(), _well_known(local_issuer(settings.auth))],
        lifespan=wiring.lifespan(settings, parts, beside),
        checks=tuple(wiring.checks(beside)),
        verifier=parts.verifier,
        middleware=[Middleware(Door, parts=parts)],
        description=DESCRIPTION,
        openapi_url=None,
    )
    app.state.parts = parts
    app.state.own_api = lambda: _own_api(app)
    return app


def _own_api(app: FastAPI) -> dict[str, Any]:
    own = {**document(app), "info": {**document(app)["info"], "title": "Mooring"}}
    own["servers"] = [{"url": "/", "description": "This gateway"}]
    return own


def _documents() -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/openapi.json")
    async def openapi(request: Request) -> Response:
        api = await request.app.state.merged_api.document()
        return Response(msgspec.json.encode(api), media_type="application/json")

    @router.get("/docs")
    async def docs(request: Request) -> Response:
        api = await request.app.state.merged_api.document()
        policy = {"content-security-policy": CONTENT_SECURITY_POLICY}
        return HTMLResponse(render(api), headers=policy)

    return router


def _well_known(issuer: LocalIssuer | None) -> APIRouter:
    """The development issuer's discovery documents; nothing when there is none."""
    router = APIRouter(include_in_schema=False)
    if issuer is None:
        return router

    @router.get("/.well-known/jwks.json")
    async def jwks() -> dict[str, Any]:
        return issuer.jwks()

    @router.get("/.well-known/openid-configuration")
    async def configuration(request: Request) -> dict[str, Any]:
        return {
            "issuer": issuer.issuer,
            "jwks_uri": f"{str(request.base_url).rstrip('/')}/.well-known/jwks.json",
            "id_token_signing_alg_values_supported": ["ES256"],
            "response_types_supported": ["token"],
            "subject_types_supported": ["public"],
            "claims_supported": ["sub", "roles", "member_id", "partner"],
        }

    return router
