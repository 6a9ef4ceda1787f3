"""A worker process: consumers, relays and duties side by side, and a small door for probes.

* Live while the event loop and every task go round; never asks a store or the bus.
* Told to stop: tasks finish what they have in hand, commit and leave their groups, within
  ``drain_seconds`` at most; what is cut off then comes again to a successor.
* A task that dies takes the process down: a worker that works by half is worse than none.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

import structlog
import uvicorn
from fastapi import FastAPI

from kit.errors import ServiceError, Unavailable
from kit.http.health import Check, Health, health_router
from kit.http.serve import server_config
from kit.settings import HttpSettings

_log = structlog.get_logger(__name__)
LONGEST_ROUND_SECONDS = 120.0
LONGEST_DRAIN_SECONDS = 30.0


class Task(Protocol):
    """A consumer, a relay or a duty."""

    @property
    def name(self) -> str:
        """How logs and health reports call it."""

    def age_seconds(self) -> float:
        """Return how long ago it last went round."""

    async def run(self, stop: asyncio.Event) -> None:
        """Go round until ``stop`` is set."""


@dataclass
class Duty:
    """Something to do every ``every_seconds``; it finds what is due by itself."""

    name: str
    work: Callable[[], Awaitable[None]]
    every_seconds: float
    _beat: float = field(default_factory=time.monotonic)

    def age_seconds(self) -> float:
        """Return how long ago it last went round."""
        return time.monotonic() - self._beat

    async def run(self, stop: asyncio.Event) -> None:
        """Do it, again and again; while the store is out, try again with the next round."""
        while not stop.is_set():
            self._beat = time.monotonic()
            try:
                await self.work()
            except ServiceError as error:
                if error.kind != "unavailable":
                    raise
                _log.warning("duty_put_off", duty=self.name, error=str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(self.every_seconds):
                    await stop.wait()


@dataclass
class Worker:
    """Runs ``tasks`` until told to stop; ``open`` comes before them, ``close`` after them."""

    name: str
    tasks: Sequence[Task]
    open: Callable[[], Awaitable[None]]
    close: Callable[[], Awaitable[None]]
    http: HttpSettings | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set. Raises what a task raised."""
        await self._open(stop)
        health = self._health()
        door = asyncio.create_task(self._door(health, stop)) if self.http else None
        running = [asyncio.create_task(task.run(stop), name=task.name) for task in self.tasks]
        health.started = True
        try:
            await self._watch(running, stop)
        finally:
            health.draining = True
            stop.set()
            await asyncio.wait(running, timeout=LONGEST_DRAIN_SECONDS)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            if door is not None:
                await door
            await self.close()

    async def _open(self, stop: asyncio.Event) -> None:
        """Prepare, waiting for a store that is not there yet."""
        while not stop.is_set():
            try:
                await self.open()
            except Unavailable as error:
                _log.warning("worker_waits", worker=self.name, error=str(error))
                await asyncio.sleep(0.5)
            else:
                return

    async def _watch(self, running: list["asyncio.Task[None]"], stop: asyncio.Event) -> None:
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({*running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        for task in running:
            if task.done() and (error := task.exception()) is not None:
                _log.error("worker_task_died", worker=self.name, task=task.get_name())
                raise error

    def _health(self) -> Health:
        return Health(live_checks=[_goes_round(task) for task in self.tasks])

    async def _door(self, health: Health, stop: asyncio.Event) -> None:
        """Answer probes and metrics until the worker has stopped."""
        assert self.http is not None
        app = FastAPI(title=self.name, openapi_url=None)
        app.include_router(health_router(health))
        server = _Server(server_config(app, self.http))
        serving = asyncio.create_task(server.serve())
        await asyncio.wait(
            {serving, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED
        )
        server.should_exit = True
        await serving


class _Server(uvicorn.Server):
    """uvicorn that leaves signals to the worker."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _goes_round(task: Task) -> Check:
    async def probe() -> None:
        if (age := task.age_seconds()) > LONGEST_ROUND_SECONDS:
            raise Unavailable(task.name, f"has not gone round for {age:.0f} s")

    return Check(task.name, probe)
