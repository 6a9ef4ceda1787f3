"""What the author of a rule reads when it is wrong: the exact words, and the place."""

import pytest

from kit.rules import RuleError, Vocabulary, compile_condition
from kit.rules.syntax import MAXIMUM_CHARACTERS, MAXIMUM_DEPTH, MAXIMUM_OPERATORS

VOCABULARY = Vocabulary(
    {
        "activity.amount": "double",
        "activity.lines": "int",
        "activity.type": "string",
        "activity.categories": "list<string>",
        "member.vip": "bool",
    }
)
NO_NULL = "There is no null in rules; a part that needs a field without a value is unknown."
BAD_TEXT = "The text in quotes is not closed, or has a backslash before an ordinary letter."


def refusal(text: str) -> RuleError:
    with pytest.raises(RuleError) as caught:
        compile_condition(text, VOCABULARY)
    assert caught.value.text == text
    return caught.value


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        (
            "activity.amout > 1",
            0,
            "Unknown field 'activity.amout'. Did you mean 'activity.amount'?",
        ),
        (
            "member.vip && amount > 1",
            14,
            "Unknown field 'amount'. Did you mean 'activity.amount'?",
        ),
        (
            "activity > 1",
            0,
            "Unknown field 'activity'. It is a group: write one of activity.amount, "
            "activity.categories, activity.lines, activity.type.",
        ),
        (
            "activity.amount.cents > 1",
            0,
            "Unknown field 'activity.amount.cents'. Did you mean 'activity.amount'?",
        ),
        (
            "xyz == 1",
            0,
            "Unknown field 'xyz'. Known fields: activity.amount, activity.categories, "
            "activity.lines, activity.type, member.vip.",
        ),
    ],
)
def test_an_unknown_field_is_answered_with_the_nearest(
    text: str, position: int, message: str
) -> None:
    error = refusal(text)
    assert (error.code, error.position, error.message) == ("unknown_field", position, message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'activity.type.startwith("p")',
            "Unknown function 'startwith'. Did you mean 'startsWith'?",
        ),
        (
            "sum(1)",
            "Unknown function 'sum'. Functions here: double, duration, int, size, string, "
            "timestamp.",
        ),
        (
            'activity.type.matches("(a+)+")',
            "There is no 'matches'. Use startsWith, endsWith or contains.",
        ),
        (
            'activity.categories.exists(c, c == "x")',
            """There is no 'exists'. Write "value" in the_list.""",
        ),
        ('activity.categories.all(c, c == "x")', "There is no 'all'. Write \"value\" in the_list."),
        (
            "has(activity.amount)",
            "There is no 'has'. A part that needs a field without a value is unknown, "
            "and does not hold.",
        ),
    ],
)
def test_an_unknown_function_is_answered_with_another(text: str, message: str) -> None:
    error = refusal(text)
    assert (error.code, error.message) == ("unknown_function", message)


