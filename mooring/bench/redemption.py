"""Redemption and balance through the gateway, each request at its appointed time.

Members redeem a reward of which there is plenty, 200 a second: stock is taken, points are held and
captured. Beside that others look at their balances, as they did before it while nothing else went
on, and a few try for an item of which there was one. Nobody waits for another's answer, so a slow
answer cannot hold back the load and hide the queue behind it; times count from the appointed
moment. At the end the ledger and the stock must tell of exactly what was answered.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from contracts.topics import ACTIVITIES
from kit.bus.open import open_bus
from mooring.bench.commits import commit_seconds, insert_seconds
from mooring.bench.figures import Figure, Result, Target, percentile
from mooring.bench.posting import fresh_database, refuse_real_traffic
from mooring.bench.shop import LAST, MANY, Shop, check, opened_shop
from mooring.bench.standing import fresh_place, standing
from mooring.bench.watching import Usage, watching
from mooring.processes import collect_rarely
from mooring.services import opened
from mooring.settle import settle

EMBEDDED, CONNECTED = "redemption", "redemption-connected"
MOST_MS = {EMBEDDED: 30.0, CONNECTED: 80.0}
MOST_READ_MS = 10.0
REDEMPTIONS, READS, TRIES = 200, 50, 10
"""How many a second; the tries are for the last item."""
MEMBERS = 1_000
WARM_SECONDS, SECONDS, FEW_SECONDS = 5.0, 15.0, 5.0
SETTLE_SECONDS = 90.0
DURABLE_STEPS = 2
"""The stock, then the hold with its capture: each is on disk before the next begins."""


@dataclass
class Seen:
    """What came of the load, in seconds; what was not answered as it should be is ``lost``."""

    redeemed: list[float] = field(default_factory=list)
    read: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    made: set[str] = field(default_factory=set)
    won: set[str] = field(default_factory=set)
    lost: int = 0
    lost_reads: int = 0


Ask = Callable[[int, float], Awaitable[None]]
"""Sends the request of a number; its time counts from the moment given."""


async def measure_redemption(
    quick: bool = False, mongo: str | None = None, kafka: str | None = None
) -> Result:
    """Load a platform as ``mooring up`` runs it, check what it did, and measure the limit."""
    name = CONNECTED if kafka else EMBEDDED
    with fresh_place(fresh_database(mongo) if mongo else None, kafka) as place:
        bus = open_bus(place.bus())
        try:
            async with standing(place) as platform:
                await refuse_real_traffic(bus, ACTIVITIES.name)
                pids = {label: child.pid for label, child in platform.children.items()}
                async with (
                    opened_shop(place, MEMBERS) as shop,
                    opened(place.store(), place.programme) as services,
                ):
                    await settle(bus, services, timeout_seconds=SETTLE_SECONDS)
                    collect_rarely()  # a pause of who asks would look like one of who answers
                    alone = await looks(shop, FEW_SECONDS)
                    warm = await load(shop, WARM_SECONDS)
                    with watching(pids) as usage:
                        seen = await load(shop, FEW_SECONDS if quick else SECONDS)
                        await settle(bus, services, timeout_seconds=SETTLE_SECONDS)
                    await check(shop, services, warm.made | seen.made, warm.won | seen.won)
            commit = await insert_seconds(place.store()) if kafka else commit_seconds(place.data)
        finally:
            await bus.close()
    return result_of(name, alone, seen, usage, commit)


async def looks(shop: Shop, seconds: float, seen: Seen | None = None) -> Seen:
    """Look at balances, at the rate that holds beside the load, too."""
    seen, members = seen or Seen(), list(shop.tokens)

    async def look(number: int, moment: float) -> None:
        status, _ = await shop.balance(members[-1 - number * 7 % len(members)])
        seen.read.append(time.perf_counter() - moment if status == 200 else float("inf"))
        seen.lost_reads += status != 200

    await appointed(READS, seconds, look)
    return seen


async def load(shop: Shop, seconds: float) -> Seen:
    """Redeem, look and try for the last item, all at once, each at its own rate."""
    seen, members = Seen(), list(shop.tokens)

    async def redeem(number: int, moment: float) -> None:
        status, found = await shop.redeem(members[number % len(members)], MANY)
        seen.redeemed.append(time.perf_counter() - moment if status == 201 else float("inf"))
        if status == 201:
            seen.made.add(found["redemption_id"])
        else:
            seen.lost += 1

    async def try_last(number: int, moment: float) -> None:
        status, found = await shop.redeem(members[number * 3 % len(members)], LAST)
        seen.refused.append(time.perf_counter() - moment)
        if status == 201:
            seen.won.add(found["redemption_id"])

    await asyncio.gather(
        appointed(REDEMPTIONS, seconds, redeem),
        looks(shop, seconds, seen),
        appointed(TRIES, seconds, try_last),
    )
    return seen


async def appointed(rate: float, seconds: float, ask: Ask) -> None:
    """Ask ``rate`` times a second, whether earlier ones have been answered or not."""
    begin = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(round(rate * seconds)):
            moment = begin + number / rate
            if (pause := moment - time.perf_counter()) > 0:
                await asyncio.sleep(pause)
            tasks.create_task(_asked(ask, number, moment))


async def _asked(ask: Ask, number: int, moment: float) -> None:
    await ask(number, moment)


def result_of(name: str, alone: Seen, seen: Seen, usage: Usage, commit: float) -> Result:
    """The figures, the times in milliseconds."""
    steps, limit = 1000 * DURABLE_STEPS * commit, f"{DURABLE_STEPS} durable commits"
    calm, redeemed, read, refused = (
        [1000 * seconds for seconds in part]
        for part in (alone.read, seen.redeemed, seen.read, seen.refused)
    )
    most, most_read = (Target("at most", ms, of="value") for ms in (MOST_MS[name], MOST_READ_MS))
    micros = {label: 1e6 * seconds / len(redeemed) for label, seconds in usage.cpu_seconds.items()}
    figures = (
        Figure("redemption, p50", percentile(redeemed, 0.5), "ms", steps, limit),
        Figure("redemption, p99", percentile(redeemed, 0.99), "ms", steps, limit, most),
        Figure("balance read, p50", percentile(read, 0.5), "ms"),
        Figure("balance read, p99", percentile(read, 0.99), "ms", target=most_read),
        Figure("balance read alone, p50", percentile(calm, 0.5), "ms"),
        Figure("balance read alone, p99", percentile(calm, 0.99), "ms", target=most_read),
        Figure("last item, p50", percentile(refused, 0.5), "ms"),
        Figure("last item, p99", percentile(refused, 0.99), "ms"),
        *(Figure(f"CPU of {label}", cost, "µs/redemption") for label, cost in micros.items()),
        Figure("CPU of all", sum(micros.values()), "µs/redemption"),
        Figure(
            "all waited for a processor",
            1e6 * sum(usage.waited_seconds.values()) / len(redeemed),
            "µs/redemption",
        ),
    )
    note = (
        f"{len(redeemed):,} redemptions at {REDEMPTIONS}/s, {len(read):,} reads at {READS}/s and "
        f"{len(refused):,} tries for one item, each at its appointed time, {len(calm):,} reads "
        "before them; all that were answered stand in the ledger, and the stock adds up."
    )
    details = {
        "lost": seen.lost,
        "lost_reads": alone.lost_reads + seen.lost_reads,
        "cpu": usage.cpu_seconds,
    }
    return Result(name, figures, (note,), details)
