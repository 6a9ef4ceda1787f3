"""A platform of real processes that tests kill parts of."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from kit.bus.open import open_bus
from kit.bus.port import Bus
from mooring.environment import Place
from mooring.preparation import prepare
from mooring.replay.client import Tally, replay
from mooring.services import Services, opened
from mooring.settle import settle
from mooring.up import Platform
from mooring.verify import Report, verify
from tests.journeys.replaying import Recorded
from tests.journeys.running import until

WEB = ("gateway", "members-api", "points-api")
EVENTS_API = "events-api"
DIES_WITHIN_SECONDS = 60
SETTLES_WITHIN_SECONDS = 90
BATCH = 25


@dataclass
class Real:
    """Processes by the names of what they run, and what an operator looks at them with."""

    platform: Platform
    services: Services
    bus: Bus

    @property
    def place(self) -> Place:
        """Where it is."""
        return self.platform.place

    def start(self, *names: str) -> None:
        """Start a process each."""
        for name in names:
            self.platform.start([name], name)

    def start_armed(self, name: str, moment: str, count: int) -> None:
        """Start a worker that will kill itself at this moment; see ``crashing``."""
        arguments = [self.place.encoded(), name, moment, str(count)]
        with self.place.log_file.open("ab") as log:
            self.platform.children[name] = subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.crashing", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """kill -9 of a process."""
        child = self.platform.children.pop(name)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()

    async def stop(self, *names: str) -> None:
        """Stop processes in good order."""
        children = [self.platform.children.pop(name) for name in names]
        for child in children:
            child.terminate()
        for child in children:
            await asyncio.to_thread(child.wait)

    async def died(self, name: str) -> None:
        """Wait until an armed worker has killed itself; fails the test if it ends otherwise."""
        child = self.platform.children[name]
        code = await until(child.poll, DIES_WITHIN_SECONDS)
        assert code == -signal.SIGKILL, self.place.log_file.read_text()[-3_000:]
        del self.platform.children[name]

    async def serves(self, name: str) -> None:
        """Wait until an API answers."""
        door = f"http://127.0.0.1:{self.place.api_port(name.removesuffix('-api'))}/health/live"

        async def answers() -> bool:
            try:
                return (await client.get(door)).is_success
            except httpx.TransportError:
                return False

        async with httpx.AsyncClient() as client:
            await until(answers, DIES_WITHIN_SECONDS)

    async def send(self, recorded: Recorded) -> Tally:
        """Send activities in small batches, each again until it is acknowledged."""
        token = self.place.issuer().token("operator")
        async with httpx.AsyncClient(
            base_url=self.place.address,
            headers={"authorization": f"Bearer {token}"},
            timeout=30,
        ) as client:
            return await replay(client, recorded, batch=BATCH)

    async def verified(self) -> Report:
        """Wait until everything is worked off, then check every invariant."""
        self.platform.check()
        await settle(self.bus, self.services, timeout_seconds=SETTLES_WITHIN_SECONDS)
        report = await verify(self.services)
        assert (report.findings, report.unsettled) == ([], [])
        return report


@asynccontextmanager
async def real(place: Place) -> AsyncIterator[Real]:
    """A platform whose gateway and APIs run; starting workers is the test's business."""
    place.issuer()
    await prepare(place.store(), place.bus(), place.programme)
    platform = Platform(place)
    bus = open_bus(place.bus())
    try:
        platform.start(WEB, "web")
        platform.start([EVENTS_API], EVENTS_API)
        await platform.ready()
        async with opened(place.store(), place.programme) as services:
            yield Real(platform, services, bus)
    finally:
        await bus.close()
        await asyncio.to_thread(platform.stop)
