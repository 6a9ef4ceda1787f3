"""A condition holds or not, says which part failed, and never guesses."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from kit.rules import Condition, RuleError, Vocabulary, compile_condition

VOCABULARY = Vocabulary(
    {
        "activity.amount": "double",
        "activity.lines": "int",
        "activity.type": "string",
        "activity.categories": "list<string>",
        "activity.at": "timestamp",
        "activity.rating": "int",
        "member.vip": "bool",
    }
)
FACTS = VOCABULARY.bind(
    {
        "activity.amount": 120.5,
        "activity.lines": 3,
        "activity.type": "purchase",
        "activity.categories": ("dairy", "fruit"),
        "activity.at": datetime(2027, 3, 1, 12, tzinfo=UTC),
        "activity.rating": None,
        "member.vip": True,
    }
)


def condition(text: str) -> Condition:
    return compile_condition(text, VOCABULARY)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("true", True),
        ("member.vip", True),
        ("!member.vip", False),
        ('activity.type == "purchase" && activity.amount > 100.0', True),
        ('activity.type == "review" || activity.lines == 3', True),
        ('"dairy" in activity.categories', True),
        ("size(activity.categories) == 2", True),
        ("activity.categories.size() > 2", False),
        ('size("金卡") == 2', True),
        ('activity.type.startsWith("pur") && activity.type.endsWith("se")', True),
        ('activity.type in ["visit", "purchase"]', True),
        ('activity.at > timestamp("2027-01-01T00:00:00Z")', True),
        ("activity.at.getHours() == 12", True),
        ('activity.at.getHours("America/New_York") == 7', True),
        ("member.vip ? activity.lines > 2 : activity.lines > 20", True),
        ("activity.lines % 2 == 1", True),
        ("// the big baskets\nactivity.lines > 2", True),
    ],
)
def test_a_condition_holds_or_not(text: str, holds: bool) -> None:
    assert condition(text).holds(FACTS) is holds
    assert condition(text).evaluate(FACTS).holds is holds


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("activity.amount >= 100", True),
        ("100 <= activity.amount", True),
        ("activity.amount > -(100)", True),
        ("activity.amount * 2 + 1 == 242", True),
        ("activity.amount > (member.vip ? 100 : 200)", True),
        ("activity.amount in [10, 120.5]", True),
        ("activity.amount in [10, 20]", False),
        ("activity.amount > 1 / 2", True),
        ('"金🎉" != activity.type && activity.amount >= 100 && activity.amount < 121', True),
        ("double(activity.lines) >= 3 && activity.lines >= 3", True),
        ("activity.lines + 1 == 4", True),
    ],
)
def test_a_whole_number_is_read_as_decimal_where_one_is_meant(text: str, holds: bool) -> None:
    assert condition(text).holds(FACTS) is holds


def test_facts_may_be_given_as_a_plain_mapping() -> None:
    assert condition("activity.amount >= 100").holds({"activity.amount": 100}) is True


def test_the_first_part_that_fails_is_named_as_written() -> None:
    rule = condition('activity.type == "purchase" && (activity.amount>=500 && member.vip)')
    outcome = rule.evaluate(FACTS)
    assert (outcome.holds, outcome.failed_part, outcome.problem) == (
        False,
        "activity.amount>=500",
        None,
    )


def test_a_condition_that_holds_has_no_failed_part() -> None:
    outcome = condition("activity.lines == 3 && member.vip").evaluate(FACTS)
    assert (outcome.holds, outcome.failed_part, outcome.problem) == (True, None, None)


def test_an_or_is_one_part() -> None:
    outcome = condition("activity.lines > 5 || activity.amount > 500 && member.vip").evaluate(FACTS)
    assert outcome.failed_part == "activity.lines > 5 || activity.amount > 500 && member.vip"


def test_a_field_without_a_value_makes_its_part_unknown() -> None:
    rule = condition("activity.rating <= 2")
    with pytest.raises(RuleError) as caught:
        rule.holds(FACTS)
    assert (caught.value.code, caught.value.message) == (
        "no_value",
        "'activity.rating' has no value here.",
    )
    outcome = rule.evaluate(FACTS)
    assert outcome.holds is False
    assert outcome.failed_part == "activity.rating <= 2"
    assert outcome.problem is not None
    assert outcome.problem.code == "no_value"


@pytest.mark.parametrize(
    "text",
    [
        'activity.type == "review" && activity.rating <= 2',
        'activity.rating <= 2 && activity.type == "review"',
    ],
)
def test_a_false_part_settles_the_rule_wherever_the_unknown_part_stands(text: str) -> None:
    assert condition(text).holds(FACTS) is False
    outcome = condition(text).evaluate(FACTS)
    assert (outcome.failed_part, outcome.problem) == ('activity.type == "review"', None)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("activity.lines / (activity.lines - 3) == 1", "division_by_zero"),
        ("activity.lines % (activity.lines - 3) == 1", "division_by_zero"),
        ('activity.categories[2] == "x"', "out_of_range"),
        ("activity.lines + 9223372036854775807 > 0", "out_of_range"),
        ("timestamp(activity.type) > activity.at", "not_evaluated"),
    ],
)
def test_a_rule_that_cannot_be_decided_is_an_error_and_not_a_truthy_text(
    text: str, code: str
) -> None:
    with pytest.raises(RuleError) as caught:
        condition(text).holds(FACTS)
    assert caught.value.code == code
    assert condition(text).evaluate(FACTS).holds is False


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"activity.amount": "much"}, "wrong_value"),
        ({"activity.amount": {"of": "it"}}, "wrong_value"),
        ({"activity.amount": frozenset({1})}, "wrong_value"),
        ({}, "no_value"),
    ],
)
def test_a_value_of_the_wrong_type_is_an_error(values: dict[str, object], code: str) -> None:
    with pytest.raises(RuleError) as caught:
        condition("activity.amount > 1").holds(values)
    assert caught.value.code == code


def test_text_that_is_not_unicode_is_an_error_and_not_a_crash() -> None:
    with pytest.raises(RuleError) as caught:
        condition('activity.type == "x"').holds({"activity.type": "\ud800"})
    assert caught.value.code == "not_evaluated"


def test_values_outside_the_vocabulary_are_refused() -> None:
    with pytest.raises(RuleError) as caught:
        VOCABULARY.bind({"activity.amout": 1.0})
    assert caught.value.code == "not_in_vocabulary"


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(RuleError) as caught:
        VOCABULARY.bind({"activity.at": datetime(2027, 3, 1)})  # noqa: DTZ001
    assert caught.value.code == "wrong_value"


def test_facts_of_another_vocabulary_are_refused() -> None:
    other = Vocabulary({"activity.amount": "double"})
    with pytest.raises(ValueError, match="another vocabulary"):
        condition("activity.amount > 1").holds(other.bind({"activity.amount": 5.0}))


def test_an_unknown_type_in_a_vocabulary_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown types \['money'\]"):
        Vocabulary({"activity.amount": "money"})


def test_a_rule_is_compiled_once() -> None:
    assert condition("activity.amount > 77") is condition("activity.amount > 77")


def test_the_same_text_in_two_vocabularies_is_two_rules() -> None:
    whole = Vocabulary({"n": "int"})
    text = Vocabulary({"n": "string"})
    assert compile_condition("n == n", whole) is not compile_condition("n == n", text)


def test_threads_may_share_a_condition() -> None:
    rule = condition("activity.amount >= 100 && activity.lines > 2")

    def decide(amount: int) -> bool:
        return rule.holds({"activity.amount": amount, "activity.lines": 3})

    amounts = [n % 200 for n in range(4000)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(decide, amounts)) == [amount >= 100 for amount in amounts]
