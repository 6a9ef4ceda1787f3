"""What the framework found wrong with a request, in words: which field, what, and the fix."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from kit.errors import ServiceError

Words = tuple[str, str]
MOST_ERRORS = 50


def invalid_request(error: RequestValidationError) -> ServiceError:
    """The ServiceError for a request that FastAPI could not validate."""
    return _invalid([_field_error(dict(one), error.body) for one in error.errors()])


def invalid_body(error: ValidationError, body: Any = None, *, within: str = "") -> ServiceError:
    """The ServiceError for a body (or ``within``, e.g. ``activities[3]``) an endpoint parsed."""
    found = error.errors(include_url=False)
    errors = [_field_error({**one, "loc": ("body", *one["loc"])}, body) for one in found]
    for one in errors:
        one["field"] = _joined(within, one["field"])
    return _invalid(errors)


def _joined(within: str, field: str) -> str:
    glue = "" if not within or not field or field.startswith("[") else "."
    return within + glue + field


def _invalid(errors: Sequence[dict[str, str]]) -> ServiceError:
    shown = [one["field"] for one in errors[:5]]
    counted = "1 field is" if len(errors) == 1 else f"{len(errors)} fields are"
    return ServiceError(
        "invalid",
        "invalid_request",
        f"{counted} not valid: {', '.join(shown)}{', …' if len(errors) > 5 else ''}.",
        errors=list(errors[:MOST_ERRORS]),
    )


def _field_error(details: Mapping[str, Any], body: Any) -> dict[str, str]:
    message, fix = _words(details)
    return {"field": field_path(details["loc"], body), "message": message, "fix": fix}


def field_path(loc: Sequence[str | int], body: Any) -> str:
    """``("body", "lines", 0, "amount")`` as a person writes it: ``lines[0].amount``.

    Pydantic puts the tag of a union into the location; what is not in the body is left out.
    """
    source, *parts = loc
    if source != "body":
        return ".".join(map(str, loc))
    path, here = "", body
    for position, part in enumerate(parts):
        last = position == len(parts) - 1
        if isinstance(here, Mapping) and part not in here and not last:
            continue
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
        here = _below(here, part)
    return path or "body"


def _below(here: Any, part: str | int) -> Any:
    if isinstance(here, Mapping):
        return here.get(part)
    if isinstance(here, list) and isinstance(part, int) and part < len(here):
        return here[part]
    return None


def _words(details: Mapping[str, Any]) -> Words:
    words = _WORDS.get(details["type"])
    if words is not None:
        return words(details)
    message = str(details["msg"]).replace("Input should", "must", 1)
    return message.removeprefix("Value error, "), "Correct the value and send it again."


def _shown(details: Mapping[str, Any]) -> str:
    value = details.get("input")
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bytes):
        return "bytes"
    text = str(value)
    return repr(text if len(text) <= 40 else text[:37] + "…")


def _type(expected: str, fix: str) -> Callable[[Mapping[str, Any]], Words]:
    return lambda details: (f"must be {expected}, not {_shown(details)}", fix)


def _bound(wording: str, limit: str) -> Callable[[Mapping[str, Any]], Words]:
    def words(details: Mapping[str, Any]) -> Words:
        bound = details.get("ctx", {}).get(limit)
        return f"must be {wording} {bound}", f"Send a value that is {wording} {bound}."

    return words


def _length(wording: str, limit: str, thing: str) -> Callable[[Mapping[str, Any]], Words]:
    def words(details: Mapping[str, Any]) -> Words:
        bound = details.get("ctx", {}).get(limit)
        return f"must have {wording} {bound} {thing}", f"Send {wording} {bound} {thing}."

    return words


def _options(details: Mapping[str, Any]) -> Words:
    expected = details.get("ctx", {}).get("expected", "a known value")
    return f"{_shown(details)} is not one of the allowed values", f"Use {expected}."


def _tag(details: Mapping[str, Any]) -> Words:
    context = details.get("ctx", {})
    discriminator = str(context.get("discriminator", "type")).strip("'")
    tags = context.get("expected_tags", "a known one")
    return f"`{discriminator}` is missing or not known", f"Set `{discriminator}` to {tags}."


_WHOLE = _type("a whole number", "Send a whole number, e.g. 1250; money is in minor units.")
_NUMBER = _type("a number", "Send a finite number, without quotes.")
_TEXT = _type("text", "Send a JSON string.")
_TIME = _type("a time with its zone", "Send RFC 3339 with an offset, e.g. 2026-03-01T09:30:00Z.")
_OBJECT = _type("an object", "Send a JSON object with `Content-Type: application/json`.")
_WORDS: Mapping[str, Callable[[Mapping[str, Any]], Words]] = {
    "missing": lambda _: ("is required and missing", "Add it."),
    "extra_forbidden": lambda _: ("is not a known field", "Remove it, or check its spelling."),
    "string_type": _TEXT,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "int_parsing_size": _type("a smaller whole number", "Send a number within the limits."),
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "bool_type": _type("true or false", "Send true or false, without quotes."),
    "bool_parsing": _type("true or false", "Send true or false, without quotes."),
    "list_type": _type("a list", "Send a JSON array."),
    "dict_type": _OBJECT,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "datetime_type": _TIME,
    "datetime_parsing": _TIME,
    "datetime_from_date_parsing": _TIME,
    "timezone_aware": _TIME,
    "greater_than": _bound("greater than", "gt"),
    "greater_than_equal": _bound("at least", "ge"),
    "less_than": _bound("less than", "lt"),
    "less_than_equal": _bound("at most", "le"),
    "string_too_short": _length("at least", "min_length", "characters"),
    "string_too_long": _length("at most", "max_length", "characters"),
    "too_short": _length("at least", "min_length", "items"),
    "too_long": _length("at most", "max_length", "items"),
    "literal_error": _options,
    "enum": _options,
    "union_tag_invalid": _tag,
    "union_tag_not_found": _tag,
    "string_pattern_mismatch": lambda details: (
        f"{_shown(details)} does not have the right form",
        f"It must match {details.get('ctx', {}).get('pattern', 'the pattern')}.",
    ),
}
