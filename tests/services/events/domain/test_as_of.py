"""However far the card is, activity n is decided on what the first n−1 made of the member."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.events import AsOf
from contracts.members import CardChange, MemberCard
from services.events.domain.as_of import Progress, absorb, as_of, newest, suffices

START = CardChange(0, 0, "member", "need")
SILVER = CardChange(2, 20, "silver", "acceptance")
GOLD = CardChange(3, 30, "gold", "loyalty")
LAPSE = CardChange(3, 90, "gold", "acceptance")


def card(absorbed: int, *changes: CardChange, due: tuple[CardChange, ...] = ()) -> MemberCard:
    last = (changes or (START,))[-1]
    return MemberCard("M1", absorbed, last.tier, last.stage, 0, "store", changes, due)


def test_a_card_that_is_ahead_is_looked_back_in() -> None:
    ahead = card(9, START, SILVER, GOLD)
    assert as_of(ahead, 3, 30) == AsOf("silver", "acceptance", None, 2)
    assert as_of(ahead, 4, 40) == AsOf("gold", "loyalty", None, 3)


def test_a_card_that_is_just_behind_looks_ahead_to_what_is_due() -> None:
    behind = card(3, START, SILVER, GOLD, due=(LAPSE,))
    assert as_of(behind, 4, 89) == AsOf("gold", "loyalty", None, 3)
    assert as_of(behind, 4, 90) == AsOf("gold", "acceptance", None, 3)


def test_what_was_due_does_not_count_once_the_next_activity_is_absorbed() -> None:
    absorbed = card(4, START, SILVER, GOLD, due=(LAPSE,))
    assert as_of(absorbed, 4, 95) == AsOf("gold", "loyalty", None, 3)


def test_a_late_activity_is_decided_as_of_its_own_time() -> None:
    assert as_of(card(9, START, SILVER, GOLD), 8, 25) == AsOf("silver", "acceptance", None, 7)


def test_before_everything_known_the_first_change_holds() -> None:
    assert as_of(card(9, SILVER, GOLD), 8, 5) == AsOf("silver", "acceptance", None, 7)
    assert as_of(card(0), 1, 5) == AsOf("member", "need", None, 0)


def test_changes_that_the_card_no_longer_lists_are_owned_up_to() -> None:
    short = MemberCard("M1", 9, "gold", "loyalty", 0, "store", (GOLD,), (), complete_from=4)
    assert as_of(short, 4, 40).waited is True
    assert as_of(short, 3, 30).waited is False


def test_the_newest_card_serves_when_there_is_no_time_to_wait() -> None:
    assert newest(card(3, START, SILVER, GOLD, due=(LAPSE,)), 95) == AsOf(
        "gold", "acceptance", None, 3, False
    )


@pytest.mark.parametrize(("seq", "enough"), [(3, True), (4, True), (5, False)])
def test_a_card_suffices_for_the_next_activity_but_not_for_the_one_after(
    seq: int, enough: bool
) -> None:
    assert suffices(card(3), seq) is enough


def test_an_older_card_changes_nothing() -> None:
    progress = absorb(Progress(), card(3, START), 7, 100)
    assert progress.carded_at == 100
    for version in (6, 7):
        assert absorb(progress, card(2, START), version, 200) == progress


def test_older_changes_are_kept_while_activities_before_the_card_are_undecided() -> None:
    late = MemberCard("M1", 9, "gold", "loyalty", 0, "store", (GOLD,), (), complete_from=4)
    progress = absorb(Progress(decided=1), card(2, START, SILVER), 1, 0)
    merged = absorb(progress, late, 2, 0).card
    assert merged is not None
    assert (merged.changes, merged.complete_from) == ((START, SILVER, GOLD), 4)
    caught_up = absorb(Progress(9, 9, None, 0, 1, progress.card), late, 2, 0).card
    assert caught_up == late


def test_what_two_cards_tell_without_a_gap_is_complete_from_the_older_ones_start() -> None:
    late = MemberCard("M1", 9, "gold", "loyalty", 0, "store", (GOLD,), (), complete_from=3)
    merged = absorb(absorb(Progress(), card(2, START, SILVER), 1, 0), late, 2, 0).card
    assert merged is not None
    assert (merged.changes, merged.complete_from) == ((START, SILVER, GOLD), 0)


@dataclass
class History:
    """A member's true course: times of activities, and changes as they came about."""

    times: list[int]
    changes: list[CardChange]
    due: dict[int, tuple[CardChange, ...]]  # by the activity they would follow

    def card(self, absorbed: int) -> MemberCard:
        known = tuple(c for c in self.changes if c.after_seq < absorbed or c.caused(absorbed))
        return card(absorbed, *known, due=self.due.get(absorbed, ()))


class Change(CardChange, frozen=True, array_like=True):
    """A change that knows whether activity ``after_seq`` caused it, or time did afterwards."""

    by_time: bool = False

    def caused(self, seq: int) -> bool:
        return self.after_seq == seq and not self.by_time


@st.composite
def histories(draw: st.DrawFn) -> History:
    count = draw(st.integers(1, 12))
    history = History([], [Change(0, 0, "t0", "s")], {})
    clock = 0
    for seq in range(1, count + 1):
        late = draw(st.booleans()) and clock > 0
        at = draw(st.integers(0, clock)) if late else clock + draw(st.integers(0, 50))
        happened = [c for c in history.due.get(seq - 1, ()) if c.at <= at]
        history.changes += happened  # type: ignore[arg-type]
        clock = max(clock, at, *(c.at for c in happened), 0)
        history.times.append(at)
        if draw(st.booleans()):
            history.changes.append(Change(seq, clock, f"t{seq}", "s"))
        dues, when = [], clock
        for number in range(draw(st.integers(0, 2))):
            when += draw(st.integers(1, 40))
            dues.append(Change(seq, when, f"due{seq}.{number}", "s", None, True))
        history.due[seq] = tuple(dues)
    return history


@given(histories())
def test_a_card_ahead_and_one_just_behind_give_the_same_answer(history: History) -> None:
    last = len(history.times)
    for seq, at in enumerate(history.times, 1):
        behind = as_of(history.card(seq - 1), seq, at)
        for absorbed in range(seq, last + 1):
            assert as_of(history.card(absorbed), seq, at) == behind


@given(histories(), st.data())
def test_a_card_put_together_from_any_of_the_cards_gives_the_same_answer(
    history: History, data: st.DataObject
) -> None:
    last = len(history.times)
    picked = sorted(data.draw(st.sets(st.integers(0, last), min_size=1)))
    progress = Progress()
    for absorbed in picked:
        whole = history.card(absorbed)
        keep = data.draw(st.integers(1, len(whole.changes)))
        complete = 0 if keep == len(whole.changes) else whole.changes[-keep].after_seq + 1
        short = MemberCard(
            "M1", absorbed, "", "", 0, "store", whole.changes[-keep:], whole.due, complete
        )
        progress = absorb(progress, short, absorbed + 1, 0)
        assert progress.card is not None
        for seq in range(max(progress.decided + 1, progress.card.complete_from), absorbed + 1):
            at = history.times[seq - 1]
            if at >= max(history.times[: seq - 1], default=0):
                assert as_of(progress.card, seq, at) == as_of(history.card(last), seq, at)
