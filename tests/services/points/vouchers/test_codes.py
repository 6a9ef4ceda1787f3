"""Codes: what people mistype is noticed, and what they write differently is the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.points.domain.codes import ALPHABET, LENGTH, code_of, grouped, parse
from services.points.domain.voucher_errors import CodeFormat, CodeMistyped

NUMBERS = st.integers(0, 2**90 - 1)


@given(NUMBERS)
def test_every_single_substitution_is_noticed(number: int) -> None:
    code = code_of(number)
    for place in range(LENGTH):
        for sign in ALPHABET.replace(code[place], ""):
            with pytest.raises(CodeMistyped):
                parse(code[:place] + sign + code[place + 1 :])


@given(NUMBERS)
def test_every_swap_of_two_different_characters_is_noticed_adjacent_or_not(number: int) -> None:
    code = code_of(number)
    for first in range(LENGTH):
        for second in range(first + 1, LENGTH):
            signs = list(code)
            signs[first], signs[second] = signs[second], signs[first]
            if signs == list(code):
                continue
            with pytest.raises(CodeMistyped):
                parse("".join(signs))


@given(NUMBERS, st.data())
def test_any_two_wrong_characters_are_noticed(number: int, data: st.DataObject) -> None:
    signs = list(code_of(number))
    places = data.draw(st.lists(st.integers(0, LENGTH - 1), min_size=2, max_size=2, unique=True))
    for place in places:
        signs[place] = data.draw(st.sampled_from(ALPHABET.replace(signs[place], "")))
    with pytest.raises(CodeMistyped):
        parse("".join(signs))


@given(NUMBERS, NUMBERS)
def test_two_numbers_have_two_codes(one: int, two: int) -> None:
    assert (code_of(one) == code_of(two)) == (one == two)


@given(NUMBERS, st.data())
def test_a_code_is_the_same_however_it_is_written(number: int, data: st.DataObject) -> None:
    code = code_of(number)
    lookalikes = {"0": "0Oo", "1": "1IiLl"}
    written = "".join(
        data.draw(st.sampled_from(lookalikes.get(sign, sign + sign.lower()))) for sign in code
    )
    groups = [written[start : start + 4] for start in range(0, LENGTH, 4)]
    assert parse(data.draw(st.sampled_from([" ", "-", " - ", ""])).join(groups)) == code


def test_a_code_is_shown_in_five_groups_of_four() -> None:
    assert grouped(code_of(123456789012345678901234567)) == "363V-YZ2P-7JN0-P9YJ-W7MM"
    assert grouped(code_of(2**90 - 1)) == "ZZZZ-ZZZZ-ZZZZ-ZZZZ-ZZWW"


@pytest.mark.parametrize(
    "text", ["", "SHORT12", "A" * 41, "-" * 65, "CODE!234", "CAFÉ-2026", "１２３４５６７８"]
)
def test_what_cannot_be_a_code_is_refused_as_such(text: str) -> None:
    with pytest.raises(CodeFormat):
        parse(text)


def test_a_printed_code_is_read_as_it_may_be_typed() -> None:
    assert parse("spring-o1il 7") == "SPR1NG01117"
    assert grouped("SPR1NG01117") == "SPR1NG01117"
