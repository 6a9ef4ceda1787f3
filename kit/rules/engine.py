"""Compilation by the engine, with number literals made to fit and complaints reworded.

The engine never mixes number types: it refuses `amount >= 100` when amount is a double. It names
the operator and the types, so the literals among its operands become doubles (`100.0`) and the
text is tried again, until the check passes or no literal is left to blame.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cel_expr_python import cel

from kit.rules.errors import RuleError
from kit.rules.syntax import Node
from kit.rules.vocabulary import Vocabulary

_COMPLAINT = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_MISMATCH = re.compile(r"found no matching overload for '(.*)' applied to '(.*)'")
_WORDS: Mapping[str, str] = {
    "bool": "a yes or no",
    "int": "a whole number",
    "double": "a decimal number",
    "string": "text",
    "timestamp": "a time",
    "google.protobuf.Timestamp": "a time",
    "duration": "a length of time",
    "google.protobuf.Duration": "a length of time",
    "list(string)": "a list of texts",
    "list(int)": "a list of whole numbers",
    "list(double)": "a list of decimal numbers",
}


_TOO_DEEP = "The rule is nested too deeply, or chains too many + - * / in a row."


def worded(kind: str) -> str:
    """A type of the engine in plain words."""
    return _WORDS.get(kind, "a list" if kind.startswith("list") else "a mixed value")


@dataclass(frozen=True, slots=True)
class Compiled:
    """The engine's expression, and where in the text `.0` had to be inserted for it."""

    expression: Any
    decimals: frozenset[int]


def with_decimals(text: str, node: Node, decimals: Iterable[int]) -> str:
    """The text of a node with `.0` after the literals that end at the given offsets."""
    pieces: list[str] = []
    start = node.start
    for offset in sorted(offset for offset in decimals if node.start < offset <= node.end):
        pieces.append(text[start:offset])
        start = offset
    return ".0".join([*pieces, text[start : node.end]])


def compile_tree(text: str, tree: Node, vocabulary: Vocabulary) -> Compiled:
    """The rule compiled; raises `RuleError` when its types do not fit."""
    operations = {node.at: node for node in tree.walk() if node.parts or node.kind == "call"}
    whole = Node("list", "", 0, len(text), 0)
    decimals = _in_decimal_lists(tree)
    while True:
        source = with_decimals(text, whole, decimals)
        try:
            return Compiled(vocabulary.engine.compile(source), frozenset(decimals))
        except RuntimeError as error:
            if "max recursion depth" in str(error):
                raise RuleError("too_deep", _TOO_DEEP, text) from None
            complaint = _Complaint.read(str(error), source, sorted(decimals))
        fitting = set(complaint.literals_to_change(operations)) - decimals
        if not fitting:
            raise complaint.as_rule_error(text, operations) from None
        decimals |= fitting


def _in_decimal_lists(tree: Node) -> set[int]:
    """`[10, 9.5]` passes the engine's check as a list of anything, so it is mended beforehand."""
    lists = [node for node in tree.walk() if node.kind == "list"]
    decimal = [node for node in lists if any(each.kind == "double" for each in node.walk())]
    return {end for node in decimal if _is_literal(node) for end in _literals(node)}


def check_constants(text: str, tree: Node, compiled: Compiled, vocabulary: Vocabulary) -> None:
    """What the engine's check passes over: mixed lists, and times that cannot be read."""
    for node in tree.walk():
        if node.kind == "list" or (node.kind == "call" and node.name in _FORMS):
            source = with_decimals(text, node, compiled.decimals)
            problem = _constant_problem(node, source, vocabulary.engine.compile(source))
            if problem:
                raise RuleError("wrong_value", problem, text, node.start)


def _constant_problem(node: Node, source: str, expression: Any) -> str | None:
    if node.kind == "list":
        mixed = node.parts and "DYN" in expression.return_type().name()
        return "A list holds one kind of value; this one mixes several." if mixed else None
    if node.parts[0].kind != "literal" or expression.eval(data={}).type() != cel.Type.ERROR:
        return None
    return f"{source} cannot be read; write {_FORMS[node.name]}."


