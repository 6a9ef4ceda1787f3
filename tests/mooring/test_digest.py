"""The result depends on the activities alone: the same digest however they were worked off."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
import pytest_asyncio

from mooring.environment import Place
from mooring.replay import completejourney
from mooring.replay.activity import Item
from mooring.replay.activity import encoded as encoded_activities
from mooring.replay.client import replay
from mooring.session import run_rebuild, run_verify
from mooring.verify import Report
from tests.journeys.adapters import CONNECTED, fresh_place
from tests.journeys.bodies import SOURCE, Body, accepted, enrol, id_of, purchase, returning
from tests.journeys.generated import activities, encoded, shuffled
from tests.journeys.reading import decision
from tests.journeys.replaying import SENT, YEAR, Recorded, embedded, replayed, undisturbed
from tests.journeys.running import running

pytestmark = pytest.mark.asyncio(loop_scope="module")
FEW: Recorded = encoded(activities(seed=2, members=6))
DAYS, MONTH = date(2017, 1, 4), date(2017, 2, 1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def year(request: pytest.FixtureRequest) -> Report:
    """What comes of YEAR when nothing is special."""
    return await undisturbed(request)


async def test_four_workers_of_each_service_come_to_the_same(
    request: pytest.FixtureRequest, year: Report
) -> None:
    async with embedded(request, workers=4) as platform:
        _, report = await replayed(platform, YEAR, batch=200)
    assert report == year


async def test_members_in_another_order_come_to_the_same(
    request: pytest.FixtureRequest, year: Report
) -> None:
    other = encoded(shuffled(activities()))
    assert other != YEAR
    async with embedded(request) as platform:
        _, report = await replayed(platform, other)
    assert report == year


async def test_eight_tills_at_once_come_to_the_same(
    request: pytest.FixtureRequest, year: Report
) -> None:
    tills: list[list[Item]] = [[] for _ in range(8)]
    for item in YEAR:
        tills[int(item[0].removeprefix("g-")) % 8].append(item)
    async with embedded(request, workers=2) as platform, platform.client("operator") as client:
        await asyncio.gather(*(replay(client, each, batch=50) for each in tills))
        assert await platform.verified() == year


async def test_two_tills_that_send_the_same_at_once_record_it_once(
    request: pytest.FixtureRequest, year: Report
) -> None:
    async with embedded(request) as platform, platform.client("operator") as client:
        one, other = await asyncio.gather(
            replay(client, YEAR, batch=97), replay(client, YEAR, batch=64)
        )
        assert one.accepted + other.accepted == SENT["accepted"]
        assert one.refused == other.refused == SENT["refused"]
        assert min(one.accepted, other.accepted) > 0
        assert await platform.verified() == year


async def test_a_second_replay_and_a_rebuild_change_nothing(
    request: pytest.FixtureRequest, year: Report
) -> None:
    async with embedded(request) as platform:
        place = platform.place
        await replayed(platform, YEAR)
        again, report = await replayed(platform, YEAR)
        assert (again.accepted, again.duplicate, again.refused) == (0, 1_534, 62)
        assert report == year
    rebuilt = await run_rebuild(place)
    assert rebuilt["members"] == 60
    assert await run_verify(place) == year


async def test_what_is_rebuilt_goes_on_as_before(
    request: pytest.FixtureRequest, year: Report
) -> None:
    half = len(YEAR) // 2
    async with embedded(request) as platform:
        place = platform.place
        await replayed(platform, YEAR[:half])
    await run_rebuild(place)
    async with running(place) as platform:
        _, report = await replayed(platform, YEAR[half:])
    assert report == year


async def test_batches_of_1_of_7_and_of_1000_come_to_the_same(
    request: pytest.FixtureRequest,
) -> None:
    reports = []
    for batch in (1, 7, 1_000):
        async with embedded(request) as platform:
            tally, report = await replayed(platform, FEW, batch)
            reports.append(report)
            assert tally.sent == len(FEW)
    assert reports[0].lines["decision"] > len(FEW)
    assert reports == [reports[0]] * 3


async def test_some_days_of_a_grocery_chain_comes_to_the_same_in_other_batches_and_by_more_workers(
    request: pytest.FixtureRequest,
) -> None:
    baskets = list(encoded_activities(completejourney.activities(DAYS)))
    assert len(baskets) > 1_000
    reports = []
    for batch, workers in ((1_000, 1), (333, 2)):
        async with embedded(request, workers) as platform:
            tally, report = await replayed(platform, baskets, batch)
            reports.append(report)
        assert (tally.accepted, tally.refused) == (len(baskets), 0)
    assert reports[0].lines["decision"] > len(baskets)
    assert reports[0] == reports[1]


@pytest.fixture(params=CONNECTED)
def servers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """A fresh place on the real servers."""
    with fresh_place(request.param, tmp_path_factory.mktemp("digest"), request) as place:
        yield place


@pytest.mark.connected
async def test_kafka_and_the_document_database_come_to_the_same(
    servers: Place, year: Report
) -> None:
    async with running(servers, workers=2) as platform:
        _, report = await replayed(platform, YEAR, batch=200)
    assert report == year


@pytest.mark.connected
@pytest.mark.parametrize("servers", CONNECTED[:1], indirect=True)
async def test_a_month_of_a_grocery_chain_comes_to_the_same_on_the_real_servers(
    request: pytest.FixtureRequest, servers: Place
) -> None:
    baskets = list(encoded_activities(completejourney.activities(MONTH)))
    async with embedded(request) as platform:
        _, expected = await replayed(platform, baskets)
    async with running(servers) as platform:
        _, report = await replayed(platform, baskets)
    assert report == expected


def flapping(member: str = "flap", pairs: int = 60) -> list[Body]:
    """A basket and its return, over and over: gold and nothing, acceptance and need."""
    bodies: list[Body] = []
    at = datetime(2025, 1, 1, tzinfo=UTC)
    for number in range(pairs):
        at += timedelta(hours=3)
        bodies.append(purchase(member, f"p{number}", at.isoformat(), 200_000 + number))
        at += timedelta(hours=3)
        bodies.append(returning(member, f"r{number}", at.isoformat(), f"p{number}"))
    return bodies


async def test_a_member_who_changes_with_every_activity_comes_to_the_same_however_far_behind(
    request: pytest.FixtureRequest,
) -> None:
    bodies = flapping()
    async with embedded(request) as platform, platform.client("partner", partner=SOURCE) as till:
        await enrol(till, "flap")
        for first in range(0, len(bodies), 60):
            await accepted(till, *bodies[first : first + 60])
        in_step = await platform.verified()
    async with embedded(request) as platform, platform.client("partner", partner=SOURCE) as till:
        for first in range(0, len(bodies), 1_000):
            await accepted(till, *bodies[first : first + 1_000])
        await platform.settled()
        await enrol(till, "flap")
        parked = await platform.verified()
        tiers = [
            (await decision(platform, id_of("flap", f"p{number}")))["as_of"]
            for number in (0, 1, 29, 59)
        ]
    assert parked == in_step
    assert {(each["tier"], each["stage"], each["waited"]) for each in tiers} == {
        ("member", "need", True)
    }
