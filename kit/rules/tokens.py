"""The rule text as tokens, and the hint for what people write instead of the right symbol."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, cast

from kit.rules.errors import RuleError

TokenKind = Literal["string", "double", "int", "name", "symbol", "end"]

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+|//[^\n]*)
    |(?P<string>"(?:[^"\\\n]|\\["'\\nt])*"|'(?:[^'\\\n]|\\["'\\nt])*')
    |(?P<double>\d+\.\d+(?:[eE][-+]?\d+)?|\d+[eE][-+]?\d+)
    |(?P<int>\d+)(?![\w.])
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<symbol>&&|\|\||[<>=!]=|[-+*/%<>!?:.,()\[\]])""",
    re.VERBOSE,
)

# Control characters and lone surrogates, which the engine cannot take even between quotes.
_INVISIBLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")

_BAD_TEXT = "The text in quotes is not closed, or has a backslash before an ordinary letter."

_SYMBOL_HINTS = {
    "=": "Write == to compare.",
    "&": "Write && for 'and'.",
    "|": "Write || for 'or'.",
    "{": "Maps are not part of rules.",
    "“": 'Use straight quotes: "text".',
    "”": 'Use straight quotes: "text".',
    "‘": 'Use straight quotes: "text".',
    "’": 'Use straight quotes: "text".',
    "「": 'Use straight quotes: "text".',
    "\u00a0": "Use an ordinary space.",
    "\u3000": "Use an ordinary space.",
    "，": "Use the ASCII comma.",
    "（": "Use ASCII parentheses.",
    "）": "Use ASCII parentheses.",
    '"': _BAD_TEXT,
    "'": _BAD_TEXT,
}

WORD_HINTS = {
    **dict.fromkeys(("and", "AND"), "Write && instead."),
    **dict.fromkeys(("or", "OR"), "Write || instead."),
    **dict.fromkeys(("not", "NOT"), "Write ! instead."),
    ",": "A comma belongs in a list or a call; write 1000 for a thousand.",
    "null": "There is no null in rules; a part that needs a field without a value is unknown.",
}


@dataclass(frozen=True, slots=True)
class Token:
    kind: TokenKind
    text: str
    start: int
    end: int


def tokens(text: str) -> Iterator[Token]:
    """Every token, and a last one of kind `end`; raises `RuleError` at the first that is none."""
    invisible = _INVISIBLE.search(text)
    if invisible:
        message = "The rule has an invisible character; type it again instead of pasting."
        raise RuleError("syntax", message, text, invisible.start())
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _unexpected(text, position)
        if match.lastgroup != "space":
            kind = cast(TokenKind, match.lastgroup)
            yield Token(kind, match.group(), position, match.end())
        position = match.end()
    yield Token("end", "", len(text), len(text))


def _unexpected(text: str, position: int) -> RuleError:
    word = re.compile(r"[\w.]+|.", re.DOTALL).match(text, position)
    found = word.group() if word else text[position]
    hint = _SYMBOL_HINTS.get(found, "")
    if found[0].isdigit():
        hint = "A number is written 1000 or 9.99."
    return RuleError("syntax", sentence(f"Unexpected '{found}'.", hint), text, position)


def sentence(statement: str, hint: str) -> str:
    return f"{statement} {hint}".strip()
