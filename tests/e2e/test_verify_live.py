"""Verifying a store while other processes write to it: what moves is not broken."""

import asyncio

import pytest

from kit.audit import Verdict
from mooring.environment import Place
from mooring.processes import WORKERS
from mooring.services import Services
from mooring.verify import Report
from services.events import audit as events_audit
from services.members import audit as members_audit
from services.points import audit as points_audit
from tests.e2e.platforms import real
from tests.journeys.replaying import YEAR

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def examined(services: Services) -> Verdict:
    """What the audits say while everything moves."""
    verdict = Verdict()
    verdict.add(await members_audit.examine(services.members, services.events.activities))
    verdict.add(await points_audit.examine(services.points))
    verdict.add(await events_audit.examine(services.events))
    return verdict


async def test_verify_while_a_replay_is_running_finds_nothing_broken(
    place: Place, expected: Report
) -> None:
    async with real(place) as platform:
        platform.start(*WORKERS)
        sending = asyncio.create_task(platform.send(YEAR))
        moving = 0
        while not sending.done():
            verdict = await examined(platform.services)
            assert verdict.findings == []
            moving += bool(verdict.unsettled)
            await asyncio.sleep(0)
        await sending
        assert moving > 1
        assert await platform.verified() == expected
        assert await examined(platform.services) == Verdict()
