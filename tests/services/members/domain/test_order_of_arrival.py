"""Properties: any order of arrival, any duty in between and any return end where they should."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from services.members.domain.relationship import Step, advance, beginning, fold
from services.members.domain.rules import EVIDENCE
from services.members.domain.state import Activity, Relationship
from tests.services.members.domain.rules_for_tests import (
    DAY,
    RULES,
    START,
    activity,
    given_back,
    purchase,
)

HOUR = DAY // 24
KINDS = ("purchase", "purchase", "purchase", "visit", "share", "review", "custom")


@dataclass(frozen=True)
class Event:
    """Something that happens at ``at``; ``parts`` are shares in percent, given back later."""

    at: int
    kind: str
    name: str
    amount: int = 0
    rating: int | None = None
    parts: tuple[tuple[int, int], ...] = ()

    @property
    def done(self) -> Activity:
        if self.kind == "purchase":
            return purchase(self.name, self.amount)
        return activity(self.kind, self.name, rating=self.rating)


RETURNS = st.lists(
    st.tuples(st.integers(0, 4000), st.sampled_from((30, 100))), min_size=0, max_size=2
)


@st.composite
def events(draw: st.DrawFn, most: int = 14) -> list[Event]:
    found, at = [], START
    for place in range(draw(st.integers(1, most))):
        at += draw(st.sampled_from((0, 1, 5 * HOUR, 9 * DAY, 25 * DAY, 100 * DAY))) * draw(
            st.integers(0, 3)
        )
        kind = draw(st.sampled_from(KINDS))
        rating = draw(st.one_of(st.none(), st.integers(1, 5))) if kind == "review" else None
        amount = draw(st.sampled_from((0, 1, 200_00, 590_00, 1200_00)))
        parts = tuple(draw(RETURNS)) if kind == "purchase" else ()
        found.append(Event(at, kind, f"e{place:02}", amount, rating, parts))
    return found


def arrivals(happened: Sequence[Event], order: Sequence[int]) -> list[tuple[int, Activity]]:
    """The facts of the activity stream when things arrive in this order.

    A return that arrives before its purchase is recorded unmatched, and again once it is matched.
    """
    stream: list[tuple[int, Activity]] = []
    bought: dict[str, tuple[int, int, int]] = {}
    waiting: dict[str, list[tuple[str, int, int]]] = {}

    def give_back(event: Event, name: str, at: int, percent: int) -> None:
        seq, left, _ = bought[event.name]
        money = left if percent == 100 else event.amount * percent // 100
        bought[event.name] = (seq, left - money, 1)
        original = replace(event.done, amount=left)
        stream.append((at, given_back(name, original, seq, event.at, money)))

    for event, name, at, percent in (_expanded(happened)[place] for place in order):
        if name == event.name:
            stream.append((at, event.done))
            bought[event.name] = (len(stream), event.amount, 0)
            for waited in sorted(waiting.pop(event.name, [])):
                give_back(event, *waited)
        elif event.name in bought:
            give_back(event, name, at, percent)
        else:
            stream.append((at, activity("return", name)))
            waiting.setdefault(event.name, []).append((name, at, percent))
    return stream


def _expanded(happened: Sequence[Event]) -> list[tuple[Event, str, int, int]]:
    """Every event and every return on its own: (event, name, at, percent given back).

    A purchase given back twice is so in part first and in full last, whatever the order: then
    amounts add up in any order of arrival.
    """
    found = []
    for event in happened:
        found.append((event, event.name, event.at, 0))
        returned = sorted(event.parts, key=lambda part: part[1])[:1]
        found += [
            (event, f"{event.name}r", event.at + hours * HOUR, percent)
            for hours, percent in returned
        ]
    return found


def folded(stream: Sequence[tuple[int, Activity]]) -> tuple[Relationship, list[Step]]:
    state, steps = beginning(RULES), []
    for seq, (at, done) in enumerate(stream, 1):
        steps.append(fold(state, done, seq, at, RULES))
        state = steps[-1].state
    return state, steps


def present(state: Relationship) -> object:
    """What must not depend on the order of arrival."""
    due = [(change.at, change.tier, change.stage) for change in state.due]
    known = replace(state.known, seqs=())
    return state.clock, state.tier, state.stage, due, known, state.spend


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_any_order_of_arrival_ends_in_the_same_tier_and_stage(data: st.DataObject) -> None:
    happened = data.draw(events())
    places = list(range(len(_expanded(happened))))
    in_order = sorted(places, key=lambda place: _expanded(happened)[place][2])
    shuffled = data.draw(st.permutations(places))
    straight, _ = folded(arrivals(happened, in_order))
    crooked, steps = folded(arrivals(happened, shuffled))
    assert present(crooked) == present(straight)
    assert_gapless(steps)


@settings(max_examples=60, deadline=None)
@given(events(), st.sets(st.integers(0, 13)))
def test_a_purchase_returned_in_full_has_never_been(
    happened: list[Event], undone: set[int]
) -> None:
    kept = [replace_parts(e, ()) for n, e in enumerate(happened) if n not in undone]
    whole = [
        replace_parts(e, ((24, 100),) if n in undone and e.kind == "purchase" else ())
        for n, e in enumerate(happened)
        if n not in undone or e.kind == "purchase"
    ]
    end = Event(max(e.at for e in happened) + 2 * DAY, "custom", "end")
    without, _ = folded(arrivals([*kept, end], range(len(kept) + 1)))
    expanded = range(len(_expanded([*whole, end])))
    with_it, _ = folded(arrivals([*whole, end], expanded))
    assert present(with_it) == present(without)


def replace_parts(event: Event, parts: tuple[tuple[int, int], ...]) -> Event:
    return Event(event.at, event.kind, event.name, event.amount, event.rating, parts)


@settings(max_examples=60, deadline=None)
@given(events(), st.lists(st.integers(0, 1000), max_size=14))
def test_duties_between_activities_record_the_same_facts_only_sooner(
    happened: list[Event], permille: list[int]
) -> None:
    stream = [(event.at, event.done) for event in happened]
    straight, steps = folded(stream)
    state, transitions = beginning(RULES), []
    for seq, (at, done) in enumerate(stream, 1):
        share = permille[seq - 1] if seq <= len(permille) else 0
        duty = advance(state, "M1", state.clock + (at - state.clock) * share // 1000, RULES)
        step = fold(duty.state, done, seq, at, RULES)
        state = step.state
        transitions += [*duty.transitions, *step.transitions]
    assert state == straight
    assert transitions == [t for step in steps for t in step.transitions]


@settings(max_examples=80, deadline=None)
@given(events())
def test_tier_and_stage_are_what_the_rules_say_of_the_whole_history(
    happened: list[Event],
) -> None:
    state = beginning(RULES)
    for seq, event in enumerate(happened, 1):
        state = fold(state, event.done, seq, event.at, RULES).state
        past = happened[:seq]
        assert (state.tier, state.stage) == by_the_book(past, event.at)
        for change in state.due:
            assert (change.tier, change.stage) == by_the_book(past, change.at)
            assert (change.tier, change.stage) != by_the_book(past, change.at - 1)


def by_the_book(past: Sequence[Event], at: int) -> tuple[str, str]:
    """Tier and stage at an instant, straight from the definitions (days are UTC's)."""
    today = at // DAY
    spend = sum(e.amount for e in past if e.kind == "purchase" and e.at // DAY > today - 365)
    tier = [t.code for t in RULES.tiers if t.spend <= spend][-1]
    bought = [e.at for e in past if e.kind == "purchase"]
    contacts = [e.at for e in past if e.kind in {*RULES.contact_activities, "purchase"}]
    ratings = [e.rating for e in past if e.rating is not None]
    held = {
        "contact": any(at <= c + 90 * DAY for c in contacts),
        "kept_purchase": bool(bought),
        "repeat": _repeat_by_the_book(bought, at),
        "content": not ratings or ratings[-1] >= 4,
        "sustained": sum(at <= b + 180 * DAY for b in bought) >= 6,
        "advocacy": any(e.kind == "share" and at <= e.at + 365 * DAY for e in past),
    }
    bits = sum(held.get(name, False) << place for place, name in enumerate(EVIDENCE))
    return tier, RULES.stages[RULES.ladder[bits]]


def _repeat_by_the_book(bought: Sequence[int], at: int) -> bool:
    if len(bought) < 2:
        return False
    before = bought[:-1][-12:]
    gaps = [later - earlier for earlier, later in pairwise(before)]
    interval = 30 * DAY
    if len(gaps) >= 2:
        interval = min(120 * DAY, max(7 * DAY, sum(gaps) * 2 // len(gaps)))
    return bought[-1] - bought[-2] <= interval and at <= bought[-1] + interval


def assert_gapless(steps: Sequence[Step]) -> None:
    tier, stage, last = "member", "need", 0
    keys: set[str] = set()
    for transition in (t for step in steps for t in step.transitions):
        assert transition.at >= last
        assert transition.key not in keys
        keys.add(transition.key)
        last = transition.at
        if transition.key.startswith("tier:"):
            assert transition.body.previous == tier
            tier = transition.body.tier  # type: ignore[union-attr]
        else:
            assert transition.body.previous == stage
            stage = transition.body.stage  # type: ignore[union-attr]
