"""The document database dies under load and comes back."""

import asyncio
from typing import Literal

import pytest

from kit.errors import Unavailable
from kit.journal.port import Journal
from tests.ports.stores import Stores, draft, gapless, whole
from tests.servers.fixtures import AnyDocuments

pytestmark = pytest.mark.connected
WRITERS = 4


@pytest.fixture(params=["mongo-motor", "mongo-pymongo"])
def adapter(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Writers:
    """Each appends to streams that all write, and tries again what came to nothing."""

    def __init__(self, journals: list[Journal]) -> None:
        self.journals = journals
        self.acknowledged: set[tuple[str, int, str]] = set()
        self.outages = 0
        self.running = True

    async def run(self) -> None:
        await asyncio.gather(*map(self._write, range(len(self.journals))))

    async def _write(self, number: int) -> None:
        journal, turn = self.journals[number], 0
        while self.running:
            turn += 1
            try:
                await self._append(journal, f"w{number}-{turn}", f"a:{turn % 5}")
            except Unavailable:
                self.outages += 1
                await asyncio.sleep(0.1)

    async def _append(self, journal: Journal, key: str, stream: str) -> None:
        outcome = "seq_conflict"
        while outcome == "seq_conflict" and self.running:
            seq = await journal.head(stream) + 1
            (appended,) = await journal.append([draft(stream, seq, key)])
            outcome = appended.outcome
            if outcome == "appended":
                self.acknowledged.add((stream, seq, key))

    async def reach(self, acknowledged: int) -> None:
        while len(self.acknowledged) < acknowledged:
            await asyncio.sleep(0.02)

    async def suffer(self, outages: int) -> None:
        while self.outages < outages:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("part", ["postgres", "ferretdb"])
async def test_nothing_acknowledged_is_lost_when_the_database_is_killed(
    stores: Stores, document_server: AnyDocuments, part: Literal["postgres", "ferretdb"]
) -> None:
    writers = Writers([await stores.journal() for _ in range(WRITERS)])
    async with asyncio.timeout(120), asyncio.TaskGroup() as group:
        group.create_task(writers.run())
        await writers.reach(40)
        document_server.kill(part)
        await writers.suffer(WRITERS)
        await asyncio.to_thread(document_server.restart)
        await writers.reach(len(writers.acknowledged) + 40)
        writers.running = False
    journal = await stores.journal()
    streams = await whole(journal)
    assert gapless(streams)
    tails = await journal.read_many(dict.fromkeys(streams, 0))
    there = {(f.stream, f.seq, f.key) for facts in tails.values() for f in facts}
    assert writers.acknowledged <= there
    assert len({(stream, key) for stream, _, key in there}) == len(there)


async def test_a_dead_database_is_an_outage_for_every_operation(
    stores: Stores, document_server: AnyDocuments
) -> None:
    journal = await stores.journal()
    await journal.append([draft("a:1", 1)])
    facts = await journal.unpublished()
    document_server.kill("ferretdb")
    try:
        async with asyncio.timeout(30):
            answers = await asyncio.gather(
                journal.head("a:1"),
                journal.read_many({"a:1": 0}),
                journal.append([draft("a:1", 2)]),
                journal.unpublished(),
                journal.mark_published(facts),
                journal.changed(30),
                return_exceptions=True,
            )
    finally:
        await asyncio.to_thread(document_server.restart)
    assert [type(answer) for answer in answers] == [Unavailable] * 6
    assert await journal.head("a:1") == 1
