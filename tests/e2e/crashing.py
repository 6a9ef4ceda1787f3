"""A worker that kills itself, as ``kill -9`` would, at a moment of one's choice.

``python -m tests.e2e.crashing PLACE WORKER MOMENT COUNT``: the real worker on the real adapters;
only some of them are wrapped. It dies at the COUNTth time that it is about to ``commit`` (what it
has consumed has taken effect, and the offsets say it has not), or has just relayed facts and is
about to mark them as ``published``, or has just ``appended`` or ``saved`` (see ``dying``).
"""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import cast

import uvloop

from kit.bus.consume import Consumer
from kit.bus.port import Bus, Message, Received, Subscription, TopicSpec
from kit.relay import Relay
from kit.settings import ServiceWorkerSettings
from kit.worker import Task, Worker
from mooring.environment import Place
from mooring.processes import Values, build, run_all
from tests.e2e.dying import APPENDED, SAVED, Fuse, handler

COMMIT, PUBLISHED = "commit", "published"
BATCH = 40  # small, so that there are enough moments to die at


@dataclass
class DyingSubscription:
    """Dies instead of committing."""

    inner: Subscription
    fuse: Fuse

    @property
    def generation(self) -> int:
        return self.inner.generation

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


def armed(task: Task, fuse: Fuse, moment: str, name: str) -> Task:
    """The same task on a bus that it does not survive; of consumers only the first."""
    first = not isinstance(task, Consumer) or task.group == name.removesuffix("-worker")
    if isinstance(task, Consumer | Relay) and first:
        bus = DyingBus(task.bus, fuse, moment)
        return cast(Task, replace(task, bus=bus, settings=replace(task.settings, batch=BATCH)))
    return task


def armed_inside(task: Task, fuse: Fuse, moment: str, name: str, values: Values) -> Task:
    """The same first consumer with a handler whose journal or views it does not survive."""
    if not isinstance(task, Consumer) or task.group != name.removesuffix("-worker"):
        return task
    service = import_module(f"services.{name.removesuffix('-worker')}.settings")
    settings: ServiceWorkerSettings = service.WorkerSettings.read(values)
    dying = handler(name, settings, task.bus, moment, fuse)
    return cast(Task, replace(task, handler=dying, settings=replace(task.settings, batch=BATCH)))


def main(place: str, name: str, moment: str, count: str) -> None:
    """Run the worker until it dies."""
    values = Place.decode(place).values_of(name)
    worker = build(name, values)
    assert isinstance(worker, Worker)
    fuse = Fuse(int(count))
    if moment in (APPENDED, SAVED):
        worker.tasks = [armed_inside(task, fuse, moment, name, values) for task in worker.tasks]
    else:
        worker.tasks = [armed(task, fuse, moment, name) for task in worker.tasks]
    uvloop.run(run_all([worker], asyncio.Event()))


if __name__ == "__main__":
    main(*sys.argv[1:])
