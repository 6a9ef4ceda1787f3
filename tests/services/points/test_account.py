"""The rules of the ledger, on plain values."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.events import Grant, ReturnedLine, ReturnedPurchase
from contracts.points import PointsPosted, Posting
from services.points.domain.account import (
    Account,
    Earn,
    TakeBack,
    apply,
    check_balanced,
    decide,
    taken_back,
)
from services.points.domain.errors import UnbalancedEntry

GRANTS = (
    Grant("base", "base", 12, ((1, 800, 10), (2, 200, 2))),
    Grant("base", "tier", 10, ((1, 800, 8), (2, 200, 2))),
)


def earn(seq: int = 1, grants: tuple[Grant, ...] = GRANTS) -> Earn:
    return Earn("M1", "act_1", seq, 1_000, grants)


def returned(*lines: ReturnedLine, full: bool = False) -> ReturnedPurchase:
    return ReturnedPurchase("act_1", 1, 1_000, 0, full, lines)


def test_earning_posts_each_wallet_against_issuance() -> None:
    entry = decide(Account(), earn())
    assert entry is not None
    assert entry.postings == (
        Posting("member/base", "base", 12),
        Posting("issuance/base", "base", -12),
        Posting("member/tier", "tier", 10),
        Posting("issuance/tier", "tier", -10),
    )
    assert entry.balances == {"base": 12, "tier": 10}
    assert apply(Account(), entry) == Account(1, {"base": 12, "tier": 10})


def test_a_decision_already_absorbed_makes_no_entry() -> None:
    assert decide(Account(absorbed=3, balances={"base": 5}), earn(seq=3)) is None


def test_a_decision_that_grants_nothing_makes_no_entry() -> None:
    assert decide(Account(), earn(grants=(Grant("base", "base", 0),))) is None


def test_a_full_return_takes_back_all_that_was_earned() -> None:
    account = Account(1, {"base": 12, "tier": 10})
    lines = (ReturnedLine(1, 800, 0, 800), ReturnedLine(2, 200, 0, 200))
    command = TakeBack("M1", "act_2", 2, 2_000, returned(*lines, full=True), GRANTS)
    entry = decide(account, command)
    assert entry is not None
    assert (entry.kind, entry.reverses) == ("return", "act_1")
    assert apply(account, entry) == Account(2, {"base": 0, "tier": 0})


def test_a_partial_return_takes_back_its_share_rounded_down() -> None:
    earned = (Grant("base", "base", 10, ((1, 800, 10),)),)
    assert taken_back(earned, [ReturnedLine(1, 800, 0, 100)]) == {"base": 1}
    assert taken_back(earned, [ReturnedLine(1, 800, 100, 800)]) == {"base": 9}


def test_what_each_campaign_earned_on_a_line_is_taken_back() -> None:
    more = Grant("double", "base", 3, ((1, 800, 3),))
    part = [ReturnedLine(1, 800, 0, 800)]
    assert taken_back((*GRANTS, more), part) == {"base": 13, "tier": 8}


def test_a_return_of_a_line_that_earned_nothing_makes_no_entry() -> None:
    command = TakeBack("M1", "act_2", 2, 2_000, returned(ReturnedLine(9, 5, 0, 5)), ())
    assert decide(Account(1, {"base": 12}), command) is None


def test_an_unbalanced_entry_is_refused() -> None:
    entry = PointsPosted("e", "M1", "earn", "a", 1, (Posting("member/base", "base", 1),), {})
    with pytest.raises(UnbalancedEntry):
        check_balanced(entry)


@given(
    points=st.integers(0, 10**9),
    amount=st.integers(1, 10**12),
    cuts=st.lists(st.integers(0, 10**12), max_size=8),
)
def test_in_however_many_parts_a_line_comes_back_it_gives_what_it_earned(
    points: int, amount: int, cuts: list[int]
) -> None:
    steps = [0, *sorted(min(cut, amount) for cut in cuts), amount]
    earned = (Grant("base", "base", points, ((1, amount, points),)),)
    parts = [
        taken_back(earned, [ReturnedLine(1, amount, before, after)]).get("base", 0)
        for before, after in pairwise(steps)
    ]
    assert all(part >= 0 for part in parts)
    assert sum(parts) == points
