"""A whole platform in this process: gateway, APIs and workers, on whichever adapters."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from kit.bus.open import open_bus
from kit.bus.port import Bus
from mooring.environment import Place
from mooring.preparation import prepare
from mooring.processes import APIS, WORKERS, build, run_all
from mooring.services import Services, opened
from mooring.settle import settle
from mooring.verify import Report, verify

READY_TRIES = 500


@dataclass
class Running:
    """The platform under test, and the clients of its users."""

    place: Place
    services: Services
    bus: Bus

    def client(self, role: str, member: str | None = None) -> httpx.AsyncClient:
        """A client of the gateway with a token of this role."""
        token = self.place.issuer().token(role, member)
        return httpx.AsyncClient(
            base_url=self.place.address,
            headers={"authorization": f"Bearer {token}"},
            timeout=30,
        )

    async def settled(self) -> None:
        """Wait until all that was accepted is worked off."""
        await settle(self.bus, self.services, timeout_seconds=60)

    async def verified(self) -> Report:
        """Settle, then check every invariant; fails the test with what does not hold."""
        await self.settled()
        report = await verify(self.services)
        assert report.findings == []
        return report


@asynccontextmanager
async def running(place: Place, workers: int = 1) -> AsyncIterator[Running]:
    """Start everything at this place, and stop it in good order."""
    place.issuer()
    await prepare(place.store(), place.bus(), place.programme)
    names = ["gateway", *APIS, *(name for name in WORKERS for _ in range(workers))]
    stop = asyncio.Event()
    processes = [build(name, place.values_of(name)) for name in names]
    task = asyncio.create_task(run_all(processes, stop))
    bus = open_bus(place.bus())
    try:
        await _ready(place, task)
        async with opened(place.store(), place.programme) as services:
            yield Running(place, services, bus)
    finally:
        stop.set()
        await task
        await bus.close()


async def _ready(place: Place, task: "asyncio.Task[None]") -> None:
    async with httpx.AsyncClient() as client:
        for _ in range(READY_TRIES):
            if task.done():
                task.result()
            try:
                if (await client.get(f"{place.address}/health/ready")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.02)
    raise AssertionError("the platform did not get ready")


def free_ports(count: int = 4) -> list[int]:
    """Consecutive ports that nobody listens on."""
    for first in range(21_000, 60_000, 10):
        sockets = [socket.socket() for _ in range(count)]
        try:
            for offset, one in enumerate(sockets):
                one.bind(("127.0.0.1", first + offset))
        except OSError:
            continue
        finally:
            for one in sockets:
                one.close()
        return list(range(first, first + count))
    raise AssertionError("no free ports")


def purchase(member: str, external_id: str, at: str, *amounts: int, **more: Any) -> dict[str, Any]:
    """A purchase with a line for each amount (minor units)."""
    lines = [
        {"line": number, "amount": amount, "sku": f"sku-{number}"}
        for number, amount in enumerate(amounts, 1)
    ]
    return {
        "member_id": member,
        "source": "till",
        "external_id": external_id,
        "type": "purchase",
        "channel": "store",
        "occurred_at": at,
        "amount": sum(amounts),
        "lines": lines,
        **more,
    }


async def enrol(client: httpx.AsyncClient, members: Sequence[str]) -> None:
    """Enrol members with ids of the caller's choice."""
    body = {"members": [{"member_id": member, "channel": "store"} for member in members]}
    answer = await client.post("/v1/members:batch", json=body)
    assert answer.status_code < 300, answer.text
    assert {item["status"] for item in answer.json()["results"]} <= {"accepted", "duplicate"}


async def record(client: httpx.AsyncClient, *activities: dict[str, Any]) -> list[dict[str, Any]]:
    """Record activities in one batch and return the result of each."""
    answer = await client.post("/v1/activities:batch", json={"activities": list(activities)})
    assert answer.status_code < 300, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    return results
