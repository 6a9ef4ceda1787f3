"""The names rules may use, each with its type, and the facts of one evaluation."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from cel_expr_python import cel

from kit.rules.errors import RuleError
from kit.rules.syntax import Node

TYPES: Mapping[str, Any] = {
    "bool": cel.Type.BOOL,
    "int": cel.Type.INT,
    "double": cel.Type.DOUBLE,
    "string": cel.Type.STRING,
    "timestamp": cel.Type.TIMESTAMP,
    "duration": cel.Type.DURATION,
    "list<int>": cel.Type.List(cel.Type.INT),
    "list<double>": cel.Type.List(cel.Type.DOUBLE),
    "list<string>": cel.Type.List(cel.Type.STRING),
}

# Macros loop and `matches` backtracks: without them the cost of a rule is linear in its text.
# `dyn` and `type` would slip past the static check. `int` of a double cuts: int(2.3 * 100) is 229,
# so formulas stay decimal and rounding to points happens outside, on Decimal.
_ENGINE = """
name: rules
stdlib:
  disable_macros: true
  exclude_functions:
    - name: matches
    - name: dyn
    - name: type
    - name: uint
    - name: bytes
    - name: int
      overloads:
        - id: double_to_int64
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """Values bound once, for any number of rules of the same vocabulary. Keep on one thread."""

    vocabulary: "Vocabulary"
    activation: Any


class Vocabulary:
    """Dotted names with types: `Vocabulary({"activity.amount": "double", ...})`. Immutable."""

    def __init__(self, types: Mapping[str, str]) -> None:
        unknown = sorted(set(types.values()) - TYPES.keys())
        if unknown:
            raise ValueError(f"unknown types {unknown}; known are {sorted(TYPES)}")
        self.types = dict(types)
        self._names = frozenset(types)
        self._times = tuple(name for name, kind in types.items() if kind == "timestamp")
        self.engine = cel.NewEnv(
            config=cel.NewEnvConfigFromYaml(_ENGINE),
            variables={name: TYPES[kind] for name, kind in types.items()},
        )

    def bind(self, values: Mapping[str, object]) -> Facts:
        """The facts that rules are evaluated on.

        A name that is absent or None has no value: a part of a rule that needs it is unknown. A
        name outside the vocabulary is refused, for it would silently never be seen.
        """
        data = {
            name: list(value) if isinstance(value, (tuple, frozenset)) else value
            for name, value in values.items()
            if value is not None
        }
        if not data.keys() <= self._names:
            name = min(data.keys() - self._names)
            raise RuleError("not_in_vocabulary", f"'{name}' is not in the vocabulary", name)
        for name in self._times:
            _refuse_naive(name, data.get(name))
        return Facts(self, self.engine.Activation(data))

    def check_names(self, tree: Node, text: str) -> None:
        """Refuse the first field of a rule that is not in the vocabulary."""
        for node in tree.walk():
            if node.kind == "field" and node.name not in self._names:
                raise self._unknown_field(node, text)

    def _unknown_field(self, node: Node, text: str) -> RuleError:
        message = f"Unknown field '{node.name}'. {self._hint(node.name)}"
        return RuleError("unknown_field", message, text, node.start)

    def _hint(self, name: str) -> str:
        group = [known for known in self.types if known.startswith(f"{name}.")]
        if group:
            return f"It is a group: write one of {', '.join(sorted(group))}."
        last_parts = [known for known in self.types if known.rpartition(".")[2] == name]
        near = last_parts or get_close_matches(name, sorted(self._names), n=1)
        if near:
            return f"Did you mean '{near[0]}'?"
        return f"Known fields: {', '.join(sorted(self._names))}."


def _refuse_naive(name: str, value: object) -> None:
    if isinstance(value, datetime) and value.tzinfo is None:
        raise RuleError("wrong_value", f"'{name}' needs a time with a time zone", name)
