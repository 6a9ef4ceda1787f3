"""The processes of the platform, by name, and running some of them in one event loop.

``points-api`` and the like are what Kubernetes runs one of a pod; ``mooring up`` runs several in
one process, since a machine with two cores gains nothing from seven.
"""

import asyncio
import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Protocol

import uvicorn
from fastapi import FastAPI

from kit.http.serve import server_config
from kit.settings import (
    HttpSettings,
    ServiceApiSettings,
    ServiceWorkerSettings,
    SettingsError,
)
from kit.telemetry import configure_tracing

SERVICES = ("members", "points", "events")
APIS = tuple(f"{service}-api" for service in SERVICES)
WORKERS = tuple(f"{service}-worker" for service in SERVICES)
NAMES = ("gateway", *APIS, *WORKERS)

Values = Mapping[str, str]


class Process(Protocol):
    """Something that runs until it is told to stop, and leaves in good order."""

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set. Raises when it cannot go on."""


class HttpProcess:
    """An app under uvicorn; signals are the caller's."""

    def __init__(self, app: FastAPI, settings: HttpSettings) -> None:
        self.app, self.settings = app, settings
        self.server = _Server(server_config(app, settings))

    async def run(self, stop: asyncio.Event) -> None:
        """Serve; when told to stop be unready for a while, then finish what is under way."""
        serving = asyncio.create_task(self.server.serve())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            self.app.state.health.draining = True
            await asyncio.sleep(self.settings.drain_seconds)
            self.server.should_exit = True
        stopping.cancel()
        await serving
        if not stop.is_set():
            raise RuntimeError(f"{self.app.title} cannot listen on port {self.settings.port}")

    def serves(self) -> bool:
        """Whether it takes requests: it has started, and has not begun to stop."""
        return self.server.started and not self.server.should_exit

    @property
    def port(self) -> int:
        """The port it listens on, once it does."""
        return int(self.server.servers[0].sockets[0].getsockname()[1])


class _Server(uvicorn.Server):
    """uvicorn that leaves signals alone, so that several may share a process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def build(name: str, values: Values | None = None) -> Process:
    """Return the process of this name, its settings read from ``values`` or the environment.

    Raises SettingsError.
    """
    if name not in NAMES:
        raise SettingsError([f"{name!r} is no process; there are {', '.join(NAMES)}"])
    if name == "gateway":
        return _gateway(values, {})
    service, _, part = name.partition("-")
    settings = import_module(f"services.{service}.settings")
    if part == "api":
        read: ServiceApiSettings = settings.ApiSettings.read(values)
        configure_tracing(name, read.telemetry)
        return HttpProcess(import_module(f"services.{service}.app").create_app(read), read.http)
    told: ServiceWorkerSettings = settings.WorkerSettings.read(values)
    configure_tracing(name, told.telemetry)
    worker: Process = import_module(f"services.{service}.worker").create_worker(told)
    return worker


def build_together(names: Sequence[str], values_of: Callable[[str], Values]) -> list[Process]:
    """Return processes that will share one event loop: the gateway calls the APIs among them.

    Over loopback every request would be written, read and parsed once more, which costs nearly as
    much again as answering it (docs/performance.md). Raises SettingsError.
    """
    processes = {name: build(name, values_of(name)) for name in names if name != "gateway"}
    if "gateway" in names:
        processes["gateway"] = _gateway(values_of("gateway"), processes)
    return [processes[name] for name in names]


def _gateway(values: Values | None, beside: Mapping[str, Process]) -> Process:
    from gateway.app import create_app
    from gateway.in_process import Neighbour
    from gateway.settings import read_settings

    read = read_settings(values)
    neighbours = {
        name.removesuffix("-api"): Neighbour(
            process.app, process.serves, process.server.server_state.tasks
        )
        for name, process in beside.items()
        if isinstance(process, HttpProcess)
    }
    return HttpProcess(create_app(read, neighbours), read.http)


def collect_rarely() -> None:
    """Let the cyclic garbage collector look seldom, and never at what was there at the start.

    A batch makes tens of thousands of small structs that reference counting frees; walking them
    took 30 % of a worker's time (docs/performance.md).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


async def run_all(processes: Sequence[Process], stop: asyncio.Event) -> None:
    """Run processes side by side; when one fails, stop the others and raise its error."""
    tasks = [asyncio.create_task(process.run(stop)) for process in processes]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
