"""The audit finds what is broken, and says nothing when all is well."""

import asyncio

from msgspec import Raw
from msgspec.structs import replace

from kit.journal.port import Draft, Journal
from kit.views.port import Document
from services.members import audit
from services.members.absorbing import Absorber
from services.members.views import (
    FILES,
    RELATIONSHIPS,
    Kept,
    Owed,
    decode_kept,
    drafts,
    kept_document,
)
from services.members.wiring import Wiring
from tests.services.members.facts import Notebook, encode, joined, record, recorded


async def two_purchases(wiring: Wiring) -> Journal:
    journal = wiring.store.journal("events.activities")
    await journal.prepare()
    facts = [recorded("M1", 1), recorded("M1", 2, day=3)]
    await record(journal, facts)
    await Absorber(wiring.keeper, Notebook()).take_in([*await joined(wiring, "M1"), *facts])
    return journal


async def tampered(wiring: Wiring, **changes: object) -> None:
    document = await stored(wiring)
    kept = decode_kept(document)
    state = replace(kept.state, **changes)
    other = kept_document("M1", document.version, Kept(state, kept.facts))
    assert await wiring.views.save(RELATIONSHIPS, [other]) == []


async def stored(wiring: Wiring) -> Document:
    return (await wiring.views.load(RELATIONSHIPS, ["M1"]))["M1"]


async def test_nothing_is_found_where_all_is_well(wiring: Wiring) -> None:
    journal = await two_purchases(wiring)
    assert await audit.findings(wiring) == []
    assert await audit.findings(wiring, journal) == []


async def test_a_relationship_that_is_not_its_fold_is_found(wiring: Wiring) -> None:
    journal = await two_purchases(wiring)
    await tampered(wiring, clock=5)
    assert await audit.findings(wiring) == []
    assert await audit.findings(wiring, journal) == [
        "M1: the relationship is not the fold of the journals"
    ]


async def test_an_activity_on_its_way_is_called_unsettled_and_not_broken(wiring: Wiring) -> None:
    journal = await two_purchases(wiring)
    await record(journal, [recorded("M1", 3, day=4), recorded("M2", 1)])
    verdict = await audit.examine(wiring, journal)
    assert verdict.findings == []
    assert verdict.unsettled == [
        "M1: not settled, 2 of 3 activities are absorbed; verify again once they are",
        "M2: not settled, nothing of this member is absorbed yet",
    ]


async def test_what_is_absorbed_while_the_audit_looks_is_neither_broken_nor_wrongly_folded(
    wiring: Wiring,
) -> None:
    journal = await two_purchases(wiring)
    facts = [recorded("M1", seq, day=seq) for seq in range(3, 40)]
    await record(journal, facts)

    async def absorb() -> None:
        for fact in facts:
            await Absorber(wiring.keeper, Notebook()).take_in([fact])
            await asyncio.sleep(0.01)

    absorbing = asyncio.create_task(absorb())
    looks = 0
    while not absorbing.done():
        assert (await audit.examine(wiring, journal)).findings == []
        looks += 1
    await absorbing
    assert looks > 1
    verdict = await audit.examine(wiring, journal)
    assert (verdict.findings, verdict.unsettled) == ([], [])


async def test_a_change_that_is_owed_to_the_journal_is_given_time_to_get_there(
    wiring: Wiring,
) -> None:
    await two_purchases(wiring)
    state = decode_kept(await stored(wiring)).state
    body = encode(
        {"member_id": "M1", "previous": "member", "tier": "member", "after_seq": 2, "spend": 0}
    )
    owes = Owed(4, "owed", "TierChanged", state.clock, state.clock, Raw(body))
    document = await stored(wiring)
    half = kept_document("M1", document.version, Kept(state, 4, (owes,)))
    assert await wiring.views.save(RELATIONSHIPS, [half]) == []
    half_done = "M1: 4 changes in the view, 3 in the journal"
    assert half_done in await audit.findings(wiring, patience_seconds=0.1)

    async def pay() -> None:
        await asyncio.sleep(0.1)
        await wiring.relationships.append(drafts("relationship:M1", [owes]))

    paying = asyncio.create_task(pay())
    verdict = await audit.examine(wiring, None)
    await paying
    assert half_done not in verdict.findings
    assert verdict.unsettled == [f"{half_done}, but that has moved since"]


async def test_activities_that_a_relationship_says_and_the_journal_lacks_are_found(
    wiring: Wiring,
) -> None:
    journal = await two_purchases(wiring)
    await tampered(wiring, absorbed=5)
    assert await audit.findings(wiring, journal) == [
        "M1: 5 activities are absorbed, 2 are in the journal"
    ]


async def test_a_card_that_contradicts_the_record_is_found(wiring: Wiring) -> None:
    await two_purchases(wiring)
    await tampered(wiring, stage="loyalty")
    assert await audit.findings(wiring) == [
        audit.NOT_COMPARED,
        "M1: the card's last change is not its tier and stage",
    ]


async def test_lost_changes_of_the_card_are_found(wiring: Wiring) -> None:
    journal = await two_purchases(wiring)
    state = decode_kept(await stored(wiring)).state
    await tampered(wiring, changes=(state.changes[0], state.changes[-1]))
    assert (await audit.findings(wiring, journal))[0] == (
        "M1: the card's changes are not those on record"
    )


async def test_a_step_out_of_nowhere_is_found(wiring: Wiring) -> None:
    await two_purchases(wiring)
    body = {
        "member_id": "M1",
        "previous": "awareness",
        "stage": "loyalty",
        "after_seq": 1,
        "evidence": {},
        "facts": {},
        "dwell": 0,
    }
    draft = Draft("relationship:M1", 4, "x", b"x", "StageChanged", 7, 7, encode(body))
    await wiring.relationships.append([draft])
    assert (await audit.findings(wiring))[1:] == [
        "relationship:M1/000000000004: begins at stage awareness, the last one ended at"
        " satisfaction",
        "relationship:M1/000000000004: comes after a later change",
        "M1: 3 changes in the view, 4 in the journal",
        "M1: the card's changes are not those on record",
    ]


async def test_an_enrolment_without_a_file_is_found(wiring: Wiring) -> None:
    journal = await two_purchases(wiring)
    await wiring.views.delete(FILES, ["M1"])
    assert await audit.findings(wiring, journal) == ["M1: enrolled, but without a member file"]
