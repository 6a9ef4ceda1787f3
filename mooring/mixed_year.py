"""``mooring replay … --mixed``: a year with returns, redemptions, holds and transfers."""

from collections.abc import Iterable, Iterator
from datetime import date

import httpx
from rich.console import Console

from kit.bus.open import open_bus
from kit.clock import to_micros
from mooring.environment import Place
from mooring.replay import completejourney
from mooring.replay.activity import Activity, ReplayError
from mooring.replay.client import Tally, replay
from mooring.replay.living import Deeds, live, offer_reward, shown
from mooring.replay.mixed import PRICE, Month, drawn, months
from mooring.services import opened
from mooring.settle import settle

TOKEN_SECONDS = 12 * 3600
HOUSEHOLDS = 2_500


async def run_mixed(
    place: Place,
    out: Console,
    *,
    seed: int,
    members: int | None,
    until: date | None,
    batch: int,
) -> Deeds:
    """Replay the year through the gateway of a running platform, and tell what came of it."""
    year = months(purchases(seed, members, until), seed)
    deeds = await run_months(place, out, year, batch=batch)
    for name, count in shown(deeds):
        out.print(f"{name}: {count:,}")
    return deeds


async def run_months(place: Place, out: Console, year: Iterable[Month], *, batch: int) -> Deeds:
    """Replay months one after the other; raises ReplayError when an activity was refused."""
    tally, deeds = Tally(), Deeds()
    broker = open_bus(place.bus())
    try:
        async with (
            opened(place.store(), place.programme) as services,
            _client(place, "operator") as till,
            _client(place, "agent") as desk,
            _client(place, "marketer") as office,
        ):
            await offer_reward(office, PRICE)
            for month in year:
                await replay(till, month.items, batch=batch, tally=tally)
                await settle(broker, services, sealed=False)
                await live(desk, month, deeds)
                await settle(broker, services, sealed=False)
                moved = await services.points.duties.run(to_micros(month.end) - 1)
                await settle(broker, services, sealed=False)
                sent = f"{len(month.items):,} activities, {len(month.operations):,} operations"
                out.print(f"{month.first:%B %Y}: {sent}, {moved:,} accounts moved by time")
            await settle(broker, services)
    finally:
        await broker.close()
    if tally.refused:
        raise ReplayError(f"{tally.refused} activities were refused: {'; '.join(tally.problems)}")
    return deeds


def _client(place: Place, role: str) -> httpx.AsyncClient:
    token = place.issuer().token(role, ttl_seconds=TOKEN_SECONDS)
    headers = {"authorization": f"Bearer {token}"}
    return httpx.AsyncClient(base_url=place.address, headers=headers, timeout=60)


def purchases(seed: int, members: int | None, until: date | None) -> Iterator[Activity]:
    """The recorded purchases, of about so many members, drawn by the seed."""
    for activity in completejourney.activities(until):
        if members is None or drawn(seed, "member", activity.member_id, HOUSEHOLDS) < members:
            yield activity
