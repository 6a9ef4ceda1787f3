"""The relay with real leases: one at a time, and a successor without a pause."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.envelope import Fact, decode_fact
from kit.bus.metrics import NoMetrics
from kit.bus.port import Received, TopicSpec
from kit.bus.sqlite import SqliteBus
from kit.clock import system_clock
from kit.journal.port import Draft
from kit.journal.sqlite import SqliteJournal
from kit.relay import Relay, RelaySettings
from kit.views.lease import Lease
from kit.views.port import Collection
from kit.views.sqlite import SqliteViews

TOPIC = "tests.v1"
LEASES = Collection("leases")
SETTINGS = RelaySettings(batch=7, renew_seconds=0.05, idle_seconds=0.02)


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[SqliteBus]:
    bus = SqliteBus(tmp_path / "bus")
    await bus.prepare([TopicSpec(TOPIC, 4)])
    yield bus
    await bus.close()


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    journal = SqliteJournal(tmp_path, "tests")
    await journal.prepare()
    yield journal
    await journal.close()


@pytest.fixture
async def views(tmp_path: Path) -> AsyncIterator[SqliteViews]:
    views = SqliteViews(tmp_path, "tests")
    await views.prepare([LEASES])
    yield views
    await views.close()


def relay(bus: SqliteBus, journal: SqliteJournal, views: SqliteViews, owner: str) -> Relay:
    lease = Lease(views, LEASES, "relay", owner, 0.5, system_clock)
    return Relay(journal, bus, _topic_of, lease, SETTINGS)


def _topic_of(fact: Fact) -> str:
    return TOPIC


async def append(journal: SqliteJournal, first: int, last: int) -> None:
    drafts = [
        Draft(f"t:M{member}", seq, f"k{seq}", b"h", "Tested", 1, 2, b"{}")
        for seq in range(first, last + 1)
        for member in range(5)
    ]
    await journal.append(drafts)


async def all_published(bus: SqliteBus) -> dict[str, list[int]]:
    subscription = bus.subscribe([TOPIC], "g")
    received: list[Received] = []
    while batch := await subscription.poll(1000, 0.1):
        received += batch
    streams: dict[str, list[int]] = {}
    for it in received:
        fact = decode_fact(it.value)
        streams.setdefault(fact.stream, []).append(fact.seq)
    return streams


async def test_two_relays_side_by_side_publish_each_fact_once_and_in_order(
    bus: SqliteBus, journal: SqliteJournal, views: SqliteViews
) -> None:
    stop = asyncio.Event()
    relays = [relay(bus, journal, views, owner) for owner in ("one", "two")]
    running = [asyncio.create_task(it.run(stop)) for it in relays]
    for first in range(1, 41, 4):
        await append(journal, first, first + 3)
        await asyncio.sleep(0.005)
    while await journal.unpublished(1):
        await asyncio.sleep(0.01)
    stop.set()
    await asyncio.gather(*running)
    assert await all_published(bus) == {f"t:M{n}": list(range(1, 41)) for n in range(5)}


async def test_a_relay_that_ends_hands_the_lease_to_its_successor_at_once(
    bus: SqliteBus, journal: SqliteJournal, views: SqliteViews
) -> None:
    first, second = (relay(bus, journal, views, owner) for owner in ("one", "two"))
    await append(journal, 1, 1)
    assert await first.step() == 5
    await append(journal, 2, 2)
    assert await second.step() == 0
    await first.release()
    assert await second.step() == 5


async def test_a_relay_that_died_is_succeeded_when_its_lease_has_run_out(
    bus: SqliteBus, journal: SqliteJournal, views: SqliteViews
) -> None:
    first, second = (relay(bus, journal, views, owner) for owner in ("one", "two"))
    await append(journal, 1, 1)
    assert await first.step() == 5
    await append(journal, 2, 2)
    await asyncio.sleep(0.55)
    assert await second.step() == 5
    assert await first.step() == 0
    assert await all_published(bus) == {f"t:M{n}": [1, 2] for n in range(5)}


class SlowToMark(SqliteJournal):
    """Marks when it is let."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder, name)
        self.let = asyncio.Event()

    async def mark_published(self, facts: Sequence[Fact]) -> None:
        await self.let.wait()
        await super().mark_published(facts)


async def test_facts_are_published_once_while_the_marks_of_earlier_ones_are_taken_off(
    bus: SqliteBus, views: SqliteViews, tmp_path: Path
) -> None:
    journal = SlowToMark(tmp_path, "slow")
    await journal.prepare()
    stop, received = asyncio.Event(), bus.subscribe([TOPIC], "watching")
    lease = Lease(views, LEASES, "relay", "one", 0.5, system_clock)
    running = asyncio.create_task(Relay(journal, bus, _topic_of, lease).run(stop))
    async with asyncio.timeout(10):
        for seq in (1, 2, 3):
            await append(journal, seq, seq)
            while len(await received.poll(100, 0.1)) == 0:
                pass
            assert len(await journal.unpublished(100)) == 5 * seq
        journal.let.set()
        stop.set()
        await running
    assert await journal.unpublished(100) == []
    assert await all_published(bus) == {f"t:M{n}": [1, 2, 3] for n in range(5)}
    await journal.close()


class CountsMarks(SqliteJournal):
    """Says how often marks were taken off."""

    marked = 0

    async def mark_published(self, facts: Sequence[Fact]) -> None:
        self.marked += 1
        await super().mark_published(facts)


async def test_the_marks_of_several_batches_are_taken_off_at_once_and_soon(
    bus: SqliteBus, views: SqliteViews, tmp_path: Path
) -> None:
    journal = CountsMarks(tmp_path, "counts")
    await journal.prepare()
    stop, received = asyncio.Event(), bus.subscribe([TOPIC], "watching")
    lease = Lease(views, LEASES, "relay", "one", 0.5, system_clock)
    settings = RelaySettings(mark_seconds=0.2)
    running = asyncio.create_task(Relay(journal, bus, _topic_of, lease, settings).run(stop))
    async with asyncio.timeout(10):
        for seq in range(1, 11):
            await append(journal, seq, seq)
            while len(await received.poll(100, 0.1)) == 0:
                pass
        assert journal.marked <= 5
        while await journal.unpublished(100):
            await asyncio.sleep(0.01)
    stop.set()
    await running
    await received.close()
    await journal.close()


async def test_a_relay_that_rests_publishes_what_came_meanwhile_in_one_batch(
    bus: SqliteBus, journal: SqliteJournal, views: SqliteViews
) -> None:
    resting, stop = relay(bus, journal, views, "one"), asyncio.Event()
    resting.settings = replace(SETTINGS, batch=1_000, rest_seconds=0.3)
    batches: list[int] = []

    class Counting(NoMetrics):
        def relayed(self, journal: str, count: int) -> None:
            batches.append(count)

    resting.metrics = Counting()
    running = asyncio.create_task(resting.run(stop))
    for seq in range(1, 11):
        await append(journal, seq, seq)
        await asyncio.sleep(0.01)
    async with asyncio.timeout(5):
        while sum(batches) < 50:
            await asyncio.sleep(0.01)
    assert len(batches) <= 3
    stop.set()
    async with asyncio.timeout(0.25):
        await running
