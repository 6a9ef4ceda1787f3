"""Pydantic's validation errors in the words of the person who wrote the configuration."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeAlias, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

Location: TypeAlias = tuple[str | int, ...]

_LOCATED = "located_problems"


def located(problems: Sequence[tuple[Location, str]]) -> PydanticCustomError:
    """An error for a validator that finds several problems, each at a place below its own field."""
    text = "; ".join(f"{dotted(at)}: {message}" if at else message for at, message in problems)
    # The text travels as a parameter because the template would interpret braces.
    return PydanticCustomError(_LOCATED, "{text}", {"text": text, "problems": tuple(problems)})


def explained(error: ValidationError, model: type[BaseModel]) -> list[tuple[Location, str]]:
    """Every problem of a failed validation as its place and a sentence that says the fix."""
    every = error.errors(include_url=False)
    misspelt = {_meant(details, model) for details in every}
    return [
        problem
        for details in every
        if not (details["type"] == "missing" and details["loc"] in misspelt)
        for problem in _each(details, model)
    ]


def dotted(at: Location) -> str:
    """`("tiers", 1, "name")` as a person writes it: `tiers[1].name`."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in at]
    return "".join(parts).removeprefix(".")


def nearest(given: str, valid: Sequence[str]) -> str | None:
    return next(iter(get_close_matches(given, valid, n=1)), None)


def did_you_mean(given: str, valid: Sequence[str]) -> str:
    """` Did you mean 'x'?` when a valid name is near, else the list of valid names."""
    near = nearest(given, valid)
    if near:
        return f" Did you mean '{near}'?"
    return f" Valid here: {', '.join(valid)}." if valid else ""


def _meant(details: ErrorDetails, model: type[BaseModel]) -> Location | None:
    """The field an unknown one was meant to be: it need not be reported missing as well."""
    if details["type"] != "extra_forbidden":
        return None
    *parent, given = details["loc"]
    near = nearest(str(given), _field_names(model, tuple(parent)))
    return (*parent, near) if near else None


def _each(details: ErrorDetails, model: type[BaseModel]) -> Iterator[tuple[Location, str]]:
    at = tuple(part for part in details["loc"] if part != "[key]")
    if details["type"] == _LOCATED:
        for below, message in details["ctx"]["problems"]:
            yield (*at, *below), message
        return
    if details["type"] == "extra_forbidden":
        yield at, "unknown field." + did_you_mean(str(at[-1]), _field_names(model, at[:-1]))
        return
    yield at, _sentence(details)


def _sentence(details: ErrorDetails) -> str:
    reword = _WORDING.get(details["type"])
    if reword is not None:
        return reword(details)
    return details["msg"].replace("Input should", "must", 1).removeprefix("Value error, ")


def _wrong_type(expected: str) -> Callable[[ErrorDetails], str]:
    def sentence(details: ErrorDetails) -> str:
        return f"must be {expected}, not {shown(details['input'])}"

    return sentence


def _not_one_of(details: ErrorDetails) -> str:
    valid = [
        part.strip("'") for part in details["ctx"]["expected"].replace(" or ", ", ").split(", ")
    ]
    given = details["input"]
    return f"{shown(given)} is not a valid value." + did_you_mean(str(given), valid)


def shown(value: object) -> str:
    """A value as the message quotes it: short, and recognisable as what stands in the file."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a group of fields"
    if isinstance(value, (tuple, list)):
        return "a list"
    text = str(value)
    quoted = text if len(text) <= 40 else text[:37] + "..."
    return f"'{quoted}'" if isinstance(value, str) else quoted


_WORDING: Mapping[str, Callable[[ErrorDetails], str]] = {
    "missing": lambda details: "is required and missing",
    "string_type": _wrong_type("text (in quotes if it looks like something else)"),
    "int_type": _wrong_type("a whole number"),
    "bool_type": _wrong_type("true or false"),
    "float_type": _wrong_type("a number"),
    "tuple_type": _wrong_type("a list"),
    "dict_type": _wrong_type("a group of fields"),
    "model_type": _wrong_type("a group of fields"),
    "model_attributes_type": _wrong_type("a group of fields"),
    "literal_error": _not_one_of,
}


def _field_names(model: type[BaseModel], at: Location) -> list[str]:
    """The fields of the model that stands at a place below `model`."""
    current: Any = model
    for part in at:
        if isinstance(part, str):
            model_here = _model_in(current)
            info = model_here.model_fields.get(part) if model_here else None
            current = info.annotation if info else None
    found = _model_in(current)
    return list(found.model_fields) if found else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)
