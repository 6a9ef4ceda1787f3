"""``mooring replay … --mixed``: a year with returns, redemptions, holds and transfers."""

from collections.abc import Iterator
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
from mooring.replay.mixed import PRICE, drawn, months
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
    """Replay the year month by month through the gateway of a running platform."""
    issuer = place.issuer()
    tokens = {
        role: issuer.token(role, ttl_seconds=TOKEN_SECONDS) for role in ("operator", "marketer")
    }
    headers = {"authorization": f"Bearer {tokens['operator']}"}
    tally, deeds = Tally(), Deeds()
    broker = open_bus(place.bus())
    try:
        async with (
            opened(place.store(), place.programme) as services,
            httpx.AsyncClient(base_url=place.address, headers=headers, timeout=60) as client,
        ):
            marketer = {"authorization": f"Bearer {tokens['marketer']}"}
            async with httpx.AsyncClient(base_url=place.address, headers=marketer) as other:
                await offer_reward(other, PRICE)
            for month in months(purchases(seed, members, until), seed):
                await replay(client, month.items, batch=batch, tally=tally)
                await settle(broker, services)
                await live(client, month, deeds)
                await settle(broker, services)
                moved = await services.points.duties.run(to_micros(month.end) - 1)
                await settle(broker, services)
                sent = f"{len(month.items):,} activities, {len(month.operations):,} operations"
                out.print(f"{month.first:%B %Y}: {sent}, {moved:,} accounts moved by time")
    finally:
        await broker.close()
    for name, count in shown(deeds):
        out.print(f"{name}: {count:,}")
    if tally.refused:
        raise ReplayError(f"{tally.refused} activities were refused: {'; '.join(tally.problems)}")
    return deeds


def purchases(seed: int, members: int | None, until: date | None) -> Iterator[Activity]:
    """The recorded purchases, of about so many members, drawn by the seed."""
    for activity in completejourney.activities(until):
        if members is None or drawn(seed, "member", activity.member_id, HOUSEHOLDS) < members:
            yield activity
