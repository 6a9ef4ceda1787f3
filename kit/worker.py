"""A worker process: consumers, relays and duties side by side, and a small door for probes.

* Live while the event loop and every task go round; never asks a store or the bus.
* Told to stop: tasks finish what they have in hand, commit and leave their groups, within
  ``longest_drain_seconds``; what is cut off then comes again to a successor.
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
    """Something to do every ``every_seconds``; it finds what is due by itself.

    Work that may take long does a part at a time and answers True: then it is called again at once.
    """

    name: str
    work: Callable[[], Awaitable[bool | None]]
    every_seconds: float
    _beat: float = field(default_factory=time.monotonic)
    _rests: bool = False

    def age_seconds(self) -> float:
        """Return for how long it has been at work without going round."""
        return 0.0 if self._rests else time.monotonic() - self._beat

    async def run(self, stop: asyncio.Event) -> None:
        """Do it, again and again; while the store is out, try again with the next round."""
        while not stop.is_set():
            self._beat, self._rests = time.monotonic(), False
            more = None
            try:
                more = await self.work()
            except ServiceError as error:
                if error.kind != "unavailable":
                    raise
                _log.warning("duty_put_off", duty=self.name, error=str(error))
            if more:
                await asyncio.sleep(0)
                continue
            self._rests = True
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
    longest_drain_seconds: float = LONGEST_DRAIN_SECONDS

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set. Raises what a task raised."""
        health = self._health()
        gone = asyncio.Event()
        door = asyncio.create_task(self._door(health, gone))
        running: list[asyncio.Task[None]] = []
        try:
            await self._open(stop)
            if not stop.is_set():
                running = [asyncio.create_task(it.run(stop), name=it.name) for it in self.tasks]
                health.started = True
                await self._watch([*running, door], stop)
        finally:
            health.draining = True
            stop.set()
            await self._drain(running)
            await self.close()
            gone.set()
            await door

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
        """Return when told to stop; raise when a task has ended before that."""
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({*running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        ended = [task for task in running if task.done() and not stop.is_set()]
        for task in ended:
            error = task.exception()
            _log.error("worker_task_died", worker=self.name, task=task.get_name(), error=str(error))
            raise error or RuntimeError(f"{task.get_name()} ended though nobody told it to stop")

    async def _drain(self, running: list["asyncio.Task[None]"]) -> None:
        """Let tasks finish what they have in hand; cut them off when that takes too long."""
        if not running:
            return
        _, late = await asyncio.wait(running, timeout=self.longest_drain_seconds)
        for task in late:
            _log.error("worker_task_cut_off", worker=self.name, task=task.get_name())
            task.cancel()
        for error in await asyncio.gather(*running, return_exceptions=True):
            if isinstance(error, Exception):
                _log.error("worker_task_failed", worker=self.name, error=str(error))

    def _health(self) -> Health:
        return Health(live_checks=[_goes_round(task) for task in self.tasks])

    async def _door(self, health: Health, gone: asyncio.Event) -> None:
        """Answer probes and metrics until the worker has gone, while it drains, too."""
        if self.http is None:
            await gone.wait()
            return
        app = FastAPI(title=self.name, openapi_url=None)
        app.include_router(health_router(health))
        server = _Server(server_config(app, self.http))
        serving = asyncio.create_task(server.serve())
        leaving = asyncio.create_task(gone.wait())
        await asyncio.wait({serving, leaving}, return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
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
