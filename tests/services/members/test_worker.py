"""The members worker on the embedded bus, through the real consumer and relays."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from contracts.envelope import decode_fact
from contracts.topics import ACTIVITIES, CARDS, MEMBER_FACTS
from kit.bus.dead_letters import redrive
from kit.bus.port import Bus, Message
from kit.settings import StoreSettings
from services.members import audit
from services.members.rebuild import rebuild
from services.members.settings import WorkerSettings
from services.members.wiring import Wiring
from services.members.worker import create_worker
from tests.services.members.facts import (
    cards,
    history,
    joined,
    on_record,
    publish,
    record,
    recorded,
    states,
)
from tests.services.starting import worker_settings

TOPICS = [ACTIVITIES.name, MEMBER_FACTS.name]


@pytest.fixture
def settings(tmp_path: Path, store: StoreSettings) -> WorkerSettings:
    return worker_settings(WorkerSettings, tmp_path)


@asynccontextmanager
async def at_work(settings: WorkerSettings) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(create_worker(settings).run(stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def worked_off(bus: Bus, wiring: Wiring) -> None:
    async with asyncio.timeout(20):
        while (
            await wiring.files.unpublished(1)
            or await wiring.relationships.unpublished(1)
            or await bus.lag(TOPICS, "members")
            or await wiring.relationships.unpublished(1)
        ):
            await asyncio.sleep(0.02)


async def test_activities_and_enrolments_become_cards_and_facts(
    settings: WorkerSettings, bus: Bus, wiring: Wiring
) -> None:
    async with at_work(settings):
        await publish(bus, [recorded("M1", 1, amount=700_00), recorded("M2", 1, "visit")])
        await joined(wiring, "M1")
        await worked_off(bus, wiring)
    newest = {card.member_id: card for _, card in await cards(bus)}
    assert {m: (c.tier, c.stage, c.absorbed) for m, c in newest.items()} == {
        "M1": ("silver", "acceptance", 1)
    }
    reader = bus.subscribe([MEMBER_FACTS.name], "test")
    said = [decode_fact(message.value) for message in await reader.poll(100, 2)]
    assert sorted((fact.stream, fact.seq, fact.type) for fact in said) == [
        ("member:M1", 1, "MemberEnrolled"),
        ("relationship:M1", 1, "TierChanged"),
        ("relationship:M1", 2, "StageChanged"),
        ("relationship:M1", 3, "StageChanged"),
        ("relationship:M2", 1, "StageChanged"),
    ]
    assert await audit.findings(wiring) == []


async def test_the_whole_topic_delivered_again_changes_nothing(
    settings: WorkerSettings, bus: Bus, wiring: Wiring
) -> None:
    ids = [f"M{n}" for n in range(5)]
    lives = [fact for member_id in ids for fact in history(member_id, 5, 20)]
    enrolments = await joined(wiring, *ids)
    async with at_work(settings):
        await publish(bus, lives)
        await worked_off(bus, wiring)
        before = await states(wiring), await on_record(wiring.relationships)
        for _ in range(2):
            await publish(bus, [*enrolments, *lives])
        await worked_off(bus, wiring)
    assert (await states(wiring), await on_record(wiring.relationships)) == before
    assert await audit.findings(wiring) == []


async def test_versions_of_a_card_never_go_back(
    settings: WorkerSettings, bus: Bus, wiring: Wiring
) -> None:
    await joined(wiring, "M1")
    async with at_work(settings):
        for fact in history("M1", 9, 12):
            await publish(bus, [fact])
            await worked_off(bus, wiring)
    versions = [version for version, _ in await cards(bus)]
    assert versions == sorted(versions)
    assert len(versions) >= 12


async def test_a_lost_message_halts_its_member_alone_until_a_rebuild_brings_it(
    settings: WorkerSettings, bus: Bus, wiring: Wiring
) -> None:
    await joined(wiring, "M1", "M2")
    line = [recorded("M1", seq, day=seq) for seq in range(1, 5)]
    other = [recorded("M2", 1), recorded("M2", 2, day=1)]
    journal = wiring.store.journal("events.activities")
    await journal.prepare()
    await record(journal, [*line, *other])
    async with at_work(settings):
        await publish(bus, [line[0], line[2], line[3], *other])
        await worked_off(bus, wiring)
    assert await absorbed(wiring) == {"M1": 1, "M2": 2}
    letters = await bus.subscribe([ACTIVITIES.dead], "test").poll(10, 2)
    assert b"Facts of this member are missing" in letters[0].headers["dead-error"]
    assert len(letters) == 2
    await rebuild(wiring, journal)
    async with at_work(settings):
        await worked_off(bus, wiring)  # what the rebuild has found out is on the bus, put aside too
        assert await redrive(bus, ACTIVITIES.name, "members") == 2
        await redrive(bus, MEMBER_FACTS.name, "members")
        await worked_off(bus, wiring)
        await publish(bus, [recorded("M1", 5, day=9)])
        await worked_off(bus, wiring)
    assert await absorbed(wiring) == {"M1": 5, "M2": 2}
    assert await audit.findings(wiring) == []


async def absorbed(wiring: Wiring) -> dict[str, int]:
    return {m: state.absorbed for m, (state, _) in (await states(wiring)).items()}


async def test_a_poison_message_is_put_aside_and_the_line_goes_on(
    settings: WorkerSettings, bus: Bus, wiring: Wiring
) -> None:
    await joined(wiring, "M1")
    poison = [b"", b"not json", b'{"stream": 1}', b"[" * 1000]
    async with at_work(settings):
        await bus.publish([Message(ACTIVITIES.name, "M1", value) for value in poison])
        await publish(bus, [recorded("M1", 1)])
        await worked_off(bus, wiring)
    assert (await states(wiring))["M1"][0].absorbed == 1
    dead = await bus.subscribe([ACTIVITIES.dead], "test").poll(10, 2)
    assert sorted(message.value for message in dead) == sorted(poison)


async def test_cards_are_on_the_compacted_topic_keyed_by_member(
    settings: WorkerSettings, bus: Bus, wiring: Wiring
) -> None:
    await joined(wiring, "M1")
    async with at_work(settings):
        await worked_off(bus, wiring)
    (message,) = await bus.subscribe([CARDS.name], "test").poll(10, 2)
    assert (message.key, message.headers["type"]) == ("M1", b"MemberCard")
    fact = decode_fact(message.value)
    assert (fact.stream, fact.seq, fact.type) == ("card:M1", 1, "MemberCard")
