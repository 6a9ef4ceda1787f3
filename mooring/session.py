"""What the commands do, once their words are understood."""

import asyncio
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from kit.bus.open import open_bus
from mooring.environment import Place
from mooring.preparation import prepare
from mooring.replay import completejourney
from mooring.replay.activity import Item, ReplayError, encoded, from_file
from mooring.replay.client import BATCH_LIMIT, Tally, replay
from mooring.replay.summary import Summary, print_summary, summarise
from mooring.services import opened
from mooring.settle import settle
from mooring.up import Platform
from mooring.verify import Report, verify
from services.points.domain.terms import start_of

COMPLETE_JOURNEY = "completejourney"
COMPLETE_JOURNEY_BASKETS = 155_848
TOKEN_SECONDS = 12 * 3600


async def run_up(
    place: Place,
    out: Console,
    *,
    replay: str | None,
    until: date | None,
    workers: int,
    stay: bool,
) -> None:
    """Prepare, start, replay when asked, say where things are, and stay until interrupted."""
    platform = Platform(place)
    place.issuer()
    await prepare(place.store(), place.bus(), place.programme)
    try:
        platform.start_all(workers)
        await platform.ready()
        out.print(f"Mooring is up at {place.address} (data and log in {place.data})")
        shown = "M1"
        if replay is not None:
            summary = await run_replay(place, out, replay, until=until, batch=BATCH_LIMIT)
            shown = summary.example_member or shown
        _print_first_steps(place, out, shown)
        if stay:
            await _until_told(platform)
    finally:
        platform.stop()


async def run_replay(
    place: Place, out: Console, what: str, *, until: date | None, batch: int
) -> Summary:
    """Replay through the gateway, wait until all of it is worked off, and print the summary."""
    activities, total = _source(what, until)
    token = place.issuer().token("operator", ttl_seconds=TOKEN_SECONDS)
    loop = asyncio.get_running_loop()
    begin = loop.time()
    tally = await _send(place, token, activities, total, batch, out)
    sent = loop.time()
    broker = open_bus(place.bus())
    async with opened(place.store(), place.programme) as services:
        try:
            await settle(broker, services)
        finally:
            await broker.close()
        elapsed = loop.time() - begin
        summary = await summarise(services, tally, sent - begin, elapsed)
    print_summary(summary, out)
    if tally.refused:
        raise ReplayError(f"{tally.refused} activities were refused: {'; '.join(tally.problems)}")
    return summary


def _source(what: str, until: date | None) -> tuple[Iterator[Item], int | None]:
    if what == COMPLETE_JOURNEY:
        whole = COMPLETE_JOURNEY_BASKETS if until is None else None
        return encoded(completejourney.activities(until)), whole
    path = Path(what)
    if not path.is_file():
        raise ReplayError(f"{what}: there is no such file (or say `{COMPLETE_JOURNEY}`)")
    return from_file(path, until), None


async def _send(
    place: Place,
    token: str,
    activities: Iterator[Item],
    total: int | None,
    batch: int,
    out: Console,
) -> Tally:
    columns = (TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    headers = {"authorization": f"Bearer {token}"}
    with Progress(*columns, console=out, transient=True, refresh_per_second=2) as bar:
        task = bar.add_task("replay", total=total)
        async with httpx.AsyncClient(base_url=place.address, headers=headers, timeout=60) as client:
            return await replay(
                client,
                activities,
                batch=batch,
                progress=lambda done: bar.update(task, completed=done),
            )


def _print_first_steps(place: Place, out: Console, member: str) -> None:
    token = place.issuer().token("member", member, TOKEN_SECONDS)
    out.print(f"API documentation: {place.address}/docs")
    out.print(f"A member's token ({member}): ")
    print(token)
    out.print("Try:")
    print(f'curl -s -H "Authorization: Bearer {token}" {place.address}/v1/me/home')


async def _until_told(platform: Platform) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    while not stop.is_set():
        platform.check()
        try:
            async with asyncio.timeout(0.5):
                await stop.wait()
        except TimeoutError:
            continue


async def run_verify(place: Place) -> Report:
    """Check the store at this place."""
    async with opened(place.store(), place.programme) as services:
        return await verify(services)


async def run_rebuild(place: Place) -> dict[str, int]:
    """Rebuild every service's views; return how many documents each has."""
    from services.events.rebuild import cards_of_topic
    from services.events.rebuild import rebuild as rebuild_events
    from services.members.rebuild import rebuild as rebuild_members
    from services.points.rebuild import rebuild as rebuild_points

    broker = open_bus(place.bus())
    try:
        async with opened(place.store(), place.programme) as services:
            return {
                "members": await rebuild_members(services.members, services.events.activities),
                "points": await rebuild_points(services.points),
                "events": await rebuild_events(services.events, cards_of_topic(broker)),
            }
    finally:
        await broker.close()


@dataclass(frozen=True)
class Ticked:
    """What the daily duties moved: members' steps and tiers, accounts' points."""

    members: int
    accounts: int


async def run_tick(place: Place, day: date) -> Ticked:
    """Do the daily duties of a business day."""
    from services.members.duties import tick

    broker = open_bus(place.bus())
    try:
        async with opened(place.store(), place.programme) as services:
            members = await tick(services.members.keeper, broker, day)
            end = start_of(services.points.rules.zone, day + timedelta(days=1))
            return Ticked(members, await services.points.duties.run(end - 1))
    finally:
        await broker.close()