@pytest.mark.parametrize(
    "name", ["dyn", "type", "uint", "bytes", "matches", "cel.bind", "math.abs"]
)
def test_what_slips_past_the_check_is_not_there(name: str) -> None:
    assert refusal(f"{name}(1) == 1").code in ("unknown_function", "unknown_field")


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("", 0, "The rule is empty."),
        ("  // nothing", 0, "The rule is empty."),
        ("member.vip and true", 11, "Unexpected 'and'. Write && instead."),
        ("member.vip OR true", 11, "Unexpected 'OR'. Write || instead."),
        ("not member.vip", 0, "Unexpected 'not'. Write ! instead."),
        ("activity.lines = 3", 15, "Unexpected '='. Write == to compare."),
        ("member.vip & true", 11, "Unexpected '&'. Write && for 'and'."),
        ("activity.type == “x”", 17, "Unexpected '“'. Use straight quotes: \"text\"."),
        ("（member.vip）", 0, "Unexpected '（'. Use ASCII parentheses."),
        ('activity.type == "x', 17, f"Unexpected '\"'. {BAD_TEXT}"),
        ('activity.type == "\\q"', 17, f"Unexpected '\"'. {BAD_TEXT}"),
        ("activity.amount >", 17, "Something is missing after '>'."),
        ("(member.vip", 11, "Something is missing after 'vip'. Expected ')'."),
        ("activity.", 9, "Something is missing after '.'."),
        ("member.vip true", 11, "Unexpected 'true'."),
        ("activity.lines > 1.", 17, "Unexpected '1.'. A number is written 1000 or 9.99."),
        ("activity.lines > 1u", 17, "Unexpected '1u'. A number is written 1000 or 9.99."),
        (
            "activity.lines > 1,000",
            18,
            "Unexpected ','. A comma belongs in a list or a call; write 1000 for a thousand.",
        ),
        ("null", 0, f"Unexpected 'null'. {NO_NULL}"),
        ("activity.lines == null", 18, f"Unexpected 'null'. {NO_NULL}"),
        ("[null, true][0] && true", 1, f"Unexpected 'null'. {NO_NULL}"),
        ('{"a": null}["a"] == 1', 0, "Unexpected '{'. Maps are not part of rules."),
        ("!-activity.lines", 1, "Unexpected '-'."),
        ("activity.lines > 99999999999999999999", 17, "The number is too large."),
        (
            'activity.type == "a\x00"',
            19,
            "The rule has an invisible character; type it again instead of pasting.",
        ),
    ],
)
def test_a_mistake_in_writing_is_answered_with_the_right_way(
    text: str, position: int, message: str
) -> None:
    error = refusal(text)
    assert (error.code, error.position, error.message) == ("syntax", position, message)


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        (
            'activity.amount > "x"',
            16,
            """'>' does not fit: 'activity.amount' is a decimal number and '"x"' is text.""",
        ),
        (
            "activity.amount >= 100 && activity.amount > activity.lines + 1",
            42,
            "'>' does not fit: 'activity.amount' is a decimal number and 'activity.lines + 1' "
            "is a whole number. Write double(activity.lines + 1).",
        ),
        ("activity.amount && true", 16, "'&&' needs conditions, but 'activity.amount' is a "
         "decimal number."),
        ("!activity.type", 0, "'!' needs conditions, but 'activity.type' is text."),
        (
            "activity.amount % 2 == 1",
            16,
            "'%' needs two whole numbers, but 'activity.amount' is a decimal number and '2' is a "
            "decimal number.",
        ),
        ("size(1) > 2", 4, "size() does not fit: '1' is a whole number."),
        ("size() > 2", 4, "size() does not fit: check what stands in its brackets."),
        (
            "member.vip\n&& activity.type > 3",
            28,
            "'>' does not fit: 'activity.type' is text and '3' is a whole number.",
        ),
    ],
)  # fmt: skip
def test_types_that_do_not_fit_are_named_in_plain_words(
    text: str, position: int, message: str
) -> None:
    error = refusal(text)
    assert (error.code, error.position, error.message) == ("wrong_type", position, message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[1, "a"][0] == 1', "A list holds one kind of value; this one mixes several."),
        (
            'timestamp("tomorrow") > timestamp("2027-01-31T00:00:00Z")',
            'timestamp("tomorrow") cannot be read; write timestamp("2027-01-31T00:00:00Z").',
        ),
        (
            'duration("2 weeks") > duration("36h")',
            'duration("2 weeks") cannot be read; write duration("36h").',
        ),
    ],
)
def test_a_constant_that_cannot_work_is_refused_when_saved(text: str, message: str) -> None:
    error = refusal(text)
    assert (error.code, error.message) == ("wrong_value", message)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("activity.amount", "a decimal number"),
        ("activity.lines", "a whole number"),
        ("activity.type", "text"),
        ("activity.categories", "a list of texts"),
        ("member.vip ? 1 : 2", "a whole number"),
    ],
)
def test_a_condition_must_be_true_or_false(text: str, kind: str) -> None:
    error = refusal(text)
    assert error.code == "not_a_condition"
    assert error.message == (
        f"A condition is true or false, but this is {kind}. Compare it with something."
    )


@pytest.mark.parametrize(
    "text",
    [
        "[1].exists(x, x == 1)",
        "[1].map(x, x) == [1]",
        '"a".matches("a")',
        "dyn(1) == 1",
        "type(1) == int",
        "uint(1) == 1u",
        'bytes("a") == b"a"',
        "int(2.5) == 2",
    ],
)
def test_the_engine_itself_is_without_them_too(text: str) -> None:
    with pytest.raises(RuntimeError, match=r"undeclared reference|no matching overload"):
        VOCABULARY.engine.compile(text)


def test_length_depth_and_number_of_operators_are_limited() -> None:
    longest = "true" + " " * (MAXIMUM_CHARACTERS - 4)
    assert compile_condition(longest, VOCABULARY).holds({})
    assert refusal(longest + " ").message == "A rule may have 2000 characters; this one has 2001."
    deepest = "(" * (MAXIMUM_DEPTH - 1) + "true" + ")" * (MAXIMUM_DEPTH - 1)
    assert compile_condition(deepest, VOCABULARY).holds({})
    assert refusal(f"({deepest})").message == "The rule is nested more than 24 deep."
    chain = "true" + "&&true" * MAXIMUM_OPERATORS
    assert compile_condition(chain, VOCABULARY).holds({})
    assert refusal(f"{chain}&&true").message == "A rule may have 200 operators; this one has more."
    assert refusal("1" + "+1" * 60 + " > 0").code == "too_deep"
