"""The worker's handler: what it makes of facts, whatever the batches, races and crashes."""

import asyncio
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from kit.errors import BrokenInvariant, Unavailable
from kit.journal.port import Appended, Draft
from kit.settings import StoreSettings
from services.members import audit
from services.members.absorbing import Absorber, MissingFacts
from services.members.duties import tick
from services.members.keeping import Keeper
from services.members.wiring import Wiring, wire
from tests.services.members.facts import (
    DAY,
    START,
    Notebook,
    enrolled,
    given_back,
    history,
    joined,
    moved,
    on_record,
    record,
    recorded,
    states,
)


@pytest.fixture
def notebook() -> Notebook:
    return Notebook()


@pytest.fixture
def absorber(wiring: Wiring, notebook: Notebook) -> Absorber:
    return Absorber(wiring.keeper, notebook)


def another(wiring: Wiring, publisher: Notebook | None = None) -> Absorber:
    """The handler of another process on the same store."""
    keeper = Keeper(wiring.views, wiring.relationships, wiring.rules, wiring.clock)
    return Absorber(keeper, publisher or Notebook())


async def test_a_purchase_becomes_a_stage_its_facts_and_a_card(
    wiring: Wiring, absorber: Absorber, notebook: Notebook
) -> None:
    await absorber.take_in([enrolled("M1"), recorded("M1", 1)])
    assert [entry[:2] for entry in await on_record(wiring.relationships)] == [
        ("relationship:M1/000000000001", f"stage:1:{START}:awareness"),
        ("relationship:M1/000000000002", f"stage:1:{START}:acceptance"),
    ]
    (card,) = notebook.cards
    assert (card.absorbed, card.tier, card.stage, card.region, card.complete_from) == (
        1,
        "member",
        "acceptance",
        "north",
        0,
    )
    assert [(c.after_seq, c.at, c.stage) for c in card.changes] == [
        (0, 0, "need"),
        (1, START, "acceptance"),
    ]


async def test_activities_of_somebody_unknown_wait_as_evidence_for_the_enrolment(
    wiring: Wiring, absorber: Absorber, notebook: Notebook
) -> None:
    await absorber.take_in([recorded("M1", 1)])
    assert notebook.messages == []
    assert [line async for line in audit.digest_lines(wiring)] == []
    await absorber.take_in([enrolled("M1")])
    assert [(card.absorbed, card.stage) for card in notebook.cards] == [(1, "acceptance")]
    assert [line async for line in audit.digest_lines(wiring)] == [
        "member M1 tier member stage acceptance"
    ]


async def test_a_changed_region_reaches_the_card_and_a_changed_name_leaves_it(
    absorber: Absorber, notebook: Notebook
) -> None:
    await absorber.take_in([enrolled("M1"), moved("M1", 2, "south")])
    await absorber.take_in([moved("M1", 3, None)])
    assert [card.region for card in notebook.cards] == ["south", None]


async def test_one_card_for_each_member_of_a_batch(absorber: Absorber, notebook: Notebook) -> None:
    facts = [enrolled(f"M{n}") for n in range(3)]
    facts += [recorded(f"M{n}", seq, day=seq) for seq in (1, 2) for n in range(3)]
    await absorber.take_in(facts)
    assert sorted((card.member_id, card.absorbed) for card in notebook.cards) == [
        ("M0", 2),
        ("M1", 2),
        ("M2", 2),
    ]


async def test_a_redelivery_changes_nothing_and_says_the_card_again(
    wiring: Wiring, absorber: Absorber, notebook: Notebook
) -> None:
    facts = [enrolled("M1"), *history("M1", 1, 40)]
    await absorber.take_in(facts)
    before = await states(wiring), await on_record(wiring.relationships)
    await another(wiring, notebook).take_in(facts)
    await absorber.take_in(facts[-5:])
    assert (await states(wiring), await on_record(wiring.relationships)) == before
    assert len(notebook.messages) == 3
    assert {message.value for message in notebook.messages} == {notebook.messages[0].value}


async def outcome(directory: Path, size: int) -> tuple[object, object, list[str]]:
    """Twelve lives, taken in by batches of ``size``."""
    wiring = wire(StoreSettings("sqlite", f"sqlite:{directory}"), lambda: START)
    await wiring.prepare()
    try:
        ids = [f"M{n:02}" for n in range(12)]
        lives = [history(member_id, 7, 40) for member_id in ids]
        mixed = [life[place] for place in range(40) for life in lives]
        facts = [*mixed[:100], *await joined(wiring, *ids), *mixed[100:]]
        absorber = Absorber(wiring.keeper, Notebook())
        for start in range(0, len(facts), size):
            await absorber.take_in(facts[start : start + size])
        assert await audit.findings(wiring) == []
        digest = [line async for line in audit.digest_lines(wiring)]
        return await states(wiring), sorted(await on_record(wiring.relationships)), digest
    finally:
        await wiring.close()


async def test_batches_of_any_size_end_in_the_same(tmp_path: Path) -> None:
    whole = await outcome(tmp_path / "whole", 1000)
    assert len(whole[2]) == 12
    assert await outcome(tmp_path / "one", 1) == whole
    assert await outcome(tmp_path / "seven", 7) == whole


async def test_a_gap_halts_before_anything_is_written(wiring: Wiring, absorber: Absorber) -> None:
    await absorber.take_in([recorded("M1", 1)])
    before = await states(wiring), await on_record(wiring.relationships)
    with pytest.raises(MissingFacts) as halted:
        await absorber.take_in([recorded("M1", 3)])
    assert isinstance(halted.value, BrokenInvariant)
    assert halted.value.facts == {"stream": "activity:M1", "expected": 2, "found": 3}
    assert (await states(wiring), await on_record(wiring.relationships)) == before


