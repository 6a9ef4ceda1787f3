"""The journal as outbox: everything is published once, each stream in seq order."""

import asyncio
import time

from msgspec.structs import replace

from contracts.envelope import Fact
from kit.journal.port import Journal
from tests.ports.journal.relaying import relayed, relayed_beside
from tests.ports.stores import Stores, draft, places, run


def in_order(facts: list[Fact], published: dict[str, int] | None = None) -> bool:
    """Whether each stream continues, without a gap, behind what was published of it."""
    seqs = dict(published or {})
    for fact in facts:
        if fact.seq != seqs.get(fact.stream, 0) + 1:
            return False
        seqs[fact.stream] = fact.seq
    return True


async def test_what_is_appended_is_unpublished_until_it_is_marked(journal: Journal) -> None:
    await journal.append([*run("a:1", 1, 3), *run("a:2", 1, 2)])
    first = await journal.unpublished(limit=2)
    assert len(first) == 2
    assert in_order(first)
    await journal.mark_published(first)
    rest = await journal.unpublished()
    assert sorted(places(first + rest)) == [
        ("a:1", 1),
        ("a:1", 2),
        ("a:1", 3),
        ("a:2", 1),
        ("a:2", 2),
    ]
    assert in_order(first + rest)
    await journal.mark_published(rest)
    assert await journal.unpublished() == []


async def test_what_was_not_marked_comes_again(journal: Journal) -> None:
    await journal.append(run("a:1", 1, 3))
    assert await journal.unpublished() == await journal.unpublished()
    assert places(await journal.unpublished()) == [("a:1", 1), ("a:1", 2), ("a:1", 3)]


async def test_marking_twice_is_harmless(journal: Journal) -> None:
    await journal.append(run("a:1", 1, 2))
    facts = await journal.unpublished()
    await journal.mark_published(facts)
    await journal.append([draft("a:1", 3)])
    await journal.mark_published(facts)
    await journal.mark_published([])
    assert places(await journal.unpublished()) == [("a:1", 3)]


async def test_a_published_fact_reads_like_any_other(journal: Journal) -> None:
    await journal.append(run("a:1", 1, 2))
    before = await journal.read("a:1")
    await journal.mark_published(await journal.unpublished())
    assert await journal.read("a:1") == before


async def test_small_limits_publish_long_streams_in_order(journal: Journal) -> None:
    await journal.append([*run("a:1", 1, 20), *run("a:2", 1, 5), *run("b:1", 1, 9)])
    published = await relayed(journal, limit=4)
    assert in_order(published)
    assert len(published) == 34


async def test_a_relay_beside_concurrent_writers_misses_nothing_and_keeps_order(
    stores: Stores,
) -> None:
    writers = [await stores.journal() for _ in range(3)]
    reader = await stores.journal()

    async def write(number: int) -> None:
        for seq in range(1, 31):
            await writers[number].append(
                [draft(f"a:{number}-{n}", 2 * seq + step) for n in range(3) for step in (-1, 0)]
            )

    writing = asyncio.gather(*map(write, range(3)))
    published = await relayed_beside(reader, writing, limit=50)
    assert len(published) == 540
    assert in_order(published)


async def test_changed_returns_at_once_for_what_came_since_the_last_look(stores: Stores) -> None:
    here, there = await stores.journal(), await stores.journal()
    assert await here.unpublished() == []
    await there.append([draft("a:1", 1)])
    async with asyncio.timeout(2):
        await here.changed(30)
    assert places(await here.unpublished()) == [("a:1", 1)]


async def test_changed_wakes_for_an_append_of_another_process(stores: Stores) -> None:
    here, there = await stores.journal(), await stores.journal()
    await here.unpublished()
    waiting = asyncio.create_task(here.changed(30))
    await asyncio.sleep(0.05)
    await there.append([draft("a:1", 1)])
    async with asyncio.timeout(2):
        await waiting
    assert places(await here.unpublished()) == [("a:1", 1)]


async def test_changed_gives_up_when_time_is_up(journal: Journal) -> None:
    await journal.append(run("a:1", 1, 2))
    await journal.mark_published(await journal.unpublished())
    for _ in range(2):
        assert await journal.unpublished() == []
        started = time.monotonic()
        await journal.changed(0.1)
        assert 0.09 < time.monotonic() - started < 1


async def test_a_writer_with_a_late_clock_does_not_change_the_order(journal: Journal) -> None:
    for seq in (1, 2, 3, 4):
        await journal.append([replace(draft("a:1", seq), posted_at=1_000 - seq)])
    await journal.append([replace(draft("a:2", 1), posted_at=1)])
    published: list[Fact] = []
    while facts := await journal.unpublished(limit=2):
        assert len(facts) <= 2
        await journal.mark_published(facts)
        published += facts
    assert sorted(places(published)) == [*(("a:1", n) for n in (1, 2, 3, 4)), ("a:2", 1)]
    assert in_order(published)
