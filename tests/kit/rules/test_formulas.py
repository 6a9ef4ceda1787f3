"""A formula is a number, exact to a millionth; rounding is the caller's."""

from decimal import Decimal

import pytest

from kit.rules import RuleError, Vocabulary, compile_formula

VOCABULARY = Vocabulary({"amount": "double", "lines": "int", "vip": "bool", "name": "string"})
FACTS = VOCABULARY.bind({"amount": 2.3, "lines": 3, "vip": True, "name": "x"})


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("lines", "3"),
        ("lines * 10 + 1", "31"),
        ("amount * 100", "230"),
        ("0.1 + 0.2", "0.3"),
        ("vip ? 5 : 2", "5"),
        ("vip ? 5 : 2.5", "5"),
        ("amount * (vip ? 2 : 1)", "4.6"),
        ("amount / 3", "0.766667"),
        ("double(lines) * amount", "6.9"),
        ("-amount", "-2.3"),
    ],
)
def test_a_formula_is_an_exact_decimal(text: str, amount: str) -> None:
    assert compile_formula(text, VOCABULARY).amount(FACTS) == Decimal(amount)


@pytest.mark.parametrize("text", ["amount / 0", "-amount / 0", "0.0 / 0.0", "amount * 1e300 * 1e9"])
def test_a_result_that_is_no_usable_number_is_an_error(text: str) -> None:
    with pytest.raises(RuleError) as caught:
        compile_formula(text, VOCABULARY).amount(FACTS)
    assert caught.value.code == "out_of_range"


def test_a_formula_that_lacks_a_value_is_an_error() -> None:
    with pytest.raises(RuleError) as caught:
        compile_formula("amount * 2", VOCABULARY).amount({"lines": 1})
    assert (caught.value.code, caught.value.message) == ("no_value", "'amount' has no value here.")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vip", "A formula is a number, but this is a yes or no."),
        ("name", "A formula is a number, but this is text."),
        ("[1]", "A formula is a number, but this is a list of whole numbers."),
    ],
)
def test_a_formula_must_be_a_number(text: str, message: str) -> None:
    with pytest.raises(RuleError) as caught:
        compile_formula(text, VOCABULARY)
    assert (caught.value.code, caught.value.message) == ("not_a_number", message)


def test_cutting_decimals_is_not_offered() -> None:
    """In CEL int(2.3 * 100) is 229."""
    with pytest.raises(RuleError) as caught:
        compile_formula("int(amount * 100)", VOCABULARY)
    assert caught.value.message == "int() does not fit: 'amount * 100' is a decimal number."
