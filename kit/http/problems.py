"""Errors as RFC 9457 problem documents: the one table from kind to status, and the rendering.

A problem has ``type``, ``title``, ``status``, ``detail``, ``code`` (stable, for programs),
``instance`` (the path), ``trace_id`` (for support), ``errors`` when single fields are at fault, and
the error's own facts beside them.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from kit.errors import Kind, ServiceError
from kit.http.validation import invalid_request
from kit.telemetry import current_traceparent, trace_id

STATUS: Mapping[Kind, int] = {
    "invalid": 422,
    "malformed": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "missing": 404,
    "conflict": 409,
    "too_large": 413,
    "refused": 409,
    "too_many": 429,
    "unavailable": 503,
    "timeout": 504,
    "broken": 500,
}
TITLES: Mapping[Kind, str] = {
    "invalid": "The request is not valid",
    "malformed": "The request cannot be read",
    "unauthenticated": "Authentication is needed",
    "forbidden": "Not allowed",
    "missing": "Not found",
    "conflict": "Conflict",
    "too_large": "The request is too large",
    "refused": "Refused by a rule",
    "too_many": "Too many requests",
    "unavailable": "Temporarily unavailable",
    "timeout": "An answer took too long",
    "broken": "Something is wrong on our side",
}
MEDIA_TYPE = "application/problem+json"
_RETRY_AFTER_SECONDS = 1
_encoder = msgspec.json.Encoder(enc_hook=str)
_log = structlog.get_logger(__name__)


class FieldError(BaseModel):
    """One field at fault: where, what, and how to mend it."""

    field: str = Field(examples=["lines[0].amount"])
    message: str = Field(examples=["must be a whole number, not '12.5'"])
    fix: str = Field(examples=["Send money in minor units, e.g. 1250."])


class Problem(BaseModel):
    """An RFC 9457 problem document (`application/problem+json`)."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["/problems/invalid_request"])
    title: str = Field(examples=["The request is not valid"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["1 field is not valid: lines[0].amount."])
    code: str = Field(examples=["invalid_request"], description="Stable; decide on this one.")
    instance: str = Field(examples=["/v1/activities"])
    trace_id: str | None = Field(None, examples=["4bf92f3577b34da6a3ce929d0e0e4736"])
    errors: list[FieldError] | None = None


class Refusal(HTTPException):
    """A ServiceError raised where the framework lets only its own exceptions through."""

    def __init__(self, error: ServiceError) -> None:
        super().__init__(STATUS[error.kind], error.message)
        self.error = error


def problem_document(error: ServiceError, instance: str) -> dict[str, Any]:
    """The problem document of an error. A broken invariant keeps its details to itself."""
    hidden = error.kind == "broken"
    status, title = STATUS[error.kind], TITLES[error.kind]
    detail = "It has been recorded; quote the trace id." if hidden else error.message
    document = _document(error.code, title, status, detail, instance)
    if not hidden:
        document |= {name: fact for name, fact in error.facts.items() if name not in document}
    return document


def _document(code: str, title: str, status: int, detail: str, instance: str) -> dict[str, Any]:
    return {
        "type": f"/problems/{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "instance": instance,
        "trace_id": trace_id(current_traceparent()),
    }


def problem_response(error: ServiceError, instance: str) -> Response:
    """The answer for an error, with ``WWW-Authenticate`` or ``Retry-After`` where due."""
    body = _encoder.encode(problem_document(error, instance))
    return Response(body, STATUS[error.kind], dict(problem_headers(error)), MEDIA_TYPE)


def problem_headers(error: ServiceError) -> Sequence[tuple[str, str]]:
    """The headers that belong to a kind of error."""
    if error.kind == "unauthenticated":
        missing = error.code == "token_missing"
        return [("www-authenticate", "Bearer" if missing else 'Bearer error="invalid_token"')]
    if error.kind in ("too_many", "unavailable"):
        seconds = error.facts.get("retry_after_seconds", _RETRY_AFTER_SECONDS)
        return [("retry-after", str(seconds))]
    return []


def unexpected(error: Exception, instance: str) -> Response:
    """The answer to what nobody foresaw: recorded in full here, nothing of it told outside."""
    _log.error("unexpected_error", path=instance, exc_info=error)
    return problem_response(ServiceError("broken", "internal", "unexpected"), instance)


def install_problems(app: FastAPI) -> None:
    """Answer every foreseen error of an app with a problem document."""
    app.add_exception_handler(ServiceError, _on_service_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)


async def _on_service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    if error.kind == "broken":
        _log.error("broken_invariant", code=error.code, path=request.url.path, exc_info=error)
    elif error.kind == "unavailable":
        _log.warning("unavailable", code=error.code, path=request.url.path, reason=str(error))
    return problem_response(error, request.url.path)


async def _on_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem_response(invalid_request(error), request.url.path)


_KIND_OF_STATUS: Mapping[int, Kind] = {
    status: kind for kind, status in STATUS.items() if kind != "refused"
}


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error, Refusal):
        return problem_response(error.error, request.url.path)
    kind = _KIND_OF_STATUS.get(error.status_code)
    if kind is not None:
        return problem_response(_from_status(kind, error.detail), request.url.path)
    return status_problem(error.status_code, error.detail, request.url.path, error.headers)


def _from_status(kind: Kind, detail: str) -> ServiceError:
    if kind == "missing":
        return ServiceError("missing", "no_such_path", "There is nothing at this path.")
    return ServiceError(kind, kind, detail)


def status_problem(
    status: int, detail: str, instance: str, headers: Mapping[str, str] | None = None
) -> Response:
    """A problem with a status that no kind of ours has, such as 405."""
    title = HTTPStatus(status).phrase
    document = _document(title.lower().replace(" ", "_"), title, status, detail, instance)
    return Response(_encoder.encode(document), status, dict(headers or {}), MEDIA_TYPE)
