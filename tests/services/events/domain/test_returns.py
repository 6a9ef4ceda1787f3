"""Of no line does more come back than was paid for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.events import PurchaseLine, ReturnedLine, ReturnRequest
from kit.errors import ServiceError
from services.events.domain.returns import (
    Purchase,
    take_back,
    take_back_at_most,
    with_returns,
)

LINES = (PurchaseLine(1, 1000), PurchaseLine(2, 250), PurchaseLine(3, 0))
FRESH = Purchase("act_p", 7, 500, LINES, {})


def test_a_return_without_lines_takes_back_all_that_is_left() -> None:
    partly = with_returns(FRESH, [take_back(FRESH, ReturnRequest("act_p", ((1, 300),)))])
    returned = take_back(partly, ReturnRequest("act_p"))
    assert (returned.amount, returned.full, returned.seq) == (950, True, 7)
    assert returned.lines == (
        ReturnedLine(1, 1000, 300, 1000),
        ReturnedLine(2, 250, 0, 250),
        ReturnedLine(3, 0, 0, 0),
    )


def test_a_line_without_an_amount_takes_back_what_is_left_of_it() -> None:
    returned = take_back(FRESH, ReturnRequest("act_p", ((2, None),)))
    assert returned.lines == (ReturnedLine(2, 250, 0, 250),)
    assert (returned.amount, returned.full) == (250, False)


def test_partial_returns_go_to_the_last_cent_and_no_further() -> None:
    purchase = FRESH
    for amount in (999, 1):
        part = take_back(purchase, ReturnRequest("act_p", ((1, amount),)))
        assert (part.amount, part.full) == (amount, False)
        purchase = with_returns(purchase, [part])
    with pytest.raises(ServiceError) as refused:
        take_back(purchase, ReturnRequest("act_p", ((1, 1), (2, 250))))
    assert refused.value.code == "return_exceeds_purchase"
    assert refused.value.facts == {
        "lines": [1],
        "left": [
            {"line": 1, "amount": 0},
            {"line": 2, "amount": 250},
            {"line": 3, "amount": 0},
        ],
    }


def test_a_purchase_that_is_gone_cannot_be_returned_again() -> None:
    gone = with_returns(FRESH, [take_back(FRESH, ReturnRequest("act_p"))])
    with pytest.raises(ServiceError, match="return_exceeds_purchase"):
        take_back(gone, ReturnRequest("act_p"))


def test_a_basket_worth_nothing_comes_back_once() -> None:
    basket = Purchase("act_p", 1, 0, (PurchaseLine(1, 0),), {})
    returned = take_back(basket, ReturnRequest("act_p"))
    assert (returned.amount, returned.full) == (0, True)
    with pytest.raises(ServiceError, match="return_exceeds_purchase"):
        take_back(with_returns(basket, [returned]), ReturnRequest("act_p"))


def test_a_line_that_the_purchase_does_not_have_is_refused() -> None:
    with pytest.raises(ServiceError) as refused:
        take_back(FRESH, ReturnRequest("act_p", ((9, 1),)))
    assert (refused.value.code, refused.value.facts["lines"]) == ("unknown_line", [9])


def test_a_return_that_came_first_is_cut_to_what_there_is() -> None:
    returned = take_back_at_most(FRESH, ReturnRequest("act_p", ((1, 5000), (9, 1))))
    assert returned.lines == (ReturnedLine(1, 1000, 0, 1000),)
    assert (returned.amount, returned.full) == (1000, False)


def test_a_second_return_that_came_first_finds_nothing_left() -> None:
    gone = with_returns(FRESH, [take_back_at_most(FRESH, ReturnRequest("act_p"))])
    nothing = take_back_at_most(gone, ReturnRequest("act_p"))
    assert (nothing.amount, nothing.lines) == (0, ())


amounts = st.lists(st.integers(0, 50), min_size=1, max_size=5)
asked = st.lists(st.tuples(st.integers(1, 6), st.none() | st.integers(1, 60)), max_size=3)


@given(amounts, st.lists(asked, max_size=12), st.booleans())
def test_whatever_is_asked_no_line_comes_back_twice(
    paid: list[int], requests: list[list[tuple[int, int | None]]], cut: bool
) -> None:
    lines = tuple(PurchaseLine(n, amount) for n, amount in enumerate(paid, 1))
    purchase, given_back = Purchase("act_p", 1, 0, lines, {}), 0
    for request in requests:
        unique = ReturnRequest("act_p", tuple(dict(request).items()))
        try:
            returned = (take_back_at_most if cut else take_back)(purchase, unique)
        except ServiceError:
            continue
        purchase, given_back = with_returns(purchase, [returned]), given_back + returned.amount
        assert returned.amount == sum(line.after - line.before for line in returned.lines)
        assert returned.full == (given_back == sum(paid))
        assert all(0 <= line.before <= line.after <= line.amount for line in returned.lines)
    assert sum(purchase.taken.values()) == given_back <= sum(paid)
