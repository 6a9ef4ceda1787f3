"""The consumer loop, written once for every adapter: poll, sort, handle, commit.

* Offsets are committed only after the handler has returned, so its effect is durable by then.
* A message that is no envelope goes to the dead letters; the line goes on.
* When a store or the bus is out, the batch is left uncommitted and comes again after a back-off.
* When a message cannot be handled, halving the batch finds it; its owner halts (``halts.py``), all
  others go on.
* A message that an operator gave up (``dropped.py``) leaves the list of its owner's halt unhandled.

A handler must bear to see a message again: after a crash, and while a batch is halved.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from kit.bus.backoff import Backoff
from kit.bus.dead_letters import dead_letter
from kit.bus.halts import Halt, Halts, halt_for
from kit.bus.metrics import Metrics, process_metrics
from kit.bus.port import Bus, Received, Subscription
from kit.bus.tracing import batch_span
from kit.bus.triage import Aside, Envelope, Sorted, place_of, sort_batch
from kit.clock import Clock, system_clock
from kit.errors import ServiceError, Unavailable
from kit.views.port import Views

__all__ = ["Consumer", "ConsumerSettings", "Envelope", "Handler"]

Handler = Callable[[list[Envelope]], Awaitable[None]]
_log = structlog.get_logger(__name__)
_PASSING = ("unavailable", "timeout")


@dataclass(frozen=True)
class ConsumerSettings:
    """``batch`` messages at once; waits up to ``poll_seconds`` for the first of them.

    After a batch that was not full it rests for ``rest_seconds``: where nobody waits for what
    follows, a round for some dozens costs hardly more than a round for one.
    """

    batch: int = 1_000
    poll_seconds: float = 0.5
    rest_seconds: float = 0.0
    first_backoff_seconds: float = 0.05
    longest_backoff_seconds: float = 5.0
    lag_every_seconds: float = 5.0


@dataclass
class Consumer:
    """One member of a group at work. ``views`` must have prepared ``halts.HALTED``."""

    bus: Bus
    topics: Sequence[str]
    group: str
    handler: Handler
    views: Views
    settings: ConsumerSettings = ConsumerSettings()
    metrics: Metrics = field(default_factory=process_metrics)
    clock: Clock = system_clock

    def __post_init__(self) -> None:
        self._subscription: Subscription = self.bus.subscribe(self.topics, self.group)
        self._halts = Halts(self.views, self.group)
        self._backoff = Backoff(
            self.settings.first_backoff_seconds, self.settings.longest_backoff_seconds
        )
        self._must_rewind = False
        self._no_halts_at: int | None = None  # the subscription's generation when none was there
        self._beat = time.monotonic()
        self._lag_due = 0.0
        self._asking: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """How logs and health reports call it."""
        return f"consumer {self.group}"

    def age_seconds(self) -> float:
        """Return how long ago the loop last went round: what liveness looks at."""
        return time.monotonic() - self._beat

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until ``stop`` is set; then finish the batch, commit and leave the group."""
        try:
            while not stop.is_set():
                done = await self.step(self.settings.poll_seconds, stop)
                if 0 < done < self.settings.batch and self.settings.rest_seconds:
                    await _pause(self.settings.rest_seconds, stop)
        finally:
            with suppress(Unavailable):  # the membership then runs out by itself
                await self.close()

    async def close(self) -> None:
        """Leave the group."""
        if self._asking is not None:
            await self._asking
        await self._subscription.close()

    async def step(self, poll_seconds: float = 0.0, stop: asyncio.Event | None = None) -> int:
        """Go round once; return how many messages were committed."""
        self._beat = time.monotonic()
        try:
            return await self._step(poll_seconds)
        except ServiceError as error:
            if error.kind not in _PASSING:
                raise
            await self._back_off(error, stop)
            return 0

    async def _step(self, poll_seconds: float) -> int:
        if self._must_rewind:
            await self._subscription.rewind()
            self._must_rewind = False
        received = await self._subscription.poll(self.settings.batch, poll_seconds)
        if received:
            self._must_rewind = True  # until it is committed, whatever goes wrong
            start = time.perf_counter()
            await self._work(received)
            await self._subscription.commit()
            self._must_rewind = False
            self.metrics.batch_took(self.group, time.perf_counter() - start)
        self._backoff.reset()
        self._report_lag()
        return len(received)

    async def _back_off(self, error: ServiceError, stop: asyncio.Event | None) -> None:
        delay = self._backoff.next()
        self.metrics.backed_off(self.group)
        _log.warning("consumer_backs_off", group=self.group, error=str(error), seconds=delay)
        await _pause(delay, stop or asyncio.Event())

    def _report_lag(self) -> None:
        """Have the lag asked for, now and then, beside the work: no message waits for it."""
        now = time.monotonic()
        if now >= self._lag_due and (self._asking is None or self._asking.done()):
            self._lag_due = now + self.settings.lag_every_seconds
            self._asking = asyncio.create_task(self._ask_lag())

    async def _ask_lag(self) -> None:
        try:
            self.metrics.lag(self.group, await self._subscription.lag())
        except ServiceError as error:
            _log.info("lag_unknown", group=self.group, error=str(error))

    async def _work(self, received: list[Received]) -> None:
        halts = await self._halted(received)
        batch = sort_batch(received, halts, self.group)
        with batch_span(self.group, received):
            failed = await self._run(batch.run) if batch.run else []
        await self._put_aside([*batch.aside, *failed], batch, halts)
        self._count(batch.run, failed)

    async def _halted(self, received: list[Received]) -> dict[str, Halt]:
        """Return the group's halts, asking only when there may be some.

        Whoever owns a partition halts its owners. So where there was none, there is none until
        this member halts somebody or a partition comes to it.
        """
        generation = self._subscription.generation
        if self._no_halts_at == generation and not any(
            "retry-group" in it.headers for it in received
        ):
            return {}
        self._no_halts_at = None
        halts = await self._halts.load()
        if not halts:
            self._no_halts_at = generation
        return halts

    async def _run(self, batch: list[Envelope]) -> list[Aside]:
        """Handle a batch; return what could not be handled, each owner's in order."""
        try:
            await self.handler(batch)
        except Exception as error:
            if isinstance(error, ServiceError) and error.kind in _PASSING:
                raise
            if len(batch) > 1:
                return await self._run_halves(batch)
            return [self._failure(batch[0], error)]
        return []

    async def _run_halves(self, batch: list[Envelope]) -> list[Aside]:
        middle = len(batch) // 2
        failed = await self._run(batch[:middle])
        errors = {aside.received.key: aside.error for aside in failed}
        rest = [it for it in batch[middle:] if it.received.key not in errors]
        held_up = [it.received for it in batch[middle:] if it.received.key in errors]
        failed += [Aside(it, "halted", errors[it.key]) for it in held_up]
        return failed + (await self._run(rest) if rest else [])

    def _failure(self, envelope: Envelope, error: Exception) -> Aside:
        received = envelope.received
        _log.error(
            "owner_halted",
            group=self.group,
            topic=received.topic,
            partition=received.partition,
            offset=received.offset,
            key=received.key,
            fact=envelope.fact.id,
            exc_info=error,
        )
        return Aside(received, "failed", f"{type(error).__name__}: {error}")

    async def _put_aside(self, asides: list[Aside], batch: Sorted, halts: dict[str, Halt]) -> None:
        """Publish dead letters, then bring the halts up to date: a crash between repeats letters,
        which the list of the halt makes harmless; the other order could lose one."""
        if not asides and not halts and not batch.dropped:
            return
        for aside in asides:
            if aside.reason == "malformed":
                _log.error("message_malformed", group=self.group, error=aside.error)
            self.metrics.dead_lettered(self.group, aside.received.topic, aside.reason, 1)
        for it in batch.dropped:
            where = {"topic": it.topic, "partition": it.partition, "offset": it.offset}
            _log.warning("dead_letter_dropped", group=self.group, key=it.key, **where)
        letters = [dead_letter(it.received, self.group, it.reason, it.error) for it in asides]
        # Behind the letters: a message may be put aside in the batch that brings its release.
        letters += [it.marker() for it in batch.dropped]
        if letters:
            await self.bus.publish(letters)
        self._no_halts_at = None
        await self._halts.save(self._changed_halts(asides, batch, halts))

    def _changed_halts(
        self, asides: list[Aside], batch: Sorted, halts: dict[str, Halt]
    ) -> list[Halt]:
        changed: dict[str, Halt] = {}
        put_aside = {id(it.received) for it in asides}
        for envelope in batch.run:
            halt = halts.get(envelope.received.key)
            if halt is not None and id(envelope.received) not in put_aside:
                halt.settle(*place_of(envelope.received))
                changed[halt.key] = halt
        for aside in asides:
            halt = halts.get(aside.received.key)
            if aside.reason == "malformed":  # the line goes on without it
                if halt is not None:
                    halt.settle(*place_of(aside.received))
                    changed[halt.key] = halt
                continue
            if halt is None:
                halt = halt_for(self.group, aside.received, self.clock(), aside.error)
                halts[halt.key] = halt
            halt.park(*place_of(aside.received))
            changed[halt.key] = halt
        for dropped in batch.dropped:
            halt = halts.get(dropped.key)
            if halt is not None:
                halt.settle(dropped.topic, dropped.offset)
                changed[halt.key] = halt
        return list(changed.values())

    def _count(self, run: list[Envelope], failed: list[Aside]) -> None:
        counts: dict[str, int] = {}
        for envelope in run:
            counts[envelope.received.topic] = counts.get(envelope.received.topic, 0) + 1
        for aside in failed:
            counts[aside.received.topic] -= 1
        for topic, count in counts.items():
            self.metrics.handled(self.group, topic, count)


async def _pause(seconds: float, stop: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
