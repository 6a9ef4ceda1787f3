"""A worker that kills itself, as ``kill -9`` would, at a moment of one's choice.

``python -m tests.e2e.crashing PLACE WORKER MOMENT COUNT``: the real worker on the real adapters;
only its bus is wrapped. It dies at the COUNTth time that it is about to ``commit`` (what it has
consumed has taken effect, and the offsets say it has not), or has just relayed facts and is about
to mark them as ``published``.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import uvloop

from kit.bus.consume import Consumer
from kit.bus.port import Bus, Message, Received, Subscription, TopicSpec
from kit.relay import Relay
from kit.worker import Task, Worker
from mooring.environment import Place
from mooring.processes import build, run_all

COMMIT, PUBLISHED = "commit", "published"
BATCH = 40  # small, so that there are enough moments to die at


@dataclass
class Fuse:
    """Counts the moments that are left."""

    left: int

    def burn(self) -> None:
        """One moment less; at the last one nothing is said and nothing is tidied."""
        self.left -= 1
        if self.left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class DyingSubscription:
    """Dies instead of committing."""

    inner: Subscription
    fuse: Fuse

    async def poll(self, limit: int, timeout: float) -> list[Received]:
        return await self.inner.poll(limit, timeout)

    async def commit(self) -> None:
        self.fuse.burn()
        await self.inner.commit()

    async def rewind(self) -> None:
        await self.inner.rewind()

    async def lag(self) -> int:
        return await self.inner.lag()

    async def close(self) -> None:
        await self.inner.close()


@dataclass
class DyingBus:
    """Dies at its moment, else it is the bus that it wraps."""

    inner: Bus
    fuse: Fuse
    moment: str

    async def prepare(self, topics: Sequence[TopicSpec]) -> None:
        await self.inner.prepare(topics)

    async def publish(self, messages: Sequence[Message]) -> None:
        await self.inner.publish(messages)
        if self.moment == PUBLISHED:
            self.fuse.burn()

    def subscribe(self, topics: Sequence[str], group: str) -> Subscription:
        subscription = self.inner.subscribe(topics, group)
        if self.moment == COMMIT:
            return DyingSubscription(subscription, self.fuse)
        return subscription

    async def lag(self, topics: Sequence[str], group: str) -> int:
        return await self.inner.lag(topics, group)

    async def close(self) -> None:
        await self.inner.close()


def armed(task: Task, fuse: Fuse, moment: str) -> Task:
    """The same task on a bus that it does not survive."""
    if isinstance(task, Consumer | Relay):
        bus = DyingBus(task.bus, fuse, moment)
        return cast(Task, replace(task, bus=bus, settings=replace(task.settings, batch=BATCH)))
    return task


def main(place: str, name: str, moment: str, count: str) -> None:
    """Run the worker until it dies."""
    worker = build(name, Place.decode(place).values_of(name))
    assert isinstance(worker, Worker)
    fuse = Fuse(int(count))
    worker.tasks = [armed(task, fuse, moment) for task in worker.tasks]
    uvloop.run(run_all([worker], asyncio.Event()))


if __name__ == "__main__":
    main(*sys.argv[1:])
