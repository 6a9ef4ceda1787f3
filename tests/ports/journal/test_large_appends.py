"""Appends of many drafts, whose facts an adapter may keep in another outbox than those of few."""

import asyncio

import pytest

from kit.journal.port import Draft, Journal
from tests.ports.journal.relaying import relayed, relayed_beside
from tests.ports.journal.test_outbox import in_order
from tests.ports.stores import Stores, draft, outcomes, places, run

MANY = 40


@pytest.mark.parametrize("own", [True, False])
async def test_large_and_small_appends_of_two_processes_are_published_in_order(
    stores: Stores, own: bool
) -> None:
    """By one of the two, which remembers its own, or by a third, which has to read."""
    here, there = await stores.journal(), await stores.journal()
    relay = here if own else await stores.journal()
    await relayed(relay)
    await here.append(run("a:1", 1, MANY))
    await there.append([*run("a:1", MANY + 1, MANY + 2), draft("a:2", 1)])
    await there.append([*run("a:1", MANY + 3, 2 * MANY), *run("a:2", 2, MANY)])
    await here.append([draft("a:1", 2 * MANY + 1), *run("a:2", MANY + 1, 2 * MANY)])
    await there.append([draft("a:2", 2 * MANY + 1)])
    published = await relayed(relay, 25)
    assert len(published) == 4 * MANY + 2
    assert in_order(published)
    assert [await relayed(each) for each in (here, there)] == [[], []]


async def test_a_limit_smaller_than_an_append_publishes_it_in_parts(journal: Journal) -> None:
    await relayed(journal)
    await journal.append([*run("a:1", 1, MANY), *run("a:2", 1, MANY)])
    published = await relayed(journal, 7)
    assert len(published) == 2 * MANY
    assert in_order(published)


async def test_who_relays_next_begins_no_later_than_what_was_marked(stores: Stores) -> None:
    first = await stores.journal()
    await relayed(first)
    await first.append([*run("a:1", 1, MANY), *run("a:2", 1, MANY)])
    marked = await first.unpublished(limit=MANY + 5)
    await first.mark_published(marked)
    await first.append([draft("a:1", MANY + 1)])
    done = {fact.stream: fact.seq for fact in marked}
    rest = await relayed(await stores.journal(), 30)
    assert {fact.id for fact in marked + rest} == {
        draft_id
        for stream, last in (("a:1", MANY + 1), ("a:2", MANY))
        for draft_id in (f"{stream}/{seq:012d}" for seq in range(1, last + 1))
    }
    fresh = [fact for fact in rest if fact.seq > done.get(fact.stream, 0)]
    assert in_order(fresh, done)
    assert {fact.id for fact in await relayed(first)} <= {fact.id for fact in marked + rest}
    assert await relayed(await stores.journal()) == []


async def test_what_is_refused_of_a_large_append_is_not_published(stores: Stores) -> None:
    here, there = await stores.journal(), await stores.journal()
    await relayed(here)
    await there.append([draft("a:1", 1, "taken"), draft("a:2", 1)])
    batch = [*run("a:1", 1, MANY), *run("a:2", 2, MANY), draft("a:3", 1, "k"), draft("a:3", 2, "k")]
    told = outcomes(await here.append(batch))
    assert told == [
        *["seq_conflict", *["not_tried"] * (MANY - 1)],
        *["appended"] * (MANY - 1),
        *["appended", "duplicate"],
    ]
    assert outcomes(await here.append([draft("a:1", 2, "taken"), *run("a:1", 3, MANY)])) == [
        "duplicate",
        *["not_tried"] * (MANY - 2),
    ]
    assert sorted(places(await relayed(here))) == [
        ("a:1", 1),
        *(("a:2", seq) for seq in range(1, MANY + 1)),
        ("a:3", 1),
    ]
    assert await relayed(there) == []


async def test_the_same_large_append_twice_is_published_once(stores: Stores) -> None:
    here, there = await stores.journal(), await stores.journal()
    await relayed(here)
    batch = [*run("a:1", 1, MANY), *run("a:2", 1, MANY)]
    told = await asyncio.gather(here.append(batch), there.append(batch))
    landed = [outcomes(each).count("appended") for each in told]
    left: list[Draft] = batch
    while left:
        again = list(zip(left, await here.append(left), strict=True))
        left = [d for d, a in again if a.outcome not in ("appended", "duplicate")]
        landed.append(outcomes([a for _, a in again]).count("appended"))
    published = await relayed(here)
    assert sum(landed) == len(published) == 2 * MANY
    assert in_order(published)


async def test_changed_returns_soon_for_another_processs_large_append(stores: Stores) -> None:
    here, there = await stores.journal(), await stores.journal()
    await here.unpublished()
    waiting = asyncio.create_task(here.changed(30))
    await asyncio.sleep(0.05)
    await there.append(run("a:1", 1, MANY))
    async with asyncio.timeout(3):
        await waiting
    assert places(await here.unpublished()) == [("a:1", seq) for seq in range(1, MANY + 1)]


async def test_a_relay_beside_large_and_small_appends_keeps_order(stores: Stores) -> None:
    writers = [await stores.journal() for _ in range(2)]
    relay = writers[0]
    heads = dict.fromkeys(("a:1", "a:2", "b:1", "b:2"), 0)

    async def write(number: int) -> None:
        for turn in range(12):
            length = MANY if (turn + number) % 3 else 2
            batch: list[Draft] = []
            for stream in (f"a:{number + 1}", f"b:{number + 1}"):
                batch += run(stream, heads[stream] + 1, heads[stream] + length)
                heads[stream] += length
            await writers[number].append(batch)

    writing = asyncio.gather(*map(write, range(2)))
    published = await relayed_beside(relay, writing, limit=70)
    assert in_order(published)
    assert len(published) == sum(heads.values())
