"""What a new activity adds to a member's stream."""

import msgspec
import pytest

from contracts.envelope import Fact
from contracts.events import (
    ActivityRecorded,
    PurchaseLine,
    ReturnMatched,
    ReturnRequest,
)
from kit.errors import ServiceError
from services.events.domain.recording import (
    LOOK_AGAIN,
    ActivityFold,
    ActivityState,
    Record,
    Recorded,
    record,
)
from services.events.domain.returns import MOST_WAITING, Purchase

FOLD = ActivityFold()
LINES = (PurchaseLine(1, 1000), PurchaseLine(2, 500))


def purchase(name: str = "act_p") -> ActivityRecorded:
    return ActivityRecorded(name, "M1", "pos", name, "purchase", "store", 1500, LINES)


def returning(name: str, of: str = "act_p", *lines: tuple[int, int | None]) -> ActivityRecorded:
    request = ReturnRequest(of, lines)
    return ActivityRecorded(name, "M1", "pos", name, "return", "store", requested=request)


def applied(state: ActivityState, facts: list[Recorded]) -> ActivityState:
    for new in facts:
        body = msgspec.Raw(msgspec.json.encode(new.body))
        kind = type(new.body).__name__
        fact = Fact("activity:M1", state.seq + 1, new.key, kind, new.occurred_at, 0, body)
        state = FOLD.apply(state, fact, new.body)
    return state


def test_a_purchase_is_one_fact_and_leaves_nothing_but_its_place() -> None:
    facts = record(ActivityState(), Record(purchase(), 5))
    assert facts == [Recorded("act_p", 5, purchase())]
    assert applied(ActivityState(), facts) == ActivityState(seq=1)


def test_a_return_of_a_known_purchase_says_what_it_takes_back() -> None:
    known = Purchase("act_p", 1, 5, LINES, {1: 400})
    command = Record(returning("act_r", "act_p", (1, None)), 9, known, looked_at=1)
    (fact,) = record(ActivityState(seq=1), command)
    assert isinstance(fact.body, ActivityRecorded)
    assert fact.body.returned is not None
    assert (fact.body.returned.amount, fact.body.returned.full) == (600, False)


def test_a_return_before_its_purchase_waits_and_is_matched_when_it_comes() -> None:
    waiting = record(ActivityState(), Record(returning("act_r"), 9, None, looked_at=0))
    state = applied(ActivityState(), waiting)
    facts = record(state, Record(purchase(), 5))
    assert [fact.key for fact in facts] == ["act_p", "act_r.matched"]
    match = facts[1].body
    assert isinstance(match, ReturnMatched)
    assert (match.returned.seq, match.returned.amount, match.returned.full) == (2, 1500, True)
    assert facts[1].occurred_at == 9
    assert applied(state, facts) == ActivityState(seq=3)


def test_a_match_that_was_not_written_is_written_with_the_next_activity() -> None:
    state = applied(
        ActivityState(), record(ActivityState(), Record(returning("act_r"), 9, None, 0))
    )
    halfway = applied(state, record(state, Record(purchase(), 5))[:1])
    assert [owed.match.activity_id for owed in halfway.owed] == ["act_r"]
    facts = record(halfway, Record(purchase("act_q"), 12))
    assert [fact.key for fact in facts] == ["act_r.matched", "act_q"]
    assert applied(halfway, facts) == ActivityState(seq=4)


def test_a_return_counts_a_match_that_is_owed() -> None:
    early = record(ActivityState(), Record(returning("act_r", "act_p", (1, 900)), 9, None, 0))
    state = applied(ActivityState(), early)
    halfway = applied(state, record(state, Record(purchase(), 5))[:1])
    known = Purchase("act_p", 2, 5, LINES, {})
    facts = record(halfway, Record(returning("act_s"), 12, known, looked_at=2))
    body = facts[1].body
    assert isinstance(body, ActivityRecorded)
    assert body.returned is not None
    assert body.returned.amount == 600


def test_a_stream_that_has_moved_on_makes_the_caller_look_again() -> None:
    with pytest.raises(ServiceError) as stale:
        record(ActivityState(seq=3), Record(returning("act_r"), 9, None, looked_at=2))
    assert stale.value.code == LOOK_AGAIN


def test_returns_that_wait_are_limited() -> None:
    state = ActivityState()
    for number in range(MOST_WAITING):
        command = Record(returning(f"act_{number}", f"act_p{number}"), 9, None, state.seq)
        state = applied(state, record(state, command))
    with pytest.raises(ServiceError, match="too_many_waiting_returns"):
        record(state, Record(returning("act_r"), 9, None, state.seq))


def test_the_state_survives_being_written_down() -> None:
    state = applied(
        ActivityState(), record(ActivityState(), Record(returning("act_r"), 9, None, 0))
    )
    halfway = applied(state, record(state, Record(purchase(), 5))[:1])
    for each in (state, halfway):
        assert msgspec.json.decode(msgspec.json.encode(each), type=ActivityState) == each
