"""Every bus adapter, behind one fixture: ``broker.open()`` is one more process on one broker."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

import pytest

from contracts.topics import DEAD_LETTER_SUFFIX
from kit.bus.port import Bus, Message, Received, Subscription, TopicSpec
from kit.bus.sqlite import SqliteBus

ADAPTERS = ["sqlite", pytest.param("kafka", marks=pytest.mark.connected)]
PARTITIONS = 4


@dataclass
class Broker:
    """A broker with one fresh topic (and its dead letters) for the test."""

    adapter: str
    place: str
    topic: str = field(default_factory=lambda: f"tests.{uuid4().hex[:8]}.v1")
    group: str = field(default_factory=lambda: f"group-{uuid4().hex[:8]}")
    opened: list[Any] = field(default_factory=list)

    def open(self) -> Bus:
        bus: Bus
        if self.adapter == "sqlite":
            bus = SqliteBus(Path(self.place), lease_seconds=1.0)
        else:
            from kit.bus.kafka import KafkaBus, KafkaSettings

            bus = KafkaBus([self.place], KafkaSettings(session_timeout_seconds=6.0))
        self.opened.append(bus)
        return bus

    @property
    def patience(self) -> float:
        """How long to wait before concluding that nothing comes."""
        return 0.05 if self.adapter == "sqlite" else 1.5

    async def close(self) -> None:
        for bus in self.opened:
            await bus.close()


@pytest.fixture(params=ADAPTERS)
async def broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Broker]:
    """A broker of each adapter in turn, with a topic of its own."""
    if request.param == "sqlite":
        place = str(tmp_path / "bus")
    else:
        place = request.getfixturevalue("kafka_server").bootstrap
    broker = Broker(request.param, place)
    await broker.open().prepare(
        [
            TopicSpec(broker.topic, PARTITIONS),
            TopicSpec(broker.topic + DEAD_LETTER_SUFFIX, PARTITIONS),
        ]
    )
    yield broker
    await broker.close()


@pytest.fixture
def bus(broker: Broker) -> Bus:
    """The bus that prepared the topic."""
    opened: Bus = broker.opened[0]
    return opened


def numbered(topic: str, keys: Sequence[str], count: int) -> list[Message]:
    """``count`` messages per key, ``key:0``, ``key:1`` …, the keys taking turns."""
    return [
        Message(topic, key, f"{key}:{number}".encode()) for number in range(count) for key in keys
    ]


async def take(subscription: Subscription, count: int, within: float = 20.0) -> list[Received]:
    """Poll until ``count`` messages are there."""
    received: list[Received] = []
    deadline = monotonic() + within
    while len(received) < count:
        assert monotonic() < deadline, f"only {len(received)} of {count} messages came"
        received += await subscription.poll(1000, 0.5)
    return received


async def nothing_comes(broker: Broker, subscription: Subscription) -> bool:
    """Whether the subscription has no messages."""
    return await subscription.poll(1000, broker.patience) == []


def values(received: Sequence[Received]) -> list[str]:
    """The values, as text."""
    return [it.value.decode() for it in received]


def by_key(received: Sequence[Received]) -> dict[str, list[str]]:
    """The values of each key, in the order in which they came."""
    found: dict[str, list[str]] = {}
    for it in received:
        found.setdefault(it.key, []).append(it.value.decode())
    return found


def complete(keys: Sequence[str], count: int) -> dict[str, list[str]]:
    """What ``by_key`` says when all ``numbered`` messages came once, in order."""
    return {key: [f"{key}:{number}" for number in range(count)] for key in keys}


async def settle_shares(subscriptions: Sequence[Subscription], within: float = 20.0) -> None:
    """Poll all until each has had its turn with the group; nothing must be waiting."""
    deadline = monotonic() + within
    while monotonic() < deadline:
        await asyncio.gather(*(it.poll(1, 0.05) for it in subscriptions))
        if await shares(subscriptions) == PARTITIONS:
            return
    raise AssertionError("the group did not settle")


async def shares(subscriptions: Sequence[Subscription]) -> int:
    """How many partitions the subscriptions own, when each owns some; otherwise 0."""
    owned = [len(getattr(it, "owned")()) for it in subscriptions]  # noqa: B009 not in the port
    return sum(owned) if all(owned) else 0
