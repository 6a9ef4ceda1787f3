"""A whole platform in this process: gateway, APIs and workers, on whichever adapters."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import structlog

from kit.bus.open import open_bus
from kit.bus.port import Bus
from kit.logs import explain_exception
from mooring.environment import Place
from mooring.preparation import prepare
from mooring.processes import APIS, WORKERS, Process, build, run_all
from mooring.services import Services, opened
from mooring.settle import settle
from mooring.verify import Report, verify

READY_SECONDS = 20
# Everything shares one event loop here: what is late is the machine, not the service that is asked.
PATIENCE = {"MOORING_HOME_PART_MS": "5000"}
ALL = ("gateway", *APIS, *WORKERS)


@dataclass
class Running:
    """The platform under test, and the clients of its users."""

    place: Place
    services: Services
    bus: Bus
    _clients: dict[tuple[str, str | None], httpx.AsyncClient] = field(default_factory=dict)
    _stops: dict[str, list[asyncio.Event]] = field(default_factory=dict)
    _tasks: dict[str, list["asyncio.Task[None]"]] = field(default_factory=dict)

    def client(
        self, role: str, member: str | None = None, *, partner: str | None = None
    ) -> httpx.AsyncClient:
        """A client of the gateway with a token of this role."""
        token = self.place.issuer().token(role, member, partner=partner)
        return httpx.AsyncClient(
            base_url=self.place.address,
            headers={"authorization": f"Bearer {token}"},
            timeout=30,
            # There is no TLS on this machine, and loading certificates takes 20 ms.
            verify=False,
        )

    async def get(self, path: str, role: str = "agent", member: str | None = None) -> Any:
        """What the gateway answers to this role; fails the test unless it is 200."""
        caller = (role, member)
        if caller not in self._clients:
            self._clients[caller] = self.client(role, member)
        answer = await self._clients[caller].get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def settled(self) -> None:
        """Wait until all that was accepted is worked off."""
        await settle(self.bus, self.services, timeout_seconds=60)

    async def verified(self) -> Report:
        """Settle, then check every invariant; fails the test with what does not hold."""
        await self.settled()
        report = await verify(self.services)
        assert (report.findings, report.unsettled) == ([], [])
        return report

    def start(self, name: str) -> None:
        """Start one more process of this name."""
        stop = asyncio.Event()
        process: Process = build(name, {**self.place.values_of(name), **PATIENCE})
        self._stops.setdefault(name, []).append(stop)
        self._tasks.setdefault(name, []).append(asyncio.create_task(run_all([process], stop)))

    async def stop(self, *names: str) -> None:
        """Stop every process of these names, in good order; raises what one of them raised.

        Not before all have ended: what one leaves behind would be in the way of the next test.
        """
        for name in names:
            for stop in self._stops.pop(name, ()):
                stop.set()
        tasks = [task for name in names for task in self._tasks.pop(name, ())]
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, BaseException):
                raise ended

    async def close(self) -> None:
        """Stop whatever runs."""
        for client in self._clients.values():
            await client.aclose()
        await self.stop(*list(self._tasks))

    async def ready(self) -> None:
        """Wait until the gateway and the APIs that were started serve."""
        doors = [self.place.address]
        for service in (name.removesuffix("-api") for name in APIS if name in self._tasks):
            doors.append(f"http://127.0.0.1:{self.place.api_port(service)}")
        async with httpx.AsyncClient(verify=False) as client:
            for door in doors:
                await until(lambda door=door: self._serves(client, door), READY_SECONDS)

    async def _serves(self, client: httpx.AsyncClient, door: str) -> bool:
        for task in [task for tasks in self._tasks.values() for task in tasks]:
            if task.done():
                task.result()
        try:
            return (await client.get(f"{door}/health/ready")).is_success
        except httpx.TransportError:
            return False


@contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Write what the processes log beside their data, in lines as plain as in production."""
    before = structlog.get_config()
    with path.open("a") as file:
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                explain_exception,
                structlog.processors.JSONRenderer(default=str),
            ],
            logger_factory=structlog.PrintLoggerFactory(file),
        )
        try:
            yield
        finally:
            structlog.configure(**before)


@asynccontextmanager
async def running(
    place: Place, workers: int = 1, names: Iterable[str] = ALL
) -> AsyncIterator[Running]:
    """Start everything at this place (or only ``names``), and stop it in good order."""
    place.issuer()
    with logging_to(place.log_file):
        async with _running(place, workers, names) as platform:
            yield platform


@asynccontextmanager
async def _running(place: Place, workers: int, names: Iterable[str]) -> AsyncIterator[Running]:
    await prepare(place.store(), place.bus(), place.programme)
    bus = open_bus(place.bus())
    try:
        async with opened(place.store(), place.programme) as services:
            platform = Running(place, services, bus)
            try:
                for name in names:
                    for _ in range(workers if name in WORKERS else 1):
                        platform.start(name)
                await platform.ready()
                yield platform
            finally:
                await platform.close()
    finally:
        await bus.close()


@asynccontextmanager
async def without(platform: Running, *names: str) -> AsyncIterator[None]:
    """Stop processes for a while."""
    await platform.stop(*names)
    try:
        yield
    finally:
        for name in names:
            platform.start(name)
        await platform.ready()


async def until(holds: Callable[[], Any], within_seconds: float = 20.0) -> Any:
    """Ask (sync or async) until the answer is true, and return it; fails the test if never."""
    deadline = asyncio.get_running_loop().time() + within_seconds
    while True:
        answer = holds()
        if asyncio.iscoroutine(answer):
            answer = await answer
        if answer:
            return answer
        assert asyncio.get_running_loop().time() < deadline, "it never came true"
        await asyncio.sleep(0.02)


def free_ports(offsets: Sequence[int] = range(4)) -> list[int]:
    """Ports that nobody listens on, at these distances from the first of them.

    Below the range from which the kernel gives clients theirs, and drawn, so that test runs beside
    each other seldom meet.
    """
    for _ in range(1_000):
        first = random.randrange(12_000, 32_000)
        with_sockets = [socket.socket() for _ in offsets]
        try:
            for offset, one in zip(offsets, with_sockets, strict=True):
                one.bind(("127.0.0.1", first + offset))
        except OSError:
            continue
        finally:
            for one in with_sockets:
                one.close()
        return [first + offset for offset in offsets]
    raise AssertionError("no free ports")
