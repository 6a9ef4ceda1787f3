"""The relay: takes a journal's facts to the bus, in seq order per stream, at least once.

Only the holder of the journal's lease publishes. A holder that was put to sleep and superseded may
still send a batch again, which consumers recognise by seq; it never sends one ahead of its turn,
as ``unpublished`` always begins with the first unmarked fact of each stream.

While few facts are under way, the marks of several batches are taken off at once, beside the
publication of the next: a mark is a write, and nobody who waits for a fact waits for its mark.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from contracts.envelope import Fact, encode_fact
from kit.bus.backoff import Backoff
from kit.bus.metrics import Metrics, process_metrics
from kit.bus.port import Bus, Message
from kit.bus.tracing import TRACE_HEADER
from kit.errors import Unavailable
from kit.journal.port import Journal

_log = structlog.get_logger(__name__)

TopicOf = Callable[[Fact], str | None]


class Lease(Protocol):
    """Held by one at a time; ``kit.views.lease`` is the one that is used."""

    async def acquire(self) -> bool:
        """Take it when it is free; False when another holds it."""

    async def renew(self) -> bool:
        """Prolong it; False when another has it now."""

    async def release(self) -> None:
        """Let it go at once."""


@dataclass(frozen=True)
class RelaySettings:
    """``renew_seconds`` must be well below the duration of the lease.

    While there are at most ``few`` facts to mark, that waits for ``mark_seconds``, for more, and is
    done beside the next batch. After a batch that was not full it rests for ``rest_seconds``: where
    nobody waits for a fact, few large batches cost less.
    """

    batch: int = 1_000
    few: int = 100
    mark_seconds: float = 0.03
    renew_seconds: float = 2.0
    idle_seconds: float = 0.5
    rest_seconds: float = 0.0
    first_backoff_seconds: float = 0.05
    longest_backoff_seconds: float = 5.0


@dataclass
class Relay:
    """Publishes one journal. ``topic_of`` says where a fact goes; None: nowhere, only mark it."""

    journal: Journal
    bus: Bus
    topic_of: TopicOf
    lease: Lease
    settings: RelaySettings = RelaySettings()
    metrics: Metrics = field(default_factory=process_metrics)

    def __post_init__(self) -> None:
        self._held_at: float | None = None
        self._beat = time.monotonic()
        self._unmarked: dict[str, Fact] = {}  # published; ``_marking`` takes their marks off
        self._unmarked_since = 0.0
        self._marking: asyncio.Task[None] | None = None
        self._backoff = Backoff(
            self.settings.first_backoff_seconds, self.settings.longest_backoff_seconds
        )

    @property
    def name(self) -> str:
        """How logs and health reports call it."""
        return f"relay {self.journal.name}"

    def age_seconds(self) -> float:
        """Return how long ago the loop last went round: what liveness looks at."""
        return time.monotonic() - self._beat

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until ``stop`` is set; then finish the batch and release the lease."""
        try:
            while not stop.is_set():
                await self._round(stop)
        finally:
            with suppress(Unavailable):
                await self._marked()
            with suppress(Unavailable):
                await self.release()

    async def _round(self, stop: asyncio.Event) -> None:
        try:
            published = await self._publish_next()
            self._backoff.reset()
            if self._held_at is None:
                await _sleep_unless(stop, self.settings.idle_seconds)
            elif published < self.settings.batch:
                if published == 0:
                    await self._marked()  # until then the journal has what seems to be news
                elif self.settings.rest_seconds:
                    await _sleep_unless(stop, self.settings.rest_seconds)
                await self.journal.changed(
                    self.settings.mark_seconds if self._unmarked else self.settings.idle_seconds
                )
        except Unavailable as error:
            delay = self._backoff.next()
            _log.warning("relay_backs_off", relay=self.name, error=str(error), seconds=delay)
            await _sleep_unless(stop, delay)

    async def step(self) -> int:
        """Publish and mark one batch; return how many facts, 0 also when another is the relay."""
        published = await self._publish_next()
        await self._marked()
        return published

    async def _publish_next(self) -> int:
        """Publish a batch and see to its marks; those of a large batch are off on return."""
        self._beat = time.monotonic()
        if self._held_at is None and not await self._hold():
            return 0
        published = set(self._unmarked)  # a mark may go while the journal is being read
        held, unpublished = await asyncio.gather(
            self._hold(), self.journal.unpublished(self.settings.batch)
        )
        facts = [fact for fact in unpublished if fact.id not in published]
        if not held or not facts or not await self._hold():
            return 0
        messages = self._messages(facts)
        if messages:
            await self.bus.publish(messages)
        await self._see_to_marks(facts)
        self.metrics.relayed(self.journal.name, len(facts))
        return len(facts)

    async def _see_to_marks(self, facts: Sequence[Fact]) -> None:
        """Have the marks of what is published taken off, those of few facts later and beside."""
        now = time.monotonic()
        if self._marking is not None and self._marking.done():
            await self._marked()
        if not self._unmarked:
            self._unmarked_since = now
        self._unmarked.update((fact.id, fact) for fact in facts)
        if len(self._unmarked) > self.settings.few:
            await self._marked()
        elif self._marking is None and now - self._unmarked_since > self.settings.mark_seconds:
            self._marking = asyncio.create_task(self._mark())

    async def _mark(self) -> None:
        """Take off the marks of all that is published, and of what is meanwhile."""
        while self._unmarked:
            facts = list(self._unmarked.values())
            await self.journal.mark_published(facts)
            for fact in facts:
                del self._unmarked[fact.id]

    async def _marked(self) -> None:
        """Return when nothing waits for its mark. Raises Unavailable; what waited comes again."""
        marking, self._marking = self._marking or self._mark(), None
        try:
            await marking
        finally:
            self._unmarked.clear()

    def _messages(self, facts: Sequence[Fact]) -> list[Message]:
        routed = ((self.topic_of(fact), fact) for fact in facts)
        return [message_of(fact, topic) for topic, fact in routed if topic is not None]

    async def _hold(self) -> bool:
        """Hold the lease, asking the store only when the last answer has grown old."""
        now = time.monotonic()
        if self._held_at is None:
            held = await self.lease.acquire()
        elif now - self._held_at < self.settings.renew_seconds:
            return True
        else:
            held = await self.lease.renew()
            if not held:
                _log.warning("relay_superseded", relay=self.name)
        self._held_at = now if held else None
        return held

    async def release(self) -> None:
        """Let another relay take over at once."""
        self._held_at = None
        await self.lease.release()


def message_of(fact: Fact, topic: str) -> Message:
    """Wrap a fact for the bus: keyed by its owner, its type and trace readable from outside."""
    headers = {"type": fact.type.encode()}
    if fact.trace is not None:
        headers[TRACE_HEADER] = fact.trace.encode()
    return Message(topic, fact.owner, encode_fact(fact), headers)


async def _sleep_unless(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
