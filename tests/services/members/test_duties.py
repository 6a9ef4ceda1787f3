"""Daily duties and rebuilds: the same facts sooner, and the same view again."""

from datetime import date

import pytest

from kit.errors import Unavailable
from kit.store import open_store
from kit.views.port import Query
from services.members import audit
from services.members.absorbing import Absorber
from services.members.duties import tick
from services.members.keeping import Keeper
from services.members.rebuild import rebuild
from services.members.views import RELATIONSHIPS
from services.members.wiring import Wiring
from tests.services.members.facts import (
    DAY,
    START,
    Notebook,
    history,
    joined,
    on_record,
    record,
    recorded,
    states,
)

# Bought on 1 and 11 January 2025; satisfaction lapses on 10 February at noon.
PURCHASES = [recorded("M1", 1, amount=400_00), recorded("M1", 2, day=10, amount=400_00)]
DAY_OF_LAPSE = date(2025, 2, 10)


async def test_a_duty_realises_what_is_due_by_the_end_of_its_day(wiring: Wiring) -> None:
    notebook = Notebook()
    absorber = Absorber(wiring.keeper, notebook)
    await absorber.take_in([*await joined(wiring, "M1"), *PURCHASES])
    assert await tick(wiring.keeper, notebook, date(2025, 2, 9)) == 0
    assert await tick(wiring.keeper, notebook, DAY_OF_LAPSE) == 1
    assert await tick(wiring.keeper, notebook, DAY_OF_LAPSE) == 0
    lapse = (await on_record(wiring.relationships))[-1]
    assert lapse[1:3] == (f"stage:2:{START + 40 * DAY + 1}:acceptance", START + 40 * DAY + 1)
    state, facts = (await states(wiring))["M1"]
    assert (state.stage, state.clock, facts) == ("acceptance", START + 40 * DAY + 1, 5)
    assert [(card.absorbed, card.stage) for card in notebook.cards] == [
        (2, "satisfaction"),
        (2, "acceptance"),
    ]
    assert await audit.findings(wiring) == []


async def test_a_duty_caught_up_late_drops_a_tier_on_its_own_day(wiring: Wiring) -> None:
    notebook = Notebook()
    await Absorber(wiring.keeper, notebook).take_in([*await joined(wiring, "M1"), *PURCHASES])
    assert await tick(wiring.keeper, notebook, date(2026, 6, 1)) == 1
    # The day of 400.00 leaves the window at midnight of New York, 1 January 2026.
    midnight = START + 364 * DAY + 17 * DAY // 24
    assert (await on_record(wiring.relationships))[-1][1:3] == (
        f"tier:2:{midnight}:member",
        midnight,
    )


async def test_an_activity_after_a_duty_finds_its_facts_made(wiring: Wiring) -> None:
    notebook = Notebook()
    absorber = Absorber(wiring.keeper, notebook)
    enrolment = await joined(wiring, "M1")
    await absorber.take_in([*enrolment, *PURCHASES])
    await tick(
        Keeper(wiring.views, wiring.relationships, wiring.rules, wiring.clock),
        notebook,
        DAY_OF_LAPSE,
    )
    await absorber.take_in([recorded("M1", 3, day=50)])
    told = await on_record(wiring.relationships)
    await wiring.views.drop(RELATIONSHIPS)
    untold = open_store("sqlite::memory:", "members")
    await untold.views.prepare([RELATIONSHIPS])
    journal = untold.journal("other")
    await journal.prepare()
    other = Absorber(Keeper(untold.views, journal, wiring.rules, wiring.clock), Notebook())
    await other.take_in([*enrolment, *PURCHASES, recorded("M1", 3, day=50)])
    assert await on_record(journal) == told
    await untold.close()


async def test_a_duty_that_was_cut_off_is_completed_by_the_next(wiring: Wiring) -> None:
    notebook = Notebook()
    await Absorber(wiring.keeper, notebook).take_in([*await joined(wiring, "M1"), *PURCHASES])
    notebook.refuse.append(Unavailable("bus", "out"))
    with pytest.raises(Unavailable):
        await tick(wiring.keeper, notebook, DAY_OF_LAPSE)
    unfinished = await wiring.views.find(RELATIONSHIPS, Query(order_by="due", lower=0, upper=1))
    assert [document.id for document in unfinished] == ["M1"]
    assert await tick(wiring.keeper, notebook, DAY_OF_LAPSE) == 1
    assert notebook.cards[-1].stage == "acceptance"
    assert await tick(wiring.keeper, notebook, DAY_OF_LAPSE) == 0
    assert await audit.findings(wiring) == []


async def test_a_rebuild_gives_the_same_view_and_adds_no_fact(wiring: Wiring) -> None:
    journal = wiring.store.journal("events.activities")
    await journal.prepare()
    ids = [f"M{n}" for n in range(8)]
    lives = [fact for member_id in ids for fact in history(member_id, 11, 50)]
    await record(journal, lives)
    absorber = Absorber(wiring.keeper, Notebook())
    await absorber.take_in([*await joined(wiring, *ids[:6]), *lives])
    before = await states(wiring), await on_record(wiring.relationships)
    assert await rebuild(wiring, journal) == 8
    assert (await states(wiring), await on_record(wiring.relationships)) == before
    assert await audit.findings(wiring, journal) == []


async def test_a_rebuild_meets_duties_where_they_were_done(wiring: Wiring) -> None:
    """An activity from before the duty's change arrives after it: it was late, and stays late."""
    journal = wiring.store.journal("events.activities")
    await journal.prepare()
    late, after = recorded("M1", 3, day=39, amount=10_00), recorded("M1", 4, "visit", day=60)
    await record(journal, [*PURCHASES, late, after])
    absorber = Absorber(wiring.keeper, Notebook())
    await absorber.take_in([*await joined(wiring, "M1"), *PURCHASES])
    await tick(wiring.keeper, Notebook(), DAY_OF_LAPSE)
    await absorber.take_in([late])
    await absorber.take_in([after])
    before = await states(wiring), await on_record(wiring.relationships)
    assert f"stage:3:{START + 40 * DAY + 1}:satisfaction" in [key for _, key, _, _ in before[1]]
    await rebuild(wiring, journal)
    assert (await states(wiring), await on_record(wiring.relationships)) == before
    assert await audit.findings(wiring, journal) == []


async def test_a_rebuild_leaves_member_files_alone(wiring: Wiring) -> None:
    journal = wiring.store.journal("events.activities")
    await journal.prepare()
    await Absorber(wiring.keeper, None).take_in(await joined(wiring, "M1"))
    files = [fact async for facts in wiring.files.scan() for fact in facts]
    await rebuild(wiring, journal)
    assert [fact async for facts in wiring.files.scan() for fact in facts] == files
    assert [line async for line in audit.digest_lines(wiring)] == [
        "member M1 tier member stage need"
    ]
