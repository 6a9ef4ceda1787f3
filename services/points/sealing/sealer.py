"""Sealing what the ledger's topic brings: off the hot path, once a second, a group of its own.

The sealer hashes the bytes that were published, which the journal must still have when an auditor
asks. It keeps no record of what it has sealed: after a crash between a seal and the commit of its
offsets the same entries come again; the same batch finds its seal by its key, another batch seals
them once more with the same hashes, which the format allows.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from contracts.seals import SealedRun, Witnessed
from contracts.topics import ENTRIES
from kit.bus.consume import Consumer, ConsumerSettings, Envelope
from kit.bus.port import Bus
from kit.clock import Clock
from kit.errors import Unavailable
from kit.views.port import Views
from services.points.domain.seals import Gathering, Seal, witness_for
from services.points.sealing.chains import Chains, new_seal, seal_command

GROUP = "points-seal"
SEALED_KINDS = frozenset(ENTRIES.stream_kinds)
BATCH = 1_000
# One look a second makes few, large seals; so long may an entry of a quiet club lie unsealed.
LINGER_SECONDS = 1.0
# A poll returns with the first message; a longer one would make a small seal of it.
POLL_SECONDS = 0.2


@dataclass
class Sealer:
    """Seals batches of entries; ``_heads`` are the seals it knows and may name as witnesses."""

    chains: Chains
    clock: Clock
    _heads: dict[int, tuple[int, str]] = field(default_factory=dict)
    _own: set[int] = field(default_factory=set)
    _known: bool = False

    async def handle(self, batch: Sequence[Envelope]) -> None:
        """Seal a batch of the entries topic, each partition in its own stream of seals."""
        gathered: dict[int, Gathering] = {}
        for envelope in batch:
            fact, received = envelope.fact, envelope.received
            if fact.stream.partition(":")[0] not in SEALED_KINDS:
                continue
            if (gathering := gathered.get(received.partition)) is None:
                gathering = gathered[received.partition] = Gathering()
            gathering.add(fact.stream, fact.seq, received.value)
        await self.seal({number: each.seals() for number, each in gathered.items()})

    async def seal(self, runs: Mapping[int, Sequence[tuple[SealedRun, ...]]]) -> None:
        """Append seals, given what each is to cover, by partition. Raises Unavailable."""
        if not self._known:
            await self._learn(range(ENTRIES.partitions))
            self._known = True
        commands = [
            seal_command(number, Seal(each, self.clock(), self._witness(number)))
            for number, seals in runs.items()
            for each in seals
        ]
        for result in await self.chains.execute(commands, new_seal):
            if result.error is not None:
                raise result.error
        self._own.update(runs)
        await self._learn(runs)

    def _witness(self, partition: int) -> Witnessed | None:
        """One of the seals of this process, which are new, before one of another, which are not."""
        own = {number: self._heads[number] for number in self._own}
        return witness_for(partition, own) or witness_for(partition, self._heads)

    async def _learn(self, partitions: Iterable[int]) -> None:
        heads = await self.chains.heads(str(number) for number in partitions)
        for number, head in heads.items():
            if head.seq:
                self._heads[int(number)] = (head.seq, head.state.hash)


@dataclass
class SealingTask:
    """A worker's task: a consumer that rests between two looks, so that seals are few and large."""

    consumer: Consumer
    linger_seconds: float = LINGER_SECONDS

    @property
    def name(self) -> str:
        """How logs and health reports call it."""
        return self.consumer.name

    def age_seconds(self) -> float:
        """Return how long ago it last went round."""
        return self.consumer.age_seconds()

    async def run(self, stop: asyncio.Event) -> None:
        """Seal until ``stop`` is set; what is not sealed then is sealed by a successor."""
        try:
            while not stop.is_set():
                begun = time.monotonic()
                sealed = await self.consumer.step(POLL_SECONDS, stop)
                if sealed < BATCH:
                    await _rest(stop, begun + self.linger_seconds - time.monotonic())
        finally:
            with suppress(Unavailable):  # the membership then runs out by itself
                await self.consumer.close()


async def _rest(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(max(0.0, seconds)):
            await stop.wait()


def sealing_task(bus: Bus, chains: Chains, views: Views, clock: Clock) -> SealingTask:
    """Return the task that seals the entries topic."""
    sealer = Sealer(chains, clock)
    settings = ConsumerSettings(batch=BATCH)
    return SealingTask(
        Consumer(bus, [ENTRIES.name], GROUP, sealer.handle, views, settings, clock=clock)
    )
