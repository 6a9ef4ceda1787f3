"""The rule text as a tree of spans: the subset of CEL that people may write.

The engine parses and type-checks the text again; this tree exists to refuse what is outside the
subset in plain words, to find the operands of an operator, and to split a condition at its
top-level `&&`. Offsets are 0-based characters of the text.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from kit.rules.errors import RuleError
from kit.rules.tokens import WORD_HINTS, Token, sentence, tokens

MAXIMUM_CHARACTERS = 2000
MAXIMUM_DEPTH = 24
# A chain of operators is a deep tree too; the engine's own limit is a little above this one.
MAXIMUM_OPERATORS = 200

FUNCTIONS = frozenset({"size", "double", "int", "string", "timestamp", "duration"})
METHODS = frozenset(
    {
        "size",
        "contains",
        "startsWith",
        "endsWith",
        "getFullYear",
        "getMonth",
        "getDate",
        "getDayOfMonth",
        "getDayOfWeek",
        "getDayOfYear",
        "getHours",
        "getMinutes",
        "getSeconds",
    }
)

_ABSENT = {
    "matches": "Use startsWith, endsWith or contains.",
    "has": "A part that needs a field without a value is unknown, and does not hold.",
    **dict.fromkeys(("exists", "all", "filter", "map"), 'Write "value" in the_list.'),
}
_PRECEDENCE = {
    "||": 1,
    "&&": 2,
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in"), 3),
    **dict.fromkeys("+-", 4),
    **dict.fromkeys("*/%", 5),
}
NodeKind = Literal[
    "literal", "int", "double", "field", "call", "unary", "binary", "choice", "index", "list"
]


@dataclass(frozen=True, slots=True)
class Node:
    """A part of the rule. `at` is where the engine reports a mistake in this operation."""

    kind: NodeKind
    name: str
    start: int
    end: int
    at: int
    parts: tuple["Node", ...] = ()

    def walk(self) -> Iterator["Node"]:
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.parts))


def parse(text: str) -> Node:
    """The tree of a rule; raises `RuleError` for what is not in the subset."""
    if len(text) > MAXIMUM_CHARACTERS:
        message = f"A rule may have {MAXIMUM_CHARACTERS} characters; this one has {len(text)}."
        raise RuleError("too_long", message, text)
    return _Parser(text).whole()


def top_level_parts(tree: Node) -> list[Node]:
    """The operands of the outermost chain of `&&`, in the order written."""
    if tree.kind == "binary" and tree.name == "&&":
        return [part for operand in tree.parts for part in top_level_parts(operand)]
    return [tree]


class _Parser:
    """Precedence climbing over the tokens; three frames of Python for each nesting level."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(tokens(text))
        self._index = 0
        self._depth = 0
        self._operators = 0

    def whole(self) -> Node:
        if self._at_end():
            raise RuleError("syntax", "The rule is empty.", self._text, 0)
        tree = self._expression()
        if not self._at_end():
            raise self._misplaced()
        return tree

    @property
    def _next(self) -> Token:
        return self._tokens[self._index]

    def _at_end(self) -> bool:
        return self._next.kind == "end"

    def _take(self) -> Token:
        token = self._next
        self._index += 1
        return token

    def _take_if(self, symbol: str) -> Token | None:
        return self._take() if self._is(symbol) else None

    def _is(self, symbol: str) -> bool:
        return self._next.kind == "symbol" and self._next.text == symbol

    def _expect(self, symbol: str) -> Token:
        if not self._is(symbol):
            raise self._misplaced(f"Expected '{symbol}'.")
        return self._take()

    def _misplaced(self, hint: str = "") -> RuleError:
        token = self._next
        if token.kind == "end":
            before = self._tokens[self._index - 1].text
            statement = f"Something is missing after '{before}'."
            return RuleError("syntax", sentence(statement, hint), self._text, token.start)
        statement = f"Unexpected '{token.text}'."
        hint = WORD_HINTS.get(token.text, hint)
        return RuleError("syntax", sentence(statement, hint), self._text, token.start)

    def _expression(self) -> Node:
        self._depth += 1
        if self._depth > MAXIMUM_DEPTH:
            message = f"The rule is nested more than {MAXIMUM_DEPTH} deep."
            raise RuleError("too_deep", message, self._text, self._next.start)
        condition = self._operation(1)
        question = self._take_if("?")
        if question:
            condition = self._choice(condition, question)
        self._depth -= 1
        return condition

    def _choice(self, condition: Node, question: Token) -> Node:
        chosen = self._operation(1)
        self._expect(":")
        other = self._expression()
        parts = (condition, chosen, other)
        return Node("choice", "?:", condition.start, other.end, question.start, parts)

    def _take_operator(self) -> Token:
        self._operators += 1
        if self._operators > MAXIMUM_OPERATORS:
            message = f"A rule may have {MAXIMUM_OPERATORS} operators; this one has more."
            raise RuleError("too_long", message, self._text, self._next.start)
        return self._take()

    def _operation(self, minimum: int) -> Node:
        left = self._unary()
        while _PRECEDENCE.get(self._next.text, 0) >= minimum:
            operator = self._take_operator()
            right = self._operation(_PRECEDENCE[operator.text] + 1)
            left = Node(
                "binary", operator.text, left.start, right.end, operator.start, (left, right)
            )
        return left

    def _unary(self) -> Node:
        signs: list[Token] = []
        while self._is(signs[0].text) if signs else self._is("!") or self._is("-"):
            signs.append(self._take_operator())
        node = self._member()
        for sign in reversed(signs):
            node = Node("unary", sign.text, sign.start, node.end, sign.start, (node,))
        return node

    def _member(self) -> Node:
        node = self._primary()
        while True:
            if self._take_if("."):
                node = self._method(node)
            elif bracket := self._take_if("["):
                index = self._expression()
                end = self._expect("]").end
                node = Node("index", "[]", node.start, end, bracket.start, (node, index))
            else:
                return node

    def _method(self, target: Node) -> Node:
        if self._at_end():
            raise self._misplaced()
        name = self._take()
        if name.kind != "name" or not self._is("("):
            message = f"'.{name.text}' is not a function of '{self._source(target)}'."
            raise RuleError("syntax", message, self._text, name.start)
        return self._call(name.text, name.start, (target,), METHODS)

    def _call(self, name: str, start: int, target: tuple[Node, ...], known: frozenset[str]) -> Node:
        if name not in known:
            raise unknown_function(name, known, self._text, start)
        at = self._expect("(").start
        arguments = self._items(")")
        begin = target[0].start if target else start
        return Node("call", name, begin, self._last_end, at, (*target, *arguments))

    @property
    def _last_end(self) -> int:
        return self._tokens[self._index - 1].end

    def _items(self, closing: str) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self._is(closing):
            items.append(self._expression())
            if not self._take_if(","):
                break
        self._expect(closing)
        return tuple(items)

    def _primary(self) -> Node:
        token = self._next
        if token.kind == "int":
            self._take()
            return Node("int", token.text, token.start, token.end, token.start)
        if token.kind == "double":
            self._take()
            return Node("double", token.text, token.start, token.end, token.start)
        if token.kind == "string" or token.text in ("true", "false"):
            self._take()
            return Node("literal", token.text, token.start, token.end, token.start)
        if token.kind == "name" and token.text not in WORD_HINTS and token.text != "in":
            return self._field_or_call(self._take())
        if opening := self._take_if("["):
            items = self._items("]")
            return Node("list", "[]", opening.start, self._last_end, opening.start, items)
        if self._take_if("("):
            inner = self._expression()
            end = self._expect(")").end
            return Node(inner.kind, inner.name, token.start, end, inner.at, inner.parts)
        raise self._misplaced()

    def _field_or_call(self, first: Token) -> Node:
        """A dotted field, a function, or a function of a field: `member.tier.startsWith(...)`."""
        if self._is("("):
            return self._call(first.text, first.start, (), FUNCTIONS)
        names = [first]
        while self._is(".") and self._tokens[self._index + 1].kind == "name":
            if self._calls_next():
                break
            self._take()
            names.append(self._take())
        dotted = ".".join(name.text for name in names)
        return Node("field", dotted, first.start, names[-1].end, first.start)

    def _calls_next(self) -> bool:
        after = self._tokens[self._index + 2]
        return after.kind == "symbol" and after.text == "("

    def _source(self, node: Node) -> str:
        return self._text[node.start : node.end]


def unknown_function(name: str, known: frozenset[str], text: str, position: int) -> RuleError:
    if name in _ABSENT:
        return RuleError(
            "unknown_function", f"There is no '{name}'. {_ABSENT[name]}", text, position
        )
    near = get_close_matches(name, sorted(known), n=1)
    hint = f"Did you mean '{near[0]}'?" if near else f"Functions here: {', '.join(sorted(known))}."
    return RuleError("unknown_function", f"Unknown function '{name}'. {hint}", text, position)
