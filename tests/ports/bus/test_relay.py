"""The relay on every bus adapter: each stream in order, at least once, whatever dies."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from contracts.envelope import Fact, decode_fact
from kit.bus.port import Bus, Message
from kit.errors import Unavailable
from kit.journal.port import Draft, Journal
from kit.journal.sqlite import SqliteJournal
from kit.relay import Relay, RelaySettings
from tests.ports.bus.brokers import Broker, nothing_comes, take

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Held:
    """A lease that is taken or taken away as the test likes."""

    def __init__(self, free: bool = True) -> None:
        self.free = free

    async def acquire(self) -> bool:
        return self.free

    async def renew(self) -> bool:
        return self.free

    async def release(self) -> None: ...


class Flaky:
    """A bus of which publishing fails ``failures`` times, before or after the messages land."""

    def __init__(self, bus: Bus, failures: int, land: bool) -> None:
        self._bus, self.failures, self._land = bus, failures, land

    async def publish(self, messages: Sequence[Message]) -> None:
        if self.failures:
            self.failures -= 1
            if self._land:
                await self._bus.publish(messages)
            raise Unavailable("the bus", "the broker is being restarted")
        await self._bus.publish(messages)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    journal = SqliteJournal(tmp_path / "journal", "tests")
    await journal.prepare()
    yield journal
    await journal.close()


def drafts(stream: str, first: int, last: int, trace: str | None = None) -> list[Draft]:
    return [
        Draft(stream, seq, f"k{seq}", b"h", "Tested", 1, 2, b"{}", trace=trace)
        for seq in range(first, last + 1)
    ]


def relay(
    broker: Broker, bus: object, journal: Journal, lease: Held | None = None, batch: int = 1000
) -> Relay:
    def topic_of(fact: Fact) -> str | None:
        return None if fact.stream.startswith("private:") else broker.topic

    settings = RelaySettings(
        batch=batch,
        renew_seconds=0.0,
        idle_seconds=0.01,
        first_backoff_seconds=0.001,
        longest_backoff_seconds=0.01,
    )
    return Relay(journal, bus, topic_of, lease or Held(), settings)  # type: ignore[arg-type]


async def published(broker: Broker, bus: Bus, count: int) -> dict[str, list[int]]:
    """The seqs of each stream on the topic, in order of arrival."""
    streams: dict[str, list[int]] = {}
    for it in await take(bus.subscribe([broker.topic], broker.group), count):
        fact = decode_fact(it.value)
        streams.setdefault(fact.stream, []).append(fact.seq)
    return streams


async def test_facts_reach_the_topic_keyed_by_owner_with_type_and_trace(
    broker: Broker, bus: Bus, journal: Journal
) -> None:
    await journal.append(drafts("t:M1", 1, 1, TRACE))
    assert await relay(broker, bus, journal).step() == 1
    (received,) = await take(bus.subscribe([broker.topic], broker.group), 1)
    assert received.key == "M1"
    assert dict(received.headers) == {"type": b"Tested", "traceparent": TRACE.encode()}
    assert decode_fact(received.value) == (await journal.read("t:M1"))[0]
    assert await journal.unpublished() == []


async def test_a_fact_without_a_topic_is_only_marked(
    broker: Broker, bus: Bus, journal: Journal
) -> None:
    await journal.append(drafts("private:M1", 1, 3))
    assert await relay(broker, bus, journal).step() == 3
    assert await journal.unpublished() == []
    assert await bus.lag([broker.topic], broker.group) == 0


async def test_a_crash_between_publish_and_mark_publishes_again_in_order(
    broker: Broker, bus: Bus, journal: Journal
) -> None:
    await journal.append([*drafts("t:M1", 1, 3), *drafts("t:M2", 1, 2)])
    dying = relay(broker, Flaky(bus, 1, land=True), journal)
    with pytest.raises(Unavailable):
        await dying.step()
    assert await relay(broker, bus, journal).step() == 5
    assert await published(broker, bus, 10) == {
        "t:M1": [1, 2, 3, 1, 2, 3],
        "t:M2": [1, 2, 1, 2],
    }


async def test_while_the_bus_is_down_the_journal_takes_facts_and_later_all_are_published(
    broker: Broker, bus: Bus, journal: Journal
) -> None:
    flaky = Flaky(bus, 5, land=False)
    worker, stop = relay(broker, flaky, journal), asyncio.Event()
    running = asyncio.create_task(worker.run(stop))
    for seq in range(1, 21):
        (landed,) = await journal.append(drafts("t:M1", seq, seq))
        assert landed.outcome == "appended"
    assert await published(broker, bus, 20) == {"t:M1": list(range(1, 21))}
    assert flaky.failures == 0
    stop.set()
    await running


async def test_a_relay_without_the_lease_publishes_nothing(
    broker: Broker, bus: Bus, journal: Journal
) -> None:
    await journal.append(drafts("t:M1", 1, 1))
    assert await relay(broker, bus, journal, Held(free=False)).step() == 0
    assert await bus.lag([broker.topic], broker.group) == 0
    assert len(await journal.unpublished()) == 1


async def test_a_relay_that_loses_the_lease_stops_at_once(
    broker: Broker, bus: Bus, journal: Journal
) -> None:
    await journal.append(drafts("t:M1", 1, 10))
    lease = Held()
    worker = relay(broker, bus, journal, lease, batch=4)
    assert await worker.step() == 4
    lease.free = False
    assert await worker.step() == 0
    assert await relay(broker, bus, journal).step() == 6
    assert await published(broker, bus, 10) == {"t:M1": list(range(1, 11))}


class Sleepy:
    """A journal whose reader falls asleep after reading, and loses the lease meanwhile."""

    name = "tests"

    def __init__(self, journal: Journal, lease: Held) -> None:
        self._journal, self._lease = journal, lease

    async def unpublished(self, limit: int) -> list[Fact]:
        facts = await self._journal.unpublished(limit)
        self._lease.free = False
        return facts


async def test_a_relay_superseded_between_reading_and_publishing_publishes_nothing(
    broker: Broker, bus: Bus, journal: Journal
) -> None:
    await journal.append(drafts("t:M1", 1, 3))
    lease = Held()
    sleepy: Any = Sleepy(journal, lease)
    assert await relay(broker, bus, sleepy, lease).step() == 0
    assert await bus.lag([broker.topic], broker.group) == 0


async def test_two_relays_never_publish_a_stream_out_of_order(
    broker: Broker, bus: Bus, journal: Journal
) -> None:
    """Each is put to sleep between reading and publishing, and superseded meanwhile."""
    leases = [Held(), Held(free=False)]
    workers = [relay(broker, bus, journal, lease, batch=3) for lease in leases]
    seq = 0
    for turn in range(12):
        await journal.append(drafts("t:M1", seq + 1, seq + 2))
        seq += 2
        leases[turn % 2].free, leases[1 - turn % 2].free = True, False
        await asyncio.gather(*(worker.step() for worker in workers))
    leases[0].free, leases[1].free = True, False
    while await workers[0].step():
        pass
    assert await published(broker, bus, 24) == {"t:M1": list(range(1, 25))}
    assert await nothing_comes(broker, bus.subscribe([broker.topic], broker.group))