async def test_what_another_process_took_in_is_no_gap(wiring: Wiring, absorber: Absorber) -> None:
    facts = [recorded("M1", seq, day=seq) for seq in range(1, 5)]
    await absorber.take_in(facts[:1])
    await another(wiring).take_in(facts[1:3])
    await absorber.take_in(facts[3:])
    assert (await states(wiring))["M1"][0].absorbed == 4


async def test_a_remembered_relationship_that_is_behind_is_read_again(
    wiring: Wiring, absorber: Absorber
) -> None:
    await absorber.take_in([recorded("M1", 1)])
    await another(wiring).take_in(await joined(wiring, "M1"))
    await absorber.take_in([recorded("M1", 2, day=1)])
    state, facts = (await states(wiring))["M1"]
    assert state.enrolment is not None
    assert (state.absorbed, state.stage, facts) == (2, "satisfaction", 3)
    assert await audit.findings(wiring) == []


class CutOff:
    """A journal whose next append does not get through, or gets through and is not heard of."""

    def __init__(self, wiring: Wiring, *, lands: bool) -> None:
        self.journal, self.lands, self.armed = wiring.relationships, lands, True

    async def append(self, drafts: Sequence[Draft]) -> list[Appended]:
        if not self.armed:
            return await self.journal.append(drafts)
        self.armed = False
        if self.lands:
            await self.journal.append(drafts)
        raise Unavailable("journal", "cut off")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.journal, name)


@pytest.mark.parametrize("lands", [False, True])
@pytest.mark.parametrize("successor", [False, True])
async def test_a_crash_between_view_and_facts_is_mended_by_the_next_delivery(
    wiring: Wiring, notebook: Notebook, lands: bool, successor: bool
) -> None:
    facts = [*await joined(wiring, "M1"), *history("M1", 3, 30)]
    journal: Any = CutOff(wiring, lands=lands)
    crashing = Absorber(Keeper(wiring.views, journal, wiring.rules, wiring.clock), notebook)
    with pytest.raises(Unavailable):
        await crashing.take_in(facts)
    assert notebook.messages == []
    await (another(wiring, notebook) if successor else crashing).take_in(facts)
    assert len(notebook.messages) == 1
    assert await audit.findings(wiring) == []
    assert len(await on_record(wiring.relationships)) == (await states(wiring))["M1"][1] > 0


async def test_a_crash_before_the_card_is_mended_by_the_next_delivery(
    wiring: Wiring, absorber: Absorber, notebook: Notebook
) -> None:
    facts = [enrolled("M1"), recorded("M1", 1)]
    notebook.refuse.append(Unavailable("bus", "out"))
    with pytest.raises(Unavailable):
        await absorber.take_in(facts)
    before = await states(wiring), await on_record(wiring.relationships)
    await absorber.take_in(facts)
    assert (await states(wiring), await on_record(wiring.relationships)) == before
    assert [card.absorbed for card in notebook.cards] == [1]


async def test_a_card_reaches_back_over_all_changes_of_its_batch(
    wiring: Wiring, absorber: Absorber, notebook: Notebook
) -> None:
    visits = [recorded("M1", seq, "visit", day=91 * seq) for seq in range(1, 101)]
    await absorber.take_in([enrolled("M1"), *visits])
    await another(wiring, notebook).take_in(visits)
    assert len((await states(wiring))["M1"][0].changes) == 64
    for card in notebook.cards:
        assert len(card.changes) == 200
        assert card.complete_from <= 1
        assert card.changes[-64:] == (await states(wiring))["M1"][0].changes


async def test_a_basket_returned_at_once_leaves_only_the_trace_of_both(
    wiring: Wiring, absorber: Absorber
) -> None:
    earlier = [enrolled("M1"), enrolled("M2")]
    earlier += [recorded(m, 1, day=0, amount=500_00) for m in ("M1", "M2")]
    await absorber.take_in(earlier)
    bought = recorded("M1", 2, day=5, amount=200_00)
    await absorber.take_in([bought, given_back("M1", 3, bought, 5.01, 200_00)])
    await absorber.take_in([recorded("M2", 2, "custom", day=5.01)])
    found = await states(wiring)
    one, other = found["M1"][0], found["M2"][0]
    assert (one.tier, one.stage, one.spend, one.clock) == (
        other.tier,
        other.stage,
        other.spend,
        other.clock,
    )
    assert [(c.at, c.tier, c.stage) for c in one.due] == [
        (c.at, c.tier, c.stage) for c in other.due
    ]
    assert [entry[1].split(":")[0] for entry in await on_record(wiring.relationships)][:6] == [
        "stage",
        "stage",
        "tier",
        "stage",
        "tier",
        "stage",
    ]
    assert one.changes[-1].at == START + round(5.01 * DAY)


async def test_two_workers_and_a_duty_at_once_end_in_the_same(wiring: Wiring) -> None:
    ids = [f"M{n}" for n in range(10)]
    lives = [history(member_id, 13, 30) for member_id in ids]
    enrolments = await joined(wiring, *ids)
    journal = wiring.store.journal("events.activities")
    await journal.prepare()
    await record(journal, [fact for life in lives for fact in life])
    one, two, duty = another(wiring), another(wiring), wiring.keeper
    for start in range(0, 30, 3):
        piece = [fact for life in lives for fact in life[start : start + 3]]
        day = date.fromordinal(date(2025, 1, 1).toordinal() + start * 9)
        await asyncio.gather(
            one.take_in([*enrolments, *piece]), two.take_in(piece), tick(duty, Notebook(), day)
        )
    found = await states(wiring)
    assert {state.absorbed for state, _ in found.values()} == {30}
    assert len(await on_record(wiring.relationships)) == sum(n for _, n in found.values())
    assert await audit.findings(wiring, journal) == []
