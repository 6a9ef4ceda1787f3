"""A YAML file read as plain, safe data that remembers its lines, and checked by a pydantic model.

Configuration is written by people, so a mistake is answered with file, line, field and the nearest
valid name, and all mistakes at once. What makes YAML surprising or dangerous is refused: aliases
and anchors (a few lines can expand to gigabytes), explicit tags, duplicate keys, more than one
document, deep nesting, big files.

Scalars follow YAML 1.2 rather than PyYAML's 1.1: `on`, `no` and `12:30` stay text, and only
`true` and `false` are booleans. `1.25` becomes `Decimal("1.25")`, never a float. Sequences become
tuples, ready for frozen models.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from kit.validation_messages import Location, dotted, explained

MAXIMUM_BYTES = 64 * 1024
MAXIMUM_DEPTH = 20

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[-+]?(?:[0-9]{1,18}\.[0-9]{0,18}|\.[0-9]{1,18})")
_WORDS: Mapping[str, bool | None] = {"true": True, "false": False, "null": None, "~": None}

AnyModel = TypeVar("AnyModel", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: the 1-based line, the field as a person would name it, and what to do."""

    line: int
    field: str
    message: str


class SourceError(ValueError):
    """Everything that is wrong with one file, a line of text for each problem."""

    def __init__(self, path: str, problems: tuple[Problem, ...]) -> None:
        self.path = path
        self.problems = problems
        super().__init__("\n".join(self._lines()))

    def _lines(self) -> list[str]:
        return [
            f"{self.path}:{problem.line}: "
            + ": ".join(filter(None, (problem.field, problem.message)))
            for problem in self.problems
        ]


@dataclass(slots=True)
class Document:
    """The data of a file, the line of every key and item, and the duplicates that were met."""

    data: Any = None
    lines: dict[Location, int] = field(default_factory=dict)
    duplicates: list[Location] = field(default_factory=list)

    def line_of(self, location: Location) -> int:
        """The line of a place, or of the nearest enclosing place that is in the file."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location, 1)


def read_model(path: Path | str, model: type[AnyModel], context: Any = None) -> AnyModel:
    """The file as an instance of `model`; raises `SourceError` with every problem found.

    `context` goes to the validators. When callable it is called with the raw data first, for
    a model whose fields are read in the light of another field.
    """
    document = read_yaml(path)
    problems = [(place, "is given twice; keep one") for place in document.duplicates]
    try:
        given = context(document.data) if callable(context) else context
        result = model.model_validate(document.data, context=given)
    except ValidationError as error:
        problems += explained(error, model)
    else:
        if not problems:
            return result
    raise SourceError(str(path), _sorted_problems(document, problems))


def _sorted_problems(
    document: Document, problems: list[tuple[Location, str]]
) -> tuple[Problem, ...]:
    found = [Problem(document.line_of(at), dotted(at), message) for at, message in problems]
    return tuple(sorted(found, key=lambda problem: problem.line))


def read_yaml(path: Path | str) -> Document:
    """The file as plain data with lines; raises `SourceError` at the first unsafe construct."""
    try:
        text = _text(Path(path))
        _refuse_unsafe(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        document = Document()
        document.data = None if node is None else _plain(node, (), document)
    except _UnsafeError as refusal:
        raise SourceError(str(path), (Problem(refusal.line, "", refusal.message),)) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = Problem(mark.line + 1 if mark else 1, "", f"not valid YAML: {error.problem}")
        raise SourceError(str(path), (problem,)) from None
    return document


class _UnsafeError(Exception):
    def __init__(self, line: int, message: str) -> None:
        self.line = line
        self.message = message


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAXIMUM_BYTES + 1)
    except OSError as error:
        raise _UnsafeError(1, f"cannot be read: {error.strerror}") from None
    if len(content) > MAXIMUM_BYTES:
        raise _UnsafeError(1, f"is larger than {MAXIMUM_BYTES // 1024} KiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _UnsafeError(line, "is not UTF-8 text") from None
    invisible = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if invisible:
        line = text.count("\n", 0, invisible.start()) + 1
        raise _UnsafeError(line, "has a control character")
    return text


def _refuse_unsafe(text: str) -> None:
    """Walk the event stream, which costs no recursion, before any node is built."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _UnsafeError(
                line, "anchors (&) and aliases (*) are not allowed; write the value out"
            )
        if tag := getattr(event, "tag", None):
            raise _UnsafeError(line, f"tags such as {tag} are not allowed; write the plain value")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAXIMUM_DEPTH:
            raise _UnsafeError(line, f"is nested more than {MAXIMUM_DEPTH} deep")


def _plain(node: yaml.Node, at: Location, document: Document) -> Any:
    document.lines.setdefault(at, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return _plain_mapping(node, at, document)
    if isinstance(node, yaml.SequenceNode):
        items = enumerate(node.value)
        return tuple(_plain(item, (*at, index), document) for index, item in items)
    assert isinstance(node, yaml.ScalarNode)
    return _plain_scalar(node)


def _plain_mapping(node: yaml.MappingNode, at: Location, document: Document) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            line = key_node.start_mark.line + 1
            raise _UnsafeError(line, "a key must be plain text")
        # A key is always text: YAML 1.1 would read the key `on` as the boolean true.
        key = str(key_node.value)
        place = (*at, key)
        if key in result:
            document.duplicates.append(place)
        document.lines[place] = key_node.start_mark.line + 1
        result[key] = _plain(value_node, place, document)
    return result


def _plain_scalar(node: yaml.ScalarNode) -> str | int | Decimal | bool | None:
    text = str(node.value)
    if node.style is not None:
        return text
    if text in _WORDS or not text:
        return _WORDS.get(text)
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return Decimal(text)
    return text
