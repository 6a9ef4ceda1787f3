"""The bus on Apache Kafka, through kafka-python.

Its producer, admin client and each consumer get a thread of their own, so the event loop never
waits for the network. Kafka's transactions are not used: the journal is what makes an effect
happen once, and a client bug in them would be ours to find.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from kafka import TopicPartition

from kit.bus.kafka_client import KafkaSettings, require_crc32c
from kit.bus.kafka_publisher import KafkaPublisher
from kit.bus.kafka_subscription import KafkaSubscription
from kit.bus.kafka_topics import KafkaTopics
from kit.bus.port import Message, TopicSpec

__all__ = ["KafkaBus", "KafkaSettings"]

CLOSE_SECONDS = 5.0
Result = TypeVar("Result")


class KafkaBus:
    """A ``Bus`` on a cluster; ``servers`` are some of its ``host:port``."""

    def __init__(self, servers: Sequence[str], settings: KafkaSettings | None = None) -> None:
        require_crc32c()
        logging.getLogger("kafka").setLevel(logging.WARNING)  # it tells of every request
        self._servers = servers
        self._settings = settings or KafkaSettings()
        self._publisher = KafkaPublisher(servers, self._settings)
        self._topics = KafkaTopics(servers, self._settings)
        self._publishing = ThreadPoolExecutor(1, thread_name_prefix="kafka-publish")
        self._asking = ThreadPoolExecutor(1, thread_name_prefix="kafka-admin")
        self._subscriptions: list[KafkaSubscription] = []

    async def prepare(self, topics: Sequence[TopicSpec]) -> None:
        """Create topics; harmless when they are there, an error when partitions differ."""
        await _in(self._asking, lambda: self._topics.prepare(topics))

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publish, one call after the other; returns when all replicas in sync have everything."""
        if messages:
            await _in(self._publishing, lambda: self._publisher.publish(messages))

    def subscribe(self, topics: Sequence[str], group: str) -> KafkaSubscription:
        """Return a member of the group; it joins with its first poll."""
        cluster = _Cluster(self._topics, self._asking)
        member = KafkaSubscription(self._servers, self._settings, topics, group, cluster)
        self._subscriptions.append(member)
        return member

    async def lag(self, topics: Sequence[str], group: str) -> int:
        """Return how many messages the group has not committed, over all partitions."""
        return await _in(self._asking, lambda: self._topics.lag(topics, group))

    async def close(self) -> None:
        """Leave the groups, flush, disconnect."""
        await asyncio.gather(*(subscription.close() for subscription in self._subscriptions))
        await _in(self._publishing, lambda: self._publisher.close(CLOSE_SECONDS))
        await _in(self._asking, self._topics.close)
        self._publishing.shutdown(wait=False)
        self._asking.shutdown(wait=False)


@dataclass(frozen=True)
class _Cluster:
    """The admin client as other threads see it."""

    topics: KafkaTopics
    thread: ThreadPoolExecutor

    def require(self, names: Sequence[str]) -> None:
        """Raise Unavailable when a topic is not there."""
        self.thread.submit(self.topics.require, names).result()

    def lag_of(self, places: Sequence[TopicPartition], group: str) -> int:
        """Return the group's lag over these partitions."""
        return self.thread.submit(self.topics.lag_of, places, group).result()


async def _in(thread: ThreadPoolExecutor, work: Callable[[], Result]) -> Result:
    return await asyncio.get_running_loop().run_in_executor(thread, work)
