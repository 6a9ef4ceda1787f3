"""Accepted → balance visible: how long after the 201 the points can be read.

First many clients at once send purchases one by one, to learn what the platform sustains: accepted
activities over the time until all of them are worked off. Then purchases are sent at half that
rate, each at its appointed time whether earlier ones have been answered or not, so that a slow
answer cannot hold back the load and hide the queue behind it. One in ten is followed: from its
201 on, the member's balance is asked for every four milliseconds (on servers every ten), at the
points service itself, so that the asking is a small part of the load. What is reported is when the
answer with the points came in, and so at most one pause and one question too late.
"""

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count, cycle
from typing import Any, Protocol

import aiohttp
import msgspec

from contracts.topics import ACTIVITIES
from kit.bus.open import open_bus
from kit.bus.port import Bus
from mooring.bench.commits import commit_seconds
from mooring.bench.figures import Figure, Result, Target, percentile
from mooring.bench.posting import OURS, fresh_database, refuse_real_traffic
from mooring.bench.standing import fresh_place, standing
from mooring.environment import Place
from mooring.processes import collect_rarely
from mooring.services import Services, opened
from mooring.settle import NotSettled, settle

EMBEDDED, CONNECTED = "latency", "latency-connected"
MOST_MS = {EMBEDDED: 50.0, CONNECTED: 250.0}
CLIENTS = 16
FOLLOW_ONE_IN = 10
ASK_EVERY_SECONDS = {EMBEDDED: 0.004, CONNECTED: 0.010}
GIVE_UP_SECONDS = 10.0
FOLLOWED_MEMBERS, OTHER_MEMBERS = 400, 600
MAXIMUM_SECONDS, STEADY_SECONDS = 8.0, 15.0
FEW_SECONDS = 4.0
SETTLE_SECONDS = 90.0
NO_ROOM = (429, 503)
ATTEMPTS, PAUSE_SECONDS = 20, 0.5
DURABLE_STEPS = 5
"""Activity, its message, decision, its message, entry: each is on disk before the next begins."""


@dataclass
class Seen:
    """What became of the purchases, in seconds; ``lost`` were refused or not visible in time."""

    accepted: list[float] = field(default_factory=list)
    visible: list[float] = field(default_factory=list)
    lost: int = 0


class Buyer(Protocol):
    """Who sends purchases and asks for balances; ``accepted`` counts a member's purchases."""

    accepted: Counter[str]
    ask_every_seconds: float

    async def buy(self, member: str) -> bool:
        """Send one purchase; return whether it was accepted."""

    async def entries(self, member: str) -> int:
        """Return how many purchases of the member can be seen in the balance."""


@dataclass
class Till:
    """Sends purchases through the gateway and asks the points service for balances."""

    http: aiohttp.ClientSession
    place: Place
    run: str
    ask_every_seconds: float
    numbers: Iterator[int] = field(default_factory=count)
    accepted: Counter[str] = field(default_factory=Counter)

    async def post(self, path: str, body: Any) -> bool:
        """Post through the gateway; return whether it was accepted, False when it has no room.

        Raises aiohttp.ClientError for any other refusal.
        """
        content = msgspec.json.encode(body)
        async with self.http.post(f"{self.place.address}{path}", data=content) as answer:
            await answer.read()
            if answer.status in NO_ROOM:
                return False
            answer.raise_for_status()
            return True

    async def buy(self, member: str) -> bool:
        """Send one purchase, happening now."""
        body = _purchase(member, f"{self.run}-{next(self.numbers)}")
        accepted = await self.post("/v1/activities", body)
        self.accepted[member] += accepted
        return accepted

    async def entries(self, member: str) -> int:
        """Ask how many entries the member's balance is made of."""
        address = f"http://127.0.0.1:{self.place.api_port('points')}"
        async with self.http.get(f"{address}/v1/members/{member}/points") as answer:
            answer.raise_for_status()
            return int(msgspec.json.decode(await answer.read())["entries"])


async def measure_latency(
    quick: bool = False, mongo: str | None = None, kafka: str | None = None
) -> Result:
    """Find the most the platform sustains, then measure at half of it."""
    name = CONNECTED if kafka else EMBEDDED
    with fresh_place(fresh_database(mongo) if mongo else None, kafka) as place:
        async with (
            standing(place),
            _till(place) as till,
            opened(place.store(), place.programme) as services,
        ):
            bus = open_bus(place.bus())
            try:
                await refuse_real_traffic(bus, ACTIVITIES.name)
                return await _measure(name, till, bus, services, quick)
            finally:
                await bus.close()


@asynccontextmanager
async def _till(place: Place) -> Any:
    token = place.issuer().token("operator", ttl_seconds=3600)
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    timeout = aiohttp.ClientTimeout(total=30)
    connector = aiohttp.TCPConnector(limit=256)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector) as http:
        name = CONNECTED if place.kafka else EMBEDDED
        run = f"{OURS}{uuid.uuid4().hex[:6]}"
        yield Till(http, place, run, ASK_EVERY_SECONDS[name])


