"""The points worker on the embedded bus."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from contracts.envelope import decode_fact
from contracts.topics import CARDS, ENTRIES, MEMBER_FACTS, REWARDS
from kit.bus.open import open_bus
from kit.bus.port import Bus, Message, TopicSpec
from kit.relay import message_of
from kit.settings import StoreSettings
from services.points import audit, queries
from services.points.settings import WorkerSettings
from services.points.wiring import Wiring
from services.points.worker import create_worker
from tests.services.points.decisions import granted, returned, withheld
from tests.services.starting import worker_settings


@pytest.fixture
def settings(tmp_path: Path, store: StoreSettings) -> WorkerSettings:
    return worker_settings(WorkerSettings, tmp_path)


@pytest.fixture
async def bus(settings: WorkerSettings) -> AsyncIterator[Bus]:
    opened = open_bus(settings.bus)
    topics = (REWARDS, ENTRIES, MEMBER_FACTS, CARDS)
    names = [name for topic in topics for name in (topic.name, topic.dead)]
    await opened.prepare([TopicSpec(name, 4) for name in names])
    yield opened
    await opened.close()


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
    async with asyncio.timeout(10):
        while await bus.lag([REWARDS.name], "points") or await wiring.entries.unpublished(1):
            await asyncio.sleep(0.01)


async def test_decisions_become_entries_and_entries_are_published(
    settings: WorkerSettings, bus: Bus, wiring: Wiring
) -> None:
    facts = [granted("M1", 1), withheld("M2", 1), granted("M2", 2), returned("M1", 2, 1, 0, 250)]
    async with at_work(settings):
        await bus.publish([message_of(fact, REWARDS.name) for fact in facts])
        await worked_off(bus, wiring)
    found = {
        member: (await queries.balances(wiring.ledger, wiring.rules, member, 0)).wallets
        for member in ("M1", "M2")
    }
    assert found == {"M1": {"base": 9, "tier": 9}, "M2": {"base": 12, "tier": 12}}
    reader = bus.subscribe([ENTRIES.name], "test")
    published = [decode_fact(message.value) for message in await reader.poll(10, 2)]
    assert sorted(fact.id for fact in published) == [
        "account:M1/000000000001",
        "account:M1/000000000002",
        "account:M2/000000000001",
    ]


async def test_the_whole_topic_delivered_again_changes_nothing(
    settings: WorkerSettings, bus: Bus, wiring: Wiring
) -> None:
    facts = [granted(f"M{m}", seq) for seq in range(1, 6) for m in range(10)]
    async with at_work(settings):
        for _ in range(3):
            await bus.publish([message_of(fact, REWARDS.name) for fact in facts])
        await worked_off(bus, wiring)
    assert await audit.findings(wiring) == []
    assert [line async for line in audit.digest_lines(wiring)] == [
        f"balance M{m} {wallet} 60" for m in range(10) for wallet in ("base", "tier")
    ]


async def test_a_poison_message_is_put_aside_and_the_line_goes_on(
    settings: WorkerSettings, bus: Bus, wiring: Wiring
) -> None:
    poison = [b"", b"not json", b'{"stream": 1}', b"[" * 1000, b'{"stream":"decision:M1"}']
    async with at_work(settings):
        await bus.publish([Message(REWARDS.name, "M1", value) for value in poison])
        await bus.publish([message_of(granted("M1", 1), REWARDS.name)])
        await worked_off(bus, wiring)
    assert (await queries.balances(wiring.ledger, wiring.rules, "M1", 0)).wallets == {
        "base": 12,
        "tier": 12,
    }
    dead = await bus.subscribe([REWARDS.dead], "test").poll(10, 2)
    assert sorted(message.value for message in dead) == sorted(poison)
