"""How often a journal is asked for news, by who appends to it."""

import pytest
from msgspec import Raw

from contracts.envelope import Fact
from kit.journal.outlook import (
    ALONE_AFTER_SECONDS,
    ALONE_POLL_SECONDS,
    IDLE_POLL_SECONDS,
    LOOK_BACK_MICROSECONDS,
    NOTES_AFTER_SECONDS,
    NOTES_POLL_SECONDS,
    POLL_SECONDS,
    QUIET_AFTER_SECONDS,
    QUIET_POLL_SECONDS,
    WHOLE_EVERY_SECONDS,
    Outlook,
)
from kit.mongo.driver import Row

OURS, THEIRS = "a:1/000000000001", "a:2/000000000001"


class Time:
    """Stands still until it is moved."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def row(id_: str) -> Row:
    return {"_id": id_}


def fact(stream: str, seq: int, posted_at: int = 2) -> Fact:
    return Fact(stream, seq, f"k{seq}", "Tested", 1, posted_at, Raw(b"{}"))


def test_who_appends_alone_asks_seldom() -> None:
    time = Time()
    outlook = Outlook(time)
    outlook.appending([OURS])
    assert not outlook.alone
    time.now += ALONE_AFTER_SECONDS + 1
    outlook.found([row(OURS)])
    assert outlook.alone
    assert outlook.pause(0.0) == ALONE_POLL_SECONDS


def test_another_ones_fact_makes_it_ask_often_and_silence_less_often() -> None:
    time = Time()
    outlook = Outlook(time)
    outlook.appending([OURS])
    time.now += ALONE_AFTER_SECONDS + 1
    outlook.found([row(OURS), row(THEIRS)])
    assert outlook.pause(0.0) == POLL_SECONDS
    time.now += 2
    assert outlook.pause(0.0) == IDLE_POLL_SECONDS


def test_who_only_relays_never_takes_itself_for_alone() -> None:
    time = Time()
    outlook = Outlook(time)
    time.now += ALONE_AFTER_SECONDS + 1
    assert not outlook.alone


def test_a_journal_of_which_nothing_is_heard_is_asked_less_and_less() -> None:
    time = Time()
    outlook = Outlook(time)
    outlook.found([row(THEIRS)])
    pauses = [outlook.pause(0.0)]
    for seconds in (2, QUIET_AFTER_SECONDS):
        time.now += seconds
        pauses.append(outlook.pause(0.0))
    assert pauses == [POLL_SECONDS, IDLE_POLL_SECONDS, QUIET_POLL_SECONDS]
    outlook.found([row(THEIRS)])
    assert outlook.pause(0.0) == POLL_SECONDS


def test_only_where_others_were_just_heard_the_first_question_is_asked_at_once() -> None:
    time = Time()
    outlook = Outlook(time)
    assert outlook.first_pause() == 0.0
    time.now += 2
    assert outlook.first_pause() == IDLE_POLL_SECONDS
    time.now += ALONE_AFTER_SECONDS
    outlook.appending([OURS])
    assert outlook.first_pause() == ALONE_POLL_SECONDS


def test_that_a_poll_found_nothing_is_an_answer_too() -> None:
    outlook = Outlook(Time())
    outlook.glimpsed(10, [])
    assert outlook.glimpse(10) == []
    assert outlook.glimpse(10) is None


def test_questions_begin_before_the_last_that_is_published_and_each_second_at_the_very_first() -> (
    None
):
    time = Time()
    outlook = Outlook(time)
    assert [outlook.since(), outlook.since()] == [0, 1]
    at = 5 * LOOK_BACK_MICROSECONDS
    outlook.marked([fact("a:1", 1, at), fact("a:2", 1, at - 7)])
    assert outlook.since() == at - LOOK_BACK_MICROSECONDS
    time.now += WHOLE_EVERY_SECONDS
    assert [outlook.since(), outlook.since()] == [0, at - LOOK_BACK_MICROSECONDS]


def test_a_refused_draft_is_another_ones_fact() -> None:
    time = Time()
    outlook = Outlook(time)
    outlook.appending([OURS])
    outlook.refused([OURS])
    time.now += ALONE_AFTER_SECONDS + 1
    outlook.found([row(OURS)])
    assert not outlook.alone


def test_a_fact_whose_mark_is_gone_is_known_to_be_published_with_all_before_it() -> None:
    outlook = Outlook()
    outlook.marked([fact("a:1", 3), fact("a:1", 2)])
    assert [outlook.published("a:1", seq) for seq in (0, 2, 3, 4)] == [True, True, True, False]
    assert not outlook.published("a:2", 1)


def test_what_a_poll_has_found_is_good_once_and_for_the_same_question() -> None:
    time = Time()
    outlook = Outlook(time)
    outlook.glimpsed(10, [row(OURS)])
    assert outlook.glimpse(10) == [row(OURS)]
    assert outlook.glimpse(10) is None
    outlook.glimpsed(10, [row(OURS)])
    assert outlook.glimpse(20) is None
    outlook.glimpsed(10, [row(OURS)])
    time.now += 1
    assert outlook.glimpse(10) is None
    outlook.glimpsed(10, [row(OURS)])
    outlook.marked([fact("a:1", 1)])
    assert outlook.glimpse(10) is None


def test_notes_are_asked_for_each_second_and_more_often_where_others_write_some() -> None:
    time = Time()
    outlook = Outlook(time)
    assert outlook.notes_due()
    outlook.appending(["ours"])
    outlook.noted(["ours"])
    due: list[float] = []
    for _ in range(2):
        due.append(next_due(outlook, time))
        outlook.noted(["theirs"])
    time.now += NOTES_AFTER_SECONDS
    outlook.noted([])
    due.append(next_due(outlook, time))
    expected = [WHOLE_EVERY_SECONDS, NOTES_POLL_SECONDS, WHOLE_EVERY_SECONDS]
    assert due == pytest.approx(expected, abs=0.011)


def next_due(outlook: Outlook, time: Time) -> float:
    """Return after how long notes are due, to the hundredth of a second."""
    for hundredths in range(200):
        if outlook.notes_due():
            return hundredths / 100
        time.now = round(time.now + 0.01, 2)
    return 2.0


def test_another_ones_note_is_another_ones_append() -> None:
    time = Time()
    outlook = Outlook(time)
    outlook.appending([OURS])
    time.now += ALONE_AFTER_SECONDS + 1
    outlook.noted([])
    assert outlook.alone
    outlook.noted(["theirs"])
    assert not outlook.alone


def test_published_without_a_mark_moves_no_question() -> None:
    outlook = Outlook(Time())
    outlook.published_all([fact("a:1", 3, 9 * LOOK_BACK_MICROSECONDS)])
    assert outlook.published("a:1", 3)
    assert [outlook.since(), outlook.since()] == [0, 1]
