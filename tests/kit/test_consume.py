"""The consumer as a task: it stops in good order, counts what it does and joins traces."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from contracts.envelope import Fact, encode_fact
from contracts.topics import DEAD_LETTER_SUFFIX
from kit.bus.backoff import Backoff
from kit.bus.consume import Consumer, ConsumerSettings, Envelope
from kit.bus.halts import HALTED, Halts
from kit.bus.metrics import PrometheusMetrics
from kit.bus.port import Message, TopicSpec
from kit.bus.sqlite import SqliteBus
from kit.errors import BrokenInvariant, Unavailable
from kit.telemetry import current_traceparent, stop_tracing, trace_with
from kit.views.port import Collection, Document, Query
from kit.views.sqlite import SqliteViews

TOPIC = "tests.v1"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER_TRACE = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SETTINGS = ConsumerSettings(
    poll_seconds=0.05, first_backoff_seconds=0.001, longest_backoff_seconds=0.002
)


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[SqliteBus]:
    bus = SqliteBus(tmp_path / "bus")
    await bus.prepare([TopicSpec(TOPIC, 2), TopicSpec(TOPIC + DEAD_LETTER_SUFFIX, 2)])
    yield bus
    await bus.close()


@pytest.fixture
async def views(tmp_path: Path) -> AsyncIterator[SqliteViews]:
    views = SqliteViews(tmp_path / "views", "tests")
    await views.prepare([HALTED])
    yield views
    await views.close()


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = trace_with("tests", SimpleSpanProcessor(exporter))
    yield exporter
    stop_tracing(provider)


def message(member: str, seq: int, trace: str | None = None) -> Message:
    fact = Fact(f"t:{member}", seq, f"k{seq}", "Tested", 1, 2, msgspec.Raw(b"{}"))
    return Message(
        TOPIC, member, encode_fact(fact), {"traceparent": trace.encode()} if trace else {}
    )


async def test_a_consumer_told_to_stop_finishes_its_batch_commits_and_leaves(
    bus: SqliteBus, views: SqliteViews
) -> None:
    await bus.publish([message("M1", 1)])
    stop, begun, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(batch: list[Envelope]) -> None:
        begun.set()
        await asyncio.sleep(0.05)
        done.set()

    consumer = Consumer(bus, [TOPIC], "g", slow, views, SETTINGS)
    running = asyncio.create_task(consumer.run(stop))
    await begun.wait()
    stop.set()
    await running
    assert done.is_set()
    assert await bus.lag([TOPIC], "g") == 0
    successor = bus.subscribe([TOPIC], "g")
    await successor.poll(1, 0)
    assert len(successor.owned()) == 2, "no lease has to run out"


async def test_a_consumer_that_backs_off_stops_without_waiting(
    bus: SqliteBus, views: SqliteViews
) -> None:
    await bus.publish([message("M1", 1)])
    stop, refused = asyncio.Event(), asyncio.Event()

    async def refuses(batch: list[Envelope]) -> None:
        refused.set()
        raise Unavailable("the store", "down for an hour")

    patient = ConsumerSettings(first_backoff_seconds=60.0, longest_backoff_seconds=60.0)
    consumer = Consumer(bus, [TOPIC], "g", refuses, views, patient)
    with capture_logs() as logs:
        running = asyncio.create_task(consumer.run(stop))
        await refused.wait()
        stop.set()
        await asyncio.wait_for(running, 2.0)
    assert [it["event"] for it in logs] == ["consumer_backs_off"]
    assert await bus.lag([TOPIC], "g") == 1


async def test_what_it_does_is_counted(bus: SqliteBus, views: SqliteViews) -> None:
    registry = CollectorRegistry()
    await bus.publish(
        [message("M1", 1), message("M2", 1), message("M2", 2), Message(TOPIC, "M3", b"?")]
    )

    async def handler(batch: list[Envelope]) -> None:
        if any(it.fact.stream == "t:M2" for it in batch):
            raise BrokenInvariant("overdrawn", "the balance would be negative")

    consumer = Consumer(
        bus, [TOPIC], "g", handler, views, SETTINGS, PrometheusMetrics(registry), lambda: 7
    )
    with capture_logs():
        assert await consumer.step() == 4
    labels = {"group": "g", "topic": TOPIC}

    def dead(reason: str) -> float | None:
        name = "mooring_messages_dead_lettered_total"
        return registry.get_sample_value(name, {**labels, "reason": reason})

    assert registry.get_sample_value("mooring_messages_handled_total", labels) == 1
    assert (dead("failed"), dead("halted"), dead("malformed")) == (1, 1, 1)
    assert registry.get_sample_value("mooring_batch_seconds_count", {"group": "g"}) == 1
    await consumer.close()
    assert registry.get_sample_value("mooring_consumer_lag", {"group": "g"}) == 0


async def test_a_single_message_is_handled_in_its_own_trace(
    bus: SqliteBus, views: SqliteViews, spans: InMemorySpanExporter
) -> None:
    traces: list[str | None] = []

    async def handler(batch: list[Envelope]) -> None:
        traces.append(current_traceparent())

    await bus.publish([message("M1", 1, TRACE)])
    consumer = Consumer(bus, [TOPIC], "g", handler, views, SETTINGS)
    await consumer.step()
    await bus.publish([message("M1", 2, TRACE), message("M1", 3, OTHER_TRACE)])
    await consumer.step()
    single, several = spans.get_finished_spans()
    assert single.parent is not None
    assert f"{single.parent.trace_id:032x}" == TRACE[3:35]
    assert traces[0] is not None
    assert traces[0][3:35] == TRACE[3:35]
    assert several.parent is None
    linked = [f"{link.context.trace_id:032x}" for link in several.links]
    assert linked == [TRACE[3:35], OTHER_TRACE[3:35]]
    await consumer.close()


async def test_without_tracing_a_message_still_hands_its_trace_on(
    bus: SqliteBus, views: SqliteViews
) -> None:
    traces: list[str | None] = []

    async def handler(batch: list[Envelope]) -> None:
        traces.append(current_traceparent())

    await bus.publish([message("M1", 1, TRACE)])
    consumer = Consumer(bus, [TOPIC], "g", handler, views, SETTINGS)
    await consumer.step()
    assert traces == [TRACE]
    await consumer.close()


def test_back_off_doubles_to_its_limit_with_jitter() -> None:
    backoff = Backoff(first_seconds=1.0, limit_seconds=8.0)
    delays = [backoff.next() for _ in range(6)]
    for delay, whole in zip(delays, [1, 2, 4, 8, 8, 8], strict=True):
        assert whole / 2 <= delay <= whole
    backoff.reset()
    assert backoff.next() <= 1.0


async def test_a_halt_comes_along_with_a_partition_to_a_member_that_knew_of_none(
    bus: SqliteBus, views: SqliteViews
) -> None:
    members = [f"M{n}" for n in range(8)]
    seen: list[tuple[str, int]] = []

    async def handler(batch: list[Envelope]) -> None:
        seen.extend((it.fact.owner, it.fact.seq) for it in batch)

    async def refuse(batch: list[Envelope]) -> None:
        raise BrokenInvariant("overdrawn", "the balance would be negative")

    first = Consumer(bus, [TOPIC], "g", handler, views, SETTINGS)
    second = Consumer(bus, [TOPIC], "g", refuse, views, SETTINGS)
    await bus.publish([message(it, 1) for it in members])
    assert await first.step() == len(members)
    while not await second.step():
        await first.step()
        await bus.publish([message(it, 2) for it in members])
    await second.close()
    halted = set(await Halts(views, "g").load())
    assert 0 < len(halted) < len(members)
    seen.clear()
    await bus.publish([message(it, 3) for it in members])
    while await bus.lag([TOPIC], "g"):
        await first.step()
    await first.close()
    assert {member for member, seq in seen if seq == 3} == set(members) - halted


class Counted(SqliteViews):
    """Counts what is asked of it."""

    asked = 0

    async def find(self, collection: Collection, query: Query) -> list[Document]:
        self.asked += 1
        return await super().find(collection, query)


async def test_halts_are_asked_for_once_where_there_are_none(
    bus: SqliteBus, tmp_path: Path
) -> None:
    views = Counted(tmp_path / "views", "tests")
    await views.prepare([HALTED])

    async def handler(batch: list[Envelope]) -> None: ...

    consumer = Consumer(bus, [TOPIC], "g", handler, views, SETTINGS)
    for seq in (1, 2, 3):
        await bus.publish([message("M1", seq)])
        assert await consumer.step() == 1
    assert views.asked == 1
    await consumer.close()
    await views.close()


async def test_a_consumer_that_rests_takes_what_came_meanwhile_at_once_and_stops_without_delay(
    bus: SqliteBus, views: SqliteViews
) -> None:
    stop, batches = asyncio.Event(), list[int]()

    async def count(batch: list[Envelope]) -> None:
        batches.append(len(batch))

    settings = ConsumerSettings(poll_seconds=0.05, rest_seconds=0.3)
    running = asyncio.create_task(Consumer(bus, [TOPIC], "g", count, views, settings).run(stop))
    for seq in range(1, 11):
        await bus.publish([message("M1", seq)])
        await asyncio.sleep(0.01)
    async with asyncio.timeout(5):
        while sum(batches) < 10:
            await asyncio.sleep(0.01)
    assert len(batches) <= 3
    stop.set()
    async with asyncio.timeout(0.25):
        await running
