"""Replays through the gateway, and the report of one that nothing disturbed."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from mooring.replay.activity import Item
from mooring.replay.client import Tally, replay
from mooring.verify import Report
from tests.journeys.adapters import EMBEDDED, fresh_place
from tests.journeys.generated import activities, encoded
from tests.journeys.running import Running, running

Recorded = Sequence[Item]
YEAR: Recorded = encoded(activities())
SENT = {"accepted": 1_499, "duplicate": 35, "refused": 62}
"""What becomes of YEAR when it is sent once."""


@asynccontextmanager
async def embedded(request: pytest.FixtureRequest, workers: int = 1) -> AsyncIterator[Running]:
    """An embedded platform of its own."""
    folder = request.getfixturevalue("tmp_path_factory").mktemp("embedded")
    with fresh_place(EMBEDDED, folder, request) as place:
        async with running(place, workers) as platform:
            yield platform


async def replayed(
    platform: Running, recorded: Recorded, batch: int = 1_000
) -> tuple[Tally, Report]:
    """Send activities through the gateway, then check and digest what came of them."""
    async with platform.client("operator") as operator:
        tally = await replay(operator, recorded, batch=batch)
    return tally, await platform.verified()


async def undisturbed(request: pytest.FixtureRequest) -> Report:
    """The report on YEAR in batches of 1,000, one worker per service, nothing else."""
    async with embedded(request) as platform:
        tally, report = await replayed(platform, YEAR)
        summary = await platform.get("/v1/members:summary")
    assert {name: getattr(tally, name) for name in SENT} == SENT
    assert summary["tiers"] == {"member": 20, "silver": 18, "gold": 22}
    assert summary["stages"] == {
        "need": 0,
        "awareness": 0,
        "acceptance": 27,
        "satisfaction": 15,
        "loyalty": 18,
    }
    assert report.lines == {"member": 60, "balance": 118, "decision": 2_423}
    return report
