"""OpenAPI 3.1 of an app, with what the framework does not know: problems, roles, tokens."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from kit.auth.dependencies import Require
from kit.errors import Kind
from kit.http.idempotency import NEEDED
from kit.http.problems import MEDIA_TYPE, STATUS, TITLES, Problem

_SCHEMA_REF = {"$ref": "#/components/schemas/Problem"}
_FRAMEWORK_SCHEMAS = ("HTTPValidationError", "ValidationError")
BEARER = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "An access token of the configured OpenID Connect issuer.",
}


def problems(*kinds: Kind) -> dict[int | str, dict[str, Any]]:
    """For an endpoint's ``responses=``: the problems that are its own."""
    titles: dict[int, list[str]] = {}
    for kind in kinds:
        titles.setdefault(STATUS[kind], []).append(TITLES[kind])
    return {status: _declared(" · ".join(of_kind)) for status, of_kind in titles.items()}


def _declared(description: str) -> dict[str, Any]:
    return {"description": description, "content": {MEDIA_TYPE: {"schema": _SCHEMA_REF}}}


def declare_roles(router: APIRouter) -> None:
    """Write the roles that each route demands into its documentation."""
    for route in api_routes(router):
        needed = next(_requirements(route.dependant), None)
        if needed is not None:
            route.openapi_extra = {
                **(route.openapi_extra or {}),
                "x-mooring-roles": needed.documented_roles,
                "security": [{"bearer": []}],
            }


def api_routes(router: APIRouter) -> Iterator[APIRoute]:
    """The routes of a router and of the routers it includes."""
    for route in router.routes:
        if isinstance(route, APIRoute):
            yield route
        included = getattr(route, "original_router", None)
        if isinstance(included, APIRouter):
            yield from api_routes(included)


def _requirements(dependant: Dependant) -> Iterator[Require]:
    if isinstance(dependant.call, Require):
        yield dependant.call
    for below in dependant.dependencies:
        yield from _requirements(below)


def document(app: FastAPI) -> dict[str, Any]:
    """The app's OpenAPI document, made once."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title,
            version=app.version,
            openapi_version="3.1.0",
            description=app.description,
            routes=app.routes,
            separate_input_output_schemas=False,
        )
        app.openapi_schema = _completed(made)
    return app.openapi_schema


def _completed(made: dict[str, Any]) -> dict[str, Any]:
    components = made.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in _FRAMEWORK_SCHEMAS:
        schemas.pop(name, None)
    schemas |= _problem_schemas()
    components["securitySchemes"] = {"bearer": BEARER}
    for operation in operations(made):
        _declare_needed(operation)
        _declare_problems(operation)
    return made


def _declare_needed(operation: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", ()):
        if parameter["schema"].pop(NEEDED, False):
            parameter["required"] = True


def operations(api: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every operation of an OpenAPI document."""
    for item in api.get("paths", {}).values():
        yield from (value for name, value in item.items() if name in _METHODS)


_METHODS = frozenset({"get", "put", "post", "delete", "patch", "head", "options"})


def _problem_schemas() -> dict[str, Any]:
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs", {}), "Problem": schema}


def _declare_problems(operation: dict[str, Any]) -> None:
    kinds: Sequence[Kind] = ("broken", "unavailable")
    if "security" in operation:
        kinds = (*kinds, "unauthenticated", "forbidden", "too_many")
    if "requestBody" in operation:
        kinds = (*kinds, "malformed", "too_large", "invalid")
    elif operation.get("parameters"):
        kinds = (*kinds, "invalid")
    responses = operation.setdefault("responses", {})
    if "422" in responses and _is_the_frameworks(responses["422"]):
        del responses["422"]
    for status, declared in problems(*kinds).items():
        responses.setdefault(str(status), declared)
    operation["responses"] = dict(sorted(responses.items()))


def _is_the_frameworks(response: Mapping[str, Any]) -> bool:
    return "HTTPValidationError" in str(response)
