"""kill -9 of every process: nothing acknowledged is lost, nothing is paid twice."""

import asyncio
from random import Random

import pytest

from mooring.environment import Place
from mooring.processes import WORKERS
from mooring.replay.client import Tally
from mooring.settle import GROUPS
from mooring.verify import Report
from tests.e2e.crashing import COMMIT, PUBLISHED
from tests.e2e.dying import APPENDED, SAVED
from tests.e2e.halves import halves, unmarked
from tests.e2e.platforms import EVENTS_API, Real, real
from tests.journeys.adapters import EMBEDDED
from tests.journeys.replaying import SENT, YEAR, Recorded

pytestmark = pytest.mark.asyncio(loop_scope="package")
HALF = len(YEAR) // 2


async def die_and_succeed(platform: Real, name: str, moment: str, count: int) -> None:
    """Run a worker that dies at its moment, and put a whole one in its place."""
    platform.start_armed(name, moment, count)
    await platform.died(name)
    if moment == PUBLISHED:
        assert await unmarked(platform.services, name) > 0
    else:
        group = name.removesuffix("-worker")
        assert await platform.bus.lag(GROUPS[group], group) > 0
    if moment in (APPENDED, SAVED):
        half = halves(platform.services)[name]
        assert await half(moment), f"{name} did not leave a half after {moment}"
    platform.start(name)


async def test_workers_killed_between_effect_and_commit_pay_nothing_twice(
    place: Place, expected: Report
) -> None:
    async with real(place) as platform:
        for moment, recorded in ((COMMIT, YEAR[:HALF]), (PUBLISHED, YEAR[HALF:])):
            await asyncio.gather(
                platform.send(recorded),
                *(
                    die_and_succeed(platform, name, moment, count)
                    for count, name in enumerate(WORKERS, 2)
                ),
            )
            if moment == COMMIT:
                await platform.stop(*WORKERS)
        assert await platform.verified() == expected


@pytest.mark.parametrize("place", [EMBEDDED], indirect=True)
async def test_workers_killed_between_journal_and_view_lose_nothing_and_pay_nothing_twice(
    place: Place, expected: Report
) -> None:
    """On the embedded adapters: a broker would wait 15 s for each of six dead consumers."""
    async with real(place) as platform:
        for moment, recorded in ((APPENDED, YEAR[:HALF]), (SAVED, YEAR[HALF:])):
            await asyncio.gather(
                platform.send(recorded),
                *(
                    die_and_succeed(platform, name, moment, 1 if name == "points-worker" else 3)
                    for name in WORKERS
                ),
            )
            report = await platform.verified()
            await platform.stop(*WORKERS)
        assert report == expected


async def keep_sending(platform: Real, recorded: Recorded, enough: asyncio.Event) -> Tally:
    """Send activities, and again until it is enough; the tally of the first time."""
    first = await platform.send(recorded)
    while not enough.is_set():
        again = await platform.send(recorded)
        assert (again.accepted, again.refused) == (0, first.refused)
    return first


async def test_workers_and_the_events_api_killed_under_load_lose_and_double_nothing(
    place: Place, expected: Report
) -> None:
    chance, enough = Random(4), asyncio.Event()
    async with real(place) as platform:
        platform.start(*WORKERS)
        sending = asyncio.create_task(keep_sending(platform, YEAR, enough))
        for name in (EVENTS_API, *WORKERS, EVENTS_API, *reversed(WORKERS), EVENTS_API):
            await asyncio.sleep(chance.uniform(0.05, 0.7))
            platform.kill(name)
            platform.start(name)
            if name == EVENTS_API:
                await platform.serves(name)
        enough.set()
        tally = await sending
        assert (tally.sent, tally.refused) == (len(YEAR), SENT["refused"])
        assert await platform.verified() == expected
