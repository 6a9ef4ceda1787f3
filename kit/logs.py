"""Structured logs, one JSON object a line, without personal data.

What never reaches a log: tokens and secrets, e-mail addresses, phone numbers, names, addresses,
birthdays, codes that are worth money. Fields are struck out by name, texts by pattern; an exception
is logged by type, place and message, and a validation error without the input that it quotes.
"""

import logging
import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from typing import Any, TextIO

import structlog
from pydantic import ValidationError

from kit.telemetry import current_traceparent, request_id, trace_id

REDACTED = "[redacted]"
_PRIVATE_FIELD = re.compile(
    r"token|authorization|password|secret|cookie|credential|e_?mail|phone|mobile"
    r"|(^|_)(first|last|given|family|full|display|nick|sur)_?name$|^name$"
    r"|address|birth|street|postcode|jwk",
    re.IGNORECASE,
)
_PRIVATE_TEXT = re.compile(
    r"eyJ[\w-]{8,}\.[\w-]*\.?[\w-]*"  # a JWT
    r"|(?i:bearer|basic)\s+[\w.~+/=-]{8,}"
    r"|[\w.+-]+@[\w-]+(?:\.[\w-]+)+"  # an e-mail address
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"  # user and password in an address
    r"|(?<![\w.-])\+\d[\d\s().-]{6,18}\d(?![\w-])"  # an international phone number
    r"|(?<![\w-])[0-9A-Za-z]{4}(?:-[0-9A-Za-z]{4}){4}(?![\w-])"  # a code in groups of four
)
_MOST_DEPTH = 6
_QUIET = ("uvicorn.access", "httpx", "httpcore", "asyncio", "aiohttp.access")


def configure_logging(level: str, stream: TextIO | None = None) -> None:
    """Send structlog's and the standard library's records to ``stream`` (stderr) as JSON lines."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_trace,
        explain_exception,
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_formatter(shared))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _formatter(shared: list[Any]) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ],
    )


def add_trace(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Name trace and request, so that a line is found from a problem document and back."""
    for name, value in (
        ("trace_id", trace_id(current_traceparent())),
        ("request_id", request_id.get()),
    ):
        if value is not None:
            event.setdefault(name, value)
    return event


def explain_exception(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Turn ``exc_info`` into type, message and places; no local values, no quoted input."""
    given = event.pop("exc_info", None)
    error = given if isinstance(given, BaseException) else None
    if error is None and given:
        error = given[1] if isinstance(given, tuple) else sys.exc_info()[1]
    if error is not None:
        event["error"] = _described(error)
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is not None:
            event["cause"] = _described(cause)
    return event


def _described(error: BaseException) -> dict[str, Any]:
    kind = type(error)
    return {
        "type": f"{kind.__module__}.{kind.__qualname__}",
        "message": _message(error),
        "at": _places(error.__traceback__),
    }


def _message(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        found = error.errors(include_url=False, include_input=False, include_context=False)
        return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['type']}" for one in found[:20])
    return str(error)[:2000]


def _places(tb: TracebackType | None) -> list[str]:
    frames = traceback.extract_tb(tb)[-12:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Strike out private fields and private texts, however deep they sit."""
    for field, value in event.items():
        if not field.startswith("_"):  # structlog's own entries, gone before rendering
            event[field] = _clean(field, value, 0)
    return event


def _clean(field: str, value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return REDACTED if value is not None and _PRIVATE_FIELD.search(field) else value
    if _PRIVATE_FIELD.search(field) or depth > _MOST_DEPTH:
        return REDACTED
    if isinstance(value, Mapping):
        return {str(name): _clean(str(name), one, depth + 1) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean("", one, depth + 1) for one in value]
    return _PRIVATE_TEXT.sub(REDACTED, value if isinstance(value, str) else str(value))