async def _measure(name: str, till: Till, bus: Bus, services: Services, quick: bool) -> Result:
    collect_rarely()  # a pause of who asks would look like one of who answers
    followed = [f"{till.run}-f{number}" for number in range(FOLLOWED_MEMBERS)]
    others = [f"{till.run}-o{number}" for number in range(OTHER_MEMBERS)]
    await _enrol(till, [*followed, *others])
    await settle(bus, services, timeout_seconds=SETTLE_SECONDS)
    begin = time.perf_counter()
    sent = await _as_many_as_possible(till, others, FEW_SECONDS if quick else MAXIMUM_SECONDS)
    await settle(bus, services, timeout_seconds=SETTLE_SECONDS)
    most = sent / (time.perf_counter() - begin)
    seconds = FEW_SECONDS if quick else STEADY_SECONDS
    seen = await steadily(till, followed, others, most / 2, seconds)
    commit = None if name == CONNECTED else commit_seconds(till.place.data)
    return result_of(name, most, seen, commit)


async def _enrol(till: Till, members: list[str]) -> None:
    body = {"members": [{"member_id": member, "channel": "store"} for member in members]}
    for _ in range(ATTEMPTS):
        if await till.post("/v1/members:batch", body):
            return
        await asyncio.sleep(PAUSE_SECONDS)
    raise NotSettled(f"{len(members)} members could not be enrolled")


async def _as_many_as_possible(till: Till, members: list[str], seconds: float) -> int:
    """Send from some clients at once, each without a pause; return how many were accepted."""
    turns = cycle(members)
    deadline = time.perf_counter() + seconds

    async def client() -> int:
        accepted = 0
        while time.perf_counter() < deadline:
            accepted += await till.buy(next(turns))
        return accepted

    return sum(await asyncio.gather(*(client() for _ in range(CLIENTS))))


async def steadily(
    till: Buyer, followed: list[str], others: list[str], rate: float, seconds: float
) -> Seen:
    """Send ``rate`` purchases a second at appointed times, and follow some of them."""
    seen = Seen()
    watched, unwatched = cycle(followed), cycle(others)
    begin = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(round(rate * seconds)):
            appointed = begin + number / rate
            if (pause := appointed - time.perf_counter()) > 0:
                await asyncio.sleep(pause)
            if number % FOLLOW_ONE_IN:
                tasks.create_task(_send(till, next(unwatched), appointed, seen))
            else:
                tasks.create_task(_follow(till, next(watched), appointed, seen))
    return seen


async def _send(till: Buyer, member: str, appointed: float, seen: Seen) -> float | None:
    """Send a purchase; return when it was accepted."""
    if not await till.buy(member):
        seen.lost += 1
        return None
    accepted = time.perf_counter()
    seen.accepted.append(accepted - appointed)
    return accepted


async def _follow(till: Buyer, member: str, appointed: float, seen: Seen) -> None:
    """Send a purchase and ask until its points are there."""
    if (accepted := await _send(till, member, appointed, seen)) is None:
        return
    wanted = till.accepted[member]
    while time.perf_counter() < accepted + GIVE_UP_SECONDS:
        if await till.entries(member) >= wanted:
            seen.visible.append(time.perf_counter() - accepted)
            return
        await asyncio.sleep(till.ask_every_seconds)
    seen.lost += 1


def _purchase(member: str, external_id: str) -> dict[str, Any]:
    amounts = (100, 200)
    return {
        "member_id": member,
        "source": "bench",
        "external_id": external_id,
        "type": "purchase",
        "channel": "store",
        "occurred_at": datetime.now(UTC),
        "amount": sum(amounts),
        "lines": [{"amount": amount, "sku": f"sku-{amount}"} for amount in amounts],
    }


def result_of(name: str, most: float, seen: Seen, commit: float | None) -> Result:
    steps = commit * DURABLE_STEPS * 1000 if commit is not None else None
    limit = f"{DURABLE_STEPS} durable commits" if steps else ""
    visible, accepted = ([s * 1000 for s in part] for part in (seen.visible, seen.accepted))
    visible += [float("inf")] * seen.lost
    target = Target("at most", MOST_MS[name], of="value")
    figures = (
        Figure("accepted → visible, p50", percentile(visible, 0.5), "ms", steps, limit),
        Figure("accepted → visible, p99", percentile(visible, 0.99), "ms", steps, limit, target),
        Figure("appointed → accepted, p50", percentile(accepted, 0.5), "ms"),
        Figure("appointed → accepted, p99", percentile(accepted, 0.99), "ms"),
        Figure("most sustained, one by one", most, "1/s"),
    )
    note = f"{len(accepted):,} purchases at half of the most, {len(visible):,} of them followed."
    return Result(name, figures, (note,), {"lost": seen.lost, "rate": most / 2})
