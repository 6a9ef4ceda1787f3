"""Conditions (true or false) and formulas (a number), compiled once and evaluated many times."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from math import isfinite
from typing import Any

from kit.rules.engine import Compiled, check_constants, compile_tree, with_decimals, worded
from kit.rules.errors import RuleError
from kit.rules.syntax import Node, parse, top_level_parts
from kit.rules.vocabulary import Facts, Vocabulary

CACHED_RULES = 4096
# A double carries 15 digits: up to a thousand million, six of them may stand after the point.
_MILLIONTH = Decimal("0.000001")
_LARGEST_AMOUNT = 1e15


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether a condition holds; if not, the first of its `&&` parts that does not, as written.

    `problem` is set when that part could not be decided, for example for want of a value.
    """

    holds: bool
    failed_part: str | None = None
    problem: RuleError | None = None


_HOLDS = Outcome(True)


@dataclass(frozen=True, slots=True)
class _Part:
    text: str
    expression: Any
    fails: Outcome


@dataclass(frozen=True, slots=True)
class Condition:
    """A rule that holds or not. Made by `compile_condition`; shareable between threads."""

    text: str
    vocabulary: Vocabulary
    _expression: Any
    _parts: tuple[_Part, ...]

    def holds(self, facts: Facts | Mapping[str, object]) -> bool:
        """Whether the rule holds; raises `RuleError` when it cannot be decided on these facts."""
        result = _evaluated(self._expression, _bound(facts, self.vocabulary))
        # An error of the engine comes back as a value whose Python form is a truthy string.
        if type(result) is bool:
            return result
        raise _not_decided(str(result), self.text)

    def evaluate(self, facts: Facts | Mapping[str, object]) -> Outcome:
        """The outcome with its reason; never raises for what the facts lack.

        As in CEL, a part that is false settles the rule even when another cannot be decided.
        """
        bound = _bound(facts, self.vocabulary)
        undecided: Outcome | None = None
        for part in self._parts:
            result = _evaluated(part.expression, bound)
            if result is False:
                return part.fails
            if result is not True and undecided is None:
                undecided = Outcome(False, part.text, _not_decided(str(result), self.text))
        return undecided or _HOLDS


@dataclass(frozen=True, slots=True)
class Formula:
    """A rule that is a number. Made by `compile_formula`; shareable between threads."""

    text: str
    vocabulary: Vocabulary
    _expression: Any

    def amount(self, facts: Facts | Mapping[str, object]) -> Decimal:
        """The number, exact to a millionth: 2.3 * 100 is 230, not 229.99999999999997.

        Rounding to points or minor units is the caller's. Raises `RuleError`.
        """
        result = _evaluated(self._expression, _bound(facts, self.vocabulary))
        if type(result) is int:
            return Decimal(result)
        if type(result) is not float:
            raise _not_decided(str(result), self.text)
        if not isfinite(result) or abs(result) >= _LARGEST_AMOUNT:
            raise RuleError("out_of_range", "The result is too large or not a number.", self.text)
        return Decimal(result).quantize(_MILLIONTH)


def compile_condition(text: str, vocabulary: Vocabulary) -> Condition:
    """A condition checked against the vocabulary; raises `RuleError` worded for its author."""
    return _condition(text, vocabulary)


def compile_formula(text: str, vocabulary: Vocabulary) -> Formula:
    """A formula checked against the vocabulary; raises `RuleError` worded for its author."""
    return _formula(text, vocabulary)


@lru_cache(maxsize=CACHED_RULES)
def _condition(text: str, vocabulary: Vocabulary) -> Condition:
    tree, compiled = _checked(text, vocabulary)
    kind = compiled.expression.return_type().name()
    if kind != "BOOL":
        message = f"A condition is true or false, but this is {_kind_in_words(kind)}."
        raise RuleError("not_a_condition", f"{message} Compare it with something.", text, 0)
    parts = tuple(
        _part(text, node, compiled.decimals, vocabulary) for node in top_level_parts(tree)
    )
    return Condition(text, vocabulary, compiled.expression, parts)


def _part(text: str, node: Node, decimals: frozenset[int], vocabulary: Vocabulary) -> _Part:
    written = text[node.start : node.end]
    expression = vocabulary.engine.compile(with_decimals(text, node, decimals))
    return _Part(written, expression, Outcome(False, written))


def _checked(text: str, vocabulary: Vocabulary) -> tuple[Node, Compiled]:
    tree = parse(text)
    vocabulary.check_names(tree, text)
    compiled = compile_tree(text, tree, vocabulary)
    check_constants(text, tree, compiled, vocabulary)
    return tree, compiled


@lru_cache(maxsize=CACHED_RULES)
def _formula(text: str, vocabulary: Vocabulary) -> Formula:
    expression = _checked(text, vocabulary)[1].expression
    kind = expression.return_type().name()
    if kind not in ("INT", "DOUBLE"):
        message = f"A formula is a number, but this is {_kind_in_words(kind)}."
        raise RuleError("not_a_number", message, text, 0)
    return Formula(text, vocabulary, expression)


def _kind_in_words(kind: str) -> str:
    return worded(kind.lower().replace("<", "(").replace(">", ")"))


def _bound(facts: Facts | Mapping[str, object], vocabulary: Vocabulary) -> Any:
    if not isinstance(facts, Facts):
        facts = vocabulary.bind(facts)
    if facts.vocabulary is not vocabulary:
        raise ValueError("the facts were bound to another vocabulary")
    return facts.activation


def _evaluated(expression: Any, activation: Any) -> object:
    """The plain result. It cannot be null, whose `.value()` kills Python 3.11: see syntax.py."""
    try:
        return expression.eval(activation).plain_value()
    except RuntimeError as error:  # the engine throws for text that is not valid Unicode
        return str(error)


def _not_decided(problem: str, text: str) -> RuleError:
    for sign, code, message in _RUNTIME:
        if sign in problem:
            quoted = problem.partition(sign)[2].split('"')[0].split("'")[0]
            return RuleError(code, message.format(quoted), text)
    return RuleError("not_evaluated", f"The rule cannot be decided: {problem}", text)


_RUNTIME = (
    ('No value with name "', "no_value", "'{}' has no value here."),
    ("Unexpected value type for '", "wrong_value", "'{}' has a value of the wrong type."),
    ("Non-CEL value type for '", "wrong_value", "'{}' has a value of the wrong type."),
    ("divide by zero", "division_by_zero", "The rule divides by zero."),
    ("modulus by zero", "division_by_zero", "The rule divides by zero."),
    ("Index error", "out_of_range", "The list has no such item."),
    ("overflow", "out_of_range", "A number becomes too large."),
)
