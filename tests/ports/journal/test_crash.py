"""Processes that die at any moment: what was acknowledged is there, and nothing has a gap."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process

from kit.journal.port import Journal
from tests.ports.stores import Stores, draft, gapless, outcomes, places, run, whole

STREAMS = [f"a:{n}" for n in range(8)]


async def appender(stores: Stores, name: str) -> Process:
    """Start a process that appends to all the streams until it is killed."""
    module = "tests.ports.journal.appender"
    command = [sys.executable, "-m", module, stores.url, stores.driver, name, *STREAMS]
    return await asyncio.create_subprocess_exec(*command, stdout=PIPE)


async def acknowledged(process: Process, batches: int) -> set[tuple[str, int, str]]:
    """Kill the process in the middle of its work, after so many acknowledged batches."""
    assert process.stdout is not None
    lines = [await process.stdout.readline() for _ in range(batches)]
    process.kill()
    lines += (await process.stdout.read()).splitlines()
    await process.wait()
    facts: set[tuple[str, int, str]] = set()
    for line in lines:
        if line.endswith((b"]", b"]\n")):  # the last one may be cut short
            facts |= {(stream, seq, key) for stream, seq, key in json.loads(line)}
    return facts


async def stored(journal: Journal) -> set[tuple[str, int, str]]:
    tails = await journal.read_many(dict.fromkeys(STREAMS, 0))
    return {(fact.stream, fact.seq, fact.key) for facts in tails.values() for fact in facts}


async def test_what_a_killed_process_had_acknowledged_is_there_without_gaps(
    stores: Stores,
) -> None:
    journal = await stores.journal()
    async with asyncio.timeout(60):
        known: set[tuple[str, int, str]] = set()
        for life in range(2):
            process = await appender(stores, f"life{life}")
            known |= await acknowledged(process, batches=10)
            assert known <= await stored(journal)
            assert gapless(await whole(journal))
    heads = {stream: await journal.head(stream) for stream in STREAMS}
    again = await journal.append([draft(s, head + 1) for s, head in heads.items()])
    assert outcomes(again) == ["appended"] * len(STREAMS)


async def test_processes_that_compete_and_are_killed_lose_nothing(stores: Stores) -> None:
    journal = await stores.journal()
    async with asyncio.timeout(90):
        processes = [await appender(stores, f"w{n}") for n in range(3)]
        reports = await asyncio.gather(*(acknowledged(p, batches=8) for p in processes))
    known = set().union(*reports)
    there = await stored(journal)
    assert sum(map(len, reports)) == len(known)  # no fact was acknowledged to two
    assert known <= there
    assert gapless(await whole(journal))
    assert len({(stream, key) for stream, _, key in there}) == len(there)


async def test_a_relay_that_dies_before_marking_leaves_the_facts_to_the_next(
    stores: Stores,
) -> None:
    first = await stores.journal()
    await first.append([*run("a:1", 1, 3), draft("a:2", 1)])
    await first.mark_published(await first.unpublished(limit=2))
    seen = await first.unpublished()
    second = await stores.journal()
    assert await second.unpublished() == seen
    await second.mark_published(seen)
    assert await second.unpublished() == []
    assert await first.unpublished() == []


async def test_a_relay_that_was_superseded_does_not_bring_published_facts_back(
    stores: Stores,
) -> None:
    slow, quick = await stores.journal(), await stores.journal()
    await slow.append(run("a:1", 1, 3))
    seen = await slow.unpublished(limit=2)
    await quick.mark_published(await quick.unpublished())
    await slow.mark_published(seen)
    await slow.append([draft("a:1", 4)])
    assert places(await slow.unpublished()) == [("a:1", 4)]
    assert places(await quick.unpublished()) == [("a:1", 4)]
