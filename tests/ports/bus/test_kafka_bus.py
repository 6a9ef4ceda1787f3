"""What only the Kafka adapter has to bear: brokers that die, topics with settings of their own."""

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from contracts.envelope import Fact, decode_fact, encode_fact
from kit.bus.consume import Consumer, Envelope
from kit.bus.dead_letters import peek
from kit.bus.halts import HALTED
from kit.bus.kafka import KafkaBus, KafkaSettings
from kit.bus.port import Message, Subscription, TopicSpec
from kit.errors import ServiceError, Unavailable
from kit.journal.port import Draft
from kit.journal.sqlite import SqliteJournal
from kit.relay import Relay, RelaySettings
from kit.views.sqlite import SqliteViews
from tests.ports.bus.brokers import take, values
from tests.servers.fixtures import AnyKafka

HASTY = KafkaSettings(
    session_timeout_seconds=6.0, publish_timeout_seconds=4.0, min_insync_replicas=1
)


@pytest.fixture
async def bus(kafka_server: AnyKafka) -> AsyncIterator[KafkaBus]:
    bus = KafkaBus([kafka_server.bootstrap], HASTY)
    yield bus
    await bus.close()


@pytest.fixture
async def topic(bus: KafkaBus) -> str:
    name = f"tests.{uuid4().hex[:8]}.v1"
    await bus.prepare([TopicSpec(name, 4)])
    return name


class Held:
    """A lease nobody competes for."""

    async def acquire(self) -> bool:
        return True

    async def renew(self) -> bool:
        return True

    async def release(self) -> None: ...


async def test_a_relay_loses_and_disorders_nothing_when_the_broker_is_killed_under_load(
    bus: KafkaBus, topic: str, kafka_server: AnyKafka, tmp_path: Path
) -> None:
    journal = SqliteJournal(tmp_path, "tests")
    await journal.prepare()
    members = [f"t:M{n}" for n in range(40)]
    for first in range(1, 101, 10):
        await journal.append([draft(it, seq) for it in members for seq in range(first, first + 10)])

    def topic_of(fact: Fact) -> str:
        return topic

    relay = Relay(journal, bus, topic_of, Held(), RelaySettings(batch=200))
    stop = asyncio.Event()
    running = asyncio.create_task(relay.run(stop))
    while len(await journal.unpublished(4000)) > 3200:
        await asyncio.sleep(0.01)
    await asyncio.to_thread(kafka_server.kill)
    await asyncio.sleep(0.5)
    await asyncio.to_thread(kafka_server.restart)
    while await journal.unpublished(1):
        await asyncio.sleep(0.05)
    stop.set()
    await running
    await journal.close()
    assert await in_order_of_arrival(bus.subscribe([topic], "g"), 4000) == {
        it: list(range(1, 101)) for it in members
    }


async def in_order_of_arrival(subscription: Subscription, count: int) -> dict[str, list[int]]:
    """The seqs of each stream by first arrival, until ``count`` different facts are there."""
    arrived: dict[str, list[int]] = {}
    while sum(map(len, arrived.values())) < count:
        for it in await take(subscription, 1):
            fact = decode_fact(it.value)
            seqs = arrived.setdefault(fact.stream, [])
            if fact.seq not in seqs:
                seqs.append(fact.seq)
    return arrived


def draft(stream: str, seq: int) -> Draft:
    return Draft(stream, seq, f"k{seq}", b"h", "Tested", 1, 2, b"{}")


async def test_a_broker_that_is_down_is_an_outage_and_consumers_go_on_after_it(
    bus: KafkaBus, topic: str, kafka_server: AnyKafka
) -> None:
    subscription = bus.subscribe([topic], "g")
    await bus.publish([Message(topic, "M1", b"before")])
    assert values(await take(subscription, 1)) == ["before"]
    await subscription.commit()
    await asyncio.to_thread(kafka_server.kill)
    with pytest.raises(Unavailable):
        await bus.publish([Message(topic, "M1", b"lost?")])
    assert await subscription.poll(10, 0.1) == []
    await asyncio.to_thread(kafka_server.restart)
    await until_it_works(bus, Message(topic, "M1", b"after"))
    received = values(await take(subscription, 1))
    while "after" not in received:
        received += values(await take(subscription, 1))
    assert set(received) <= {"lost?", "after"}


