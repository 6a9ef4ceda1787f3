"""Random rules mean the same here as in an independent implementation of CEL.

The other engine (in Rust) differs from the specification in two things, which the generated rules
avoid: it does not absorb errors in `&&` and `||` (divisors are literals other than 0), and its
`size` of a text counts bytes, not characters.
"""

import cel
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.rules import RuleError, Vocabulary, compile_condition, compile_formula
from kit.rules.syntax import parse

TYPES = {
    "a.amount": "double",
    "a.share": "double",
    "a.lines": "int",
    "a.days": "int",
    "a.kind": "string",
    "a.tags": "list<string>",
    "m.vip": "bool",
    "m.new": "bool",
}
VOCABULARY = Vocabulary(TYPES)

# Each rule is a pair: as a person writes it, and with every decimal spelt out for the other engine.
Pair = tuple[str, str]

WORDS = st.sampled_from(["", "purchase", "visit", "dairy", "金卡", 'a"b', "fruit"])
AMOUNTS = st.integers(-400, 400).map(lambda quarter: quarter / 4)


def quoted(word: str) -> str:
    return '"' + word.replace('"', '\\"') + '"'


def same(text: str) -> Pair:
    return text, text


def joined(template: str, *pairs: Pair) -> Pair:
    return template.format(*(pair[0] for pair in pairs)), template.format(*(p[1] for p in pairs))


def fields(kind: str) -> st.SearchStrategy[Pair]:
    return st.sampled_from([name for name, its in TYPES.items() if its == kind]).map(same)


def composed(
    template: st.SearchStrategy[str], *parts: st.SearchStrategy[Pair]
) -> st.SearchStrategy[Pair]:
    return st.builds(joined, template, *parts)


@st.composite
def decimal_literals(draw: st.DrawFn) -> Pair:
    whole = draw(st.integers(0, 200))
    if draw(st.booleans()):
        return str(whole), f"{whole}.0"
    return same(f"{whole}.{draw(st.sampled_from(['0', '25', '5']))}")


texts = st.one_of(fields("string"), WORDS.map(lambda word: same(quoted(word))))
latin_texts = st.sampled_from(["", "purchase", 'a"b']).map(lambda word: same(quoted(word)))
wholes = st.deferred(
    lambda: st.one_of(
        fields("int"),
        st.integers(0, 50).map(lambda number: same(str(number))),
        composed(st.sampled_from(["({} + {})", "({} - {})", "{} + {}"]), wholes, wholes),
        composed(st.sampled_from(["{} / 7", "{} % 3", "-{}"]), fields("int")),
        st.just(same("size(a.tags)")),
        composed(st.just("size({})"), latin_texts),
        composed(st.just("({} ? {} : {})"), conditions, wholes, wholes),
    )
)
# A field among the operands keeps the type decimal, as one of a person's rules would.
decimals = st.deferred(
    lambda: st.one_of(
        fields("double"),
        composed(st.sampled_from(["{} * {}", "{} + {}"]), fields("double"), decimal_literals()),
        composed(st.sampled_from(["({} - {})", "{} - {}"]), decimal_literals(), fields("double")),
        composed(st.just("({} + {})"), decimals, decimals),
        composed(st.just("double({})"), wholes),
        composed(st.just("({} ? {} : {})"), conditions, fields("double"), decimal_literals()),
    )
)
comparisons = st.sampled_from(
    ["{} < {}", "{} <= {}", "{} > {}", "{} >= {}", "{} == {}", "{} != {}"]
)
conditions = st.deferred(
    lambda: st.one_of(
        fields("bool"),
        st.sampled_from(["true", "false"]).map(same),
        composed(comparisons, decimals, decimal_literals()),
        composed(comparisons, decimal_literals(), decimals),
        composed(comparisons, decimals, decimals),
        composed(comparisons, wholes, wholes),
        composed(comparisons, texts, texts),
        composed(
            st.just("{} in [{}, {}]"), fields("double"), decimal_literals(), decimal_literals()
        ),
        composed(st.just("{} in a.tags"), texts),
        composed(
            st.sampled_from(["{}.startsWith({})", "{}.endsWith({})", "{}.contains({})"]),
            fields("string"),
            texts,
        ),
        composed(
            st.sampled_from(["{} && {}", "{} || {}", "({} && {})", "({} || {})", "!({} && {})"]),
            conditions,
            conditions,
        ),
        composed(st.just("({} ? {} : {})"), conditions, conditions, conditions),
    )
)
facts = st.fixed_dictionaries(
    {
        "a.amount": AMOUNTS,
        "a.share": AMOUNTS,
        "a.lines": st.integers(-20, 20),
        "a.days": st.integers(-20, 20),
        "a.kind": WORDS,
        "a.tags": st.lists(WORDS, max_size=3),
        "m.vip": st.booleans(),
        "m.new": st.booleans(),
    }
)


