"""The bus: facts travel on topics, in order per key, at least once.

Offsets are committed after the durable effect. A consumer group shares out a topic's partitions;
a partition has one owner at a time, and whoever lost it cannot commit for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec


class Message(msgspec.Struct, frozen=True):
    """A message to publish. ``key`` decides the partition; ``value`` is passed on as it is.

    ``beside``: another key, in whose partition the message goes, in order with that key's.
    """

    topic: str
    key: str
    value: bytes
    headers: Mapping[str, bytes] = msgspec.field(default_factory=dict)
    beside: str | None = None


class Received(msgspec.Struct, frozen=True):
    """A message as a consumer sees it; ``timestamp`` is the broker's, in microseconds."""

    topic: str
    partition: int
    offset: int
    key: str
    value: bytes
    timestamp: int
    headers: Mapping[str, bytes] = msgspec.field(default_factory=dict)


@dataclass(frozen=True)
class TopicSpec:
    """What ``prepare`` creates."""

    name: str
    partitions: int
    compacted: bool = False


class Subscription(Protocol):
    """One member of a consumer group. Used by one task at a time."""

    @property
    def generation(self) -> int:
        """Grows whenever a partition comes to this member, before its messages are polled."""

    async def poll(self, limit: int, timeout: float) -> list[Received]:
        """Return up to ``limit`` messages, in order per partition, [] after ``timeout`` seconds.

        Messages follow those of the previous poll, committed or not. Raises Unavailable.
        """

    async def commit(self) -> None:
        """Commit everything polled so far. A partition lost meanwhile is passed over.

        A broker may note it a little later; ``close`` waits for that. Until it has, a crash brings
        the messages again.
        """

    async def rewind(self) -> None:
        """Go back to the last commit: the next poll returns the uncommitted messages again."""

    async def lag(self) -> int:
        """Return how many messages of the owned partitions are not committed yet."""

    async def close(self) -> None:
        """Leave the group, giving the partitions up at once; uncommitted messages come again."""


class Bus(Protocol):
    """The broker."""

    async def prepare(self, topics: Sequence[TopicSpec]) -> None:
        """Create topics; harmless when they are there, an error when partitions differ."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publish, and return once all are durable (``acks=all``); in order per key.

        Raises Unavailable: then any part may have been published, and a retry may double it.
        """

    def subscribe(self, topics: Sequence[str], group: str) -> Subscription:
        """Join a consumer group, from the earliest message when the group is new."""

    async def lag(self, topics: Sequence[str], group: str) -> int:
        """Return how many messages the group has not committed, over all partitions."""

    async def close(self) -> None:
        """Flush and release connections."""