_FORMS: Mapping[str, str] = {
    "timestamp": 'timestamp("2027-01-31T00:00:00Z")',
    "duration": 'duration("36h")',
}


@dataclass(frozen=True, slots=True)
class _Complaint:
    """The engine's first complaint, its offset brought back to the text as written."""

    message: str
    offset: int

    @classmethod
    def read(cls, raw: str, source: str, decimals: list[int]) -> "_Complaint":
        match = _COMPLAINT.search(raw)
        if match is None:
            return cls(raw, 0)
        line, column, message = int(match[1]), int(match[2]), match[3]
        start = sum(len(each) + 1 for each in source.split("\n")[: line - 1])
        return cls(message, _as_written(start + column - 1, decimals))

    @property
    def operand_types(self) -> list[str]:
        match = _MISMATCH.match(self.message)
        return _split_types(match[2]) if match else []

    def literals_to_change(self, operations: Mapping[int, Node]) -> Iterator[int]:
        """The ends of the whole-number literals that stand where a decimal number is meant."""
        types = self.operand_types
        node = operations.get(self.offset)
        if node is None or not any("double" in kind for kind in types):
            return
        for part, kind in zip(node.parts, types, strict=False):
            if "int" in kind and _is_literal(part):
                yield from _literals(part)

    def as_rule_error(self, text: str, operations: Mapping[int, Node]) -> RuleError:
        node = operations.get(self.offset)
        types = self.operand_types
        if node is not None and node.kind == "call" and not types:
            message = f"{node.name}() does not fit: check what stands in its brackets."
            return RuleError("wrong_type", message, text, self.offset)
        if node is None or not types:
            message = _REWORDED.get(self.message, f"The rule is not valid: {self.message}")
            return RuleError("syntax", message, text, self.offset)
        return RuleError("wrong_type", _misfit(text, node, types), text, self.offset)


_REWORDED = {"invalid int literal": "The number is too large."}


def _as_written(offset: int, decimals: list[int]) -> int:
    """Undo the insertions: each put two characters after its place in the text."""
    shifted = [end + 2 * index for index, end in enumerate(decimals)]
    return offset - 2 * bisect_left(shifted, offset)


def _is_literal(node: Node) -> bool:
    """Whether the value of the node comes from number literals alone."""
    if node.kind in ("unary", "binary", "list", "choice"):
        return all(_is_literal(part) for part in _valued(node))
    return node.kind in ("int", "double")


def _literals(node: Node) -> Iterator[int]:
    """The ends of the whole-number literals that the value of the node comes from."""
    if node.kind == "int":
        yield node.at + len(node.name)
    elif node.kind in ("unary", "binary", "list", "choice"):
        for part in _valued(node):
            yield from _literals(part)


def _valued(node: Node) -> tuple[Node, ...]:
    return node.parts[1:] if node.kind == "choice" else node.parts


def _split_types(text: str) -> list[str]:
    """`(double, list(int))` as its parts."""
    inner = text.removeprefix("(").removesuffix(")")
    return re.split(r", (?![^(]*\))", inner)


def _misfit(text: str, node: Node, types: list[str]) -> str:
    sources = [text[part.start : part.end] for part in node.parts]
    described = [
        f"'{source}' is {worded(kind)}" for source, kind in zip(sources, types, strict=False)
    ]
    if node.kind == "call":
        return f"{node.name}() does not fit: {', '.join(described)}."
    if node.name in ("&&", "||", "!"):
        wrong = [each for each, kind in zip(described, types, strict=False) if kind != "bool"]
        return f"'{node.name}' needs conditions, but {' and '.join(wrong)}."
    if node.name == "%":
        return f"'%' needs two whole numbers, but {' and '.join(described)}."
    operation = "? :" if node.kind == "choice" else node.name
    return f"'{operation}' does not fit: {' and '.join(described)}.{_conversion(sources, types)}"


def _conversion(sources: list[str], types: list[str]) -> str:
    if sorted(types) != ["double", "int"]:
        return ""
    return f" Write double({sources[types.index('int')]})."
