"""kill -9 of the database and of the broker: what was acknowledged is there when they are back."""

import asyncio
from collections.abc import Callable

import pytest

from mooring.environment import Place
from mooring.processes import WORKERS
from mooring.verify import Report
from tests.e2e.platforms import Real, real
from tests.e2e.test_kill_9 import HALF, keep_sending
from tests.journeys.adapters import CONNECTED
from tests.journeys.replaying import SENT, YEAR
from tests.servers.fixtures import AnyDocuments, AnyKafka

pytestmark = [
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.connected,
    pytest.mark.parametrize("place", CONNECTED[:1], indirect=True),
]
OUT_SECONDS = 1.0


async def out_for_a_while(kill: Callable[[], None], restart: Callable[[], None]) -> None:
    """Kill a server under load, and let it come back after a while."""
    await asyncio.sleep(0.5)
    await asyncio.to_thread(kill)
    await asyncio.sleep(OUT_SECONDS)
    await asyncio.to_thread(restart)


async def test_database_and_broker_killed_under_load_lose_and_double_nothing(
    place: Place, expected: Report, document_server: AnyDocuments, kafka_server: AnyKafka
) -> None:
    documents, enough = document_server, asyncio.Event()
    async with real(place) as platform:
        platform.start(*WORKERS)
        sending = asyncio.create_task(keep_sending(platform, YEAR[:HALF], enough))
        await out_for_a_while(lambda: documents.kill("postgres"), documents.restart)
        await out_for_a_while(lambda: documents.kill("ferretdb"), documents.restart)
        enough.set()
        assert (await sending).sent == HALF

        sending = asyncio.create_task(platform.send(YEAR[HALF:]))
        await asyncio.sleep(0.5)
        await asyncio.to_thread(kafka_server.kill)
        # Intake needs no broker: it goes on, and what it acknowledges waits for the broker.
        assert (await sending).sent == len(YEAR) - HALF
        assert await _recorded(platform) == SENT["accepted"]
        await asyncio.to_thread(kafka_server.restart)
        assert await platform.verified() == expected


async def _recorded(platform: Real) -> int:
    """How many activities are in the journal, matched returns left out."""
    total = 0
    async for facts in platform.services.events.activities.scan():
        total += sum(fact.type == "ActivityRecorded" for fact in facts)
    return total