def nested(values: dict[str, object]) -> dict[str, dict[str, object]]:
    groups: dict[str, dict[str, object]] = {}
    for name, value in values.items():
        group, _, field = name.partition(".")
        groups.setdefault(group, {})[field] = value
    return groups


@settings(max_examples=400, deadline=None)
@given(rule=conditions, values=facts)
def test_a_condition_means_the_same_in_both_engines(rule: Pair, values: dict[str, object]) -> None:
    ours = _within_limits(rule[0])
    if ours:
        condition = compile_condition(rule[0], VOCABULARY)
        expected = cel.evaluate(rule[1], nested(values))
        assert condition.holds(values) is expected
        outcome = condition.evaluate(values)
        assert outcome.holds is expected
        assert (outcome.failed_part is None) is expected


@settings(max_examples=200, deadline=None)
@given(rule=st.one_of(decimals, wholes), values=facts)
def test_a_formula_means_the_same_in_both_engines(rule: Pair, values: dict[str, object]) -> None:
    if _within_limits(rule[0]):
        amount = compile_formula(rule[0], VOCABULARY).amount(values)
        assert abs(float(amount) - cel.evaluate(rule[1], nested(values))) <= 0.000001


def _within_limits(text: str) -> bool:
    """Large examples may go beyond our limits or the engine's; that is refused, never wrong."""
    try:
        parse(text)
        compile_formula(f"({text}) == ({text}) ? 1 : 2", VOCABULARY)
    except RuleError as error:
        if error.code not in ("too_deep", "too_long"):
            raise
        return False
    return True


SYMBOLS = ("&&", "||", "!", "-", "(", ")", "[", "]", ",", "?", ":", ".", "==", ">=", "<", "+", "*")
CALLS = ("size(", "timestamp(", "duration(", "int(", "string(", "double(", ".contains(", ".size()")
ODDITIES = (
    "a.amout",
    "x",
    "in",
    "1",
    "1.",
    "2.5",
    '"x"',
    "true",
    "null",
    "{",
    "'",
    "//",
    "_",
    "\n",
)
RULE_PIECES = (*TYPES, *SYMBOLS, *CALLS, *ODDITIES, "/", "%")


@settings(max_examples=600, deadline=None)
@given(
    text=st.one_of(
        st.text(max_size=40),
        st.lists(st.sampled_from(RULE_PIECES), max_size=14).map(" ".join),
        conditions.map(lambda pair: pair[0]),
    ),
    values=facts,
)
def test_whatever_is_written_is_a_rule_or_a_rule_error(
    text: str, values: dict[str, object]
) -> None:
    problem = _problem(text, values)
    assert problem is None or (
        problem.message and (problem.position is None or 0 <= problem.position <= len(text))
    )


def _problem(text: str, values: dict[str, object]) -> RuleError | None:
    try:
        compile_condition(text, VOCABULARY).holds(values)
    except RuleError as error:
        return error
    return None