async def test_a_commit_that_met_a_dead_broker_is_said_again_when_it_is_back(
    bus: KafkaBus, topic: str, kafka_server: AnyKafka
) -> None:
    subscription = bus.subscribe([topic], "g")
    await bus.publish([Message(topic, "M1", b"before")])
    assert values(await take(subscription, 1)) == ["before"]
    await asyncio.to_thread(kafka_server.kill)
    await subscription.commit()
    await asyncio.to_thread(kafka_server.restart)
    async with asyncio.timeout(30):
        while await lag(bus, topic):
            assert await subscription.poll(10, 0.2) == []
    gc.collect()  # what kafka-python leaves of refused connections, while that is still forgiven


async def lag(bus: KafkaBus, topic: str) -> int:
    try:
        return await bus.lag([topic], "g")
    except Unavailable:
        return -1


async def until_it_works(bus: KafkaBus, message: Message) -> None:
    for _ in range(10):
        try:
            await bus.publish([message])
        except Unavailable:
            continue
        return
    raise AssertionError("the bus does not come back")


async def test_topics_are_kept_as_long_as_what_they_are_for(
    bus: KafkaBus, kafka_server: AnyKafka
) -> None:
    name = f"tests.{uuid4().hex[:8]}.v1"
    await bus.prepare(
        [
            TopicSpec(name, 2),
            TopicSpec(f"{name}.dead", 2),
            TopicSpec(f"{name}.cards", 2, compacted=True),
        ]
    )
    assert await configs(kafka_server, name) == {
        "min.insync.replicas": "1",
        "retention.ms": str(30 * 86_400_000),
    }
    assert (await configs(kafka_server, f"{name}.dead"))["retention.ms"] == "-1"
    assert (await configs(kafka_server, f"{name}.cards"))["cleanup.policy"] == "compact"


async def configs(server: AnyKafka, topic: str) -> dict[str, str]:
    """The settings a topic was given."""

    def ask() -> dict[str, str]:
        admin = KafkaAdminClient(bootstrap_servers=server.bootstrap)
        try:
            resource = ConfigResource(ConfigResourceType.TOPIC, topic)
            described = admin.describe_configs([resource], config_filter="modified")
        finally:
            admin.close()
        return {name: found["value"] for name, found in described["topic"][topic].items()}

    return await asyncio.to_thread(ask)


async def test_a_message_larger_than_the_broker_takes_is_refused_for_good(
    bus: KafkaBus, topic: str
) -> None:
    with pytest.raises(ServiceError) as caught:
        await bus.publish([Message(topic, "M1", b"x" * 2_000_000)])
    assert caught.value.code == "message_too_large"
    await bus.publish([Message(topic, "M1", b"small")])
    assert values(await take(bus.subscribe([topic], "g"), 1)) == ["small"]


async def test_a_key_that_is_no_text_is_put_aside_as_it_came_and_stops_nobody(
    bus: KafkaBus, topic: str, tmp_path: Path
) -> None:
    """Anybody may write to a topic with any client."""
    views = SqliteViews(tmp_path, "tests")
    await views.prepare([HALTED])
    stranger = b"\xff\x00".decode("utf-8", "surrogateescape")
    good = encode_fact(Fact("t:M1", 1, "k1", "Tested", 1, 2, msgspec.Raw(b"{}")))
    await bus.prepare([TopicSpec(f"{topic}.dead", 4)])
    await bus.publish([Message(topic, stranger, good), Message(topic, "M1", good)])
    seen: list[str] = []

    async def handler(batch: list[Envelope]) -> None:
        seen.extend(it.received.key for it in batch)

    worker = Consumer(bus, [topic], "g", handler, views)
    async with asyncio.timeout(60):
        while not seen or await bus.lag([topic], "g"):
            await worker.step(0.2)
    await worker.close()
    (letter,) = await peek(bus, topic, "g")
    assert (seen, letter.key, letter.reason) == (["M1"], stranger, "malformed")
    await views.close()
