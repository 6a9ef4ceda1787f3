"""Two appenders and a relay that are killed, put to sleep and superseded at any command.

Every fact that landed is published at least once; the first publications of each stream are in seq
order without gaps; and when nobody is at work any more, nothing is left in the outbox but what may
still come.
"""

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from contracts.envelope import Fact
from kit.journal.mongo import FEW, MongoJournal
from kit.journal.notes import BOUNDS, LATEST_LOOK_SECONDS, Bounds
from kit.journal.port import Draft
from tests.kit.notes_store import Database
from tests.ports.stores import draft

STREAMS = ("a:1", "a:2", "a:3", "a:4")
STEPS, MOST_TASKS = 250, 4
LITTLE = Bounds(facts=7, listed=4, read=1, fetched=3, held=60, missing=5)


@dataclass
class World:
    """Processes on one database. ``commands`` of theirs happen in an order by chance."""

    chance: random.Random
    bounds: Bounds
    database: Database = field(default_factory=lambda: Database(free=False))
    now: float = 1_000.0
    published: dict[str, int] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    journals: dict[str, MongoJournal] = field(default_factory=dict)
    tasks: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)
    asleep: set[str] = field(default_factory=set)
    unmarked: dict[str, dict[str, Fact]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    started: int = 0

    def journal(self, process: str) -> MongoJournal:
        """The one of a process, which lives until it is killed."""
        if process not in self.journals:
            connection = self.database.process(process)
            self.journals[process] = MongoJournal(
                connection, "tests.facts", lambda: self.now, self.bounds
            )
        return self.journals[process]

    def start(self, process: str, work: Coroutine[Any, Any, None]) -> None:
        self.started += 1
        self.tasks[f"{process}#{self.started}"] = asyncio.create_task(work)

    async def append(self, process: str) -> None:
        """Append to some streams on heads as they are read: few drafts or many."""
        journal = self.journal(process)
        streams = self.chance.sample(STREAMS, self.chance.randint(1, len(STREAMS)))
        length = (FEW + 6) // len(streams) + 1 if self.chance.random() < 0.6 else 2
        batch: list[Draft] = []
        for stream in streams:
            head = await journal.head(stream)
            batch += [self.draft(stream, head + step) for step in range(1, length + 1)]
        await journal.append(batch)

    def draft(self, stream: str, seq: int) -> Draft:
        """Keys that were used already come now and then; clocks go as they like."""
        key = f"k{self.chance.randint(1, seq)}" if self.chance.random() < 0.02 else f"k{seq}"
        made = draft(stream, seq, key)
        return Draft(
            stream,
            seq,
            key,
            made.input_hash,
            made.type,
            made.occurred_at,
            self.chance.randint(1, 9_999),
            made.body,
        )

    async def relay(self, process: str, limit: int) -> None:
        """Publish a batch, but for what still waits for its mark."""
        unmarked = self.unmarked.setdefault(process, {})
        published = set(unmarked)
        facts = await self.journal(process).unpublished(limit)
        facts = [fact for fact in facts if fact.id not in published]
        self.publish(facts, limit)
        unmarked.update((fact.id, fact) for fact in facts)

    async def mark(self, process: str) -> None:
        """Take off the marks of what is published: beside the next batch, as the relay does."""
        unmarked = self.unmarked.setdefault(process, {})
        facts = list(unmarked.values())
        await self.journal(process).mark_published(facts)
        for fact in facts:
            del unmarked[fact.id]

    def publish(self, facts: list[Fact], limit: int) -> None:
        if len(facts) > limit:
            self.wrong.append(f"{len(facts)} facts")
        for fact in facts:
            before = self.published.get(fact.stream, 0)
            if fact.seq > before + 1:
                self.wrong.append(f"{fact.id} ahead of its turn behind {before}")
            self.published[fact.stream] = max(before, fact.seq)
            self.seen.add(fact.id)

    def kill(self, process: str) -> None:
        """All that the process does ends; what waits at the database never happens."""
        for name, task in self.tasks.items():
            if name.partition("#")[0].rpartition("@")[2] == process:
                task.cancel()
        self.journals.pop(process, None)
        self.unmarked.pop(process, None)
        self.asleep.discard(process)

    def reap(self) -> None:
        """Put away what has ended; raises what it raised."""
        for name, task in list(self.tasks.items()):
            if task.done():
                del self.tasks[name]
                if not task.cancelled():
                    task.result()

    async def settle(self) -> None:
        """Let everything that was begun come to its end."""
        self.asleep.clear()
        while await self.database.go_on(self.chance):
            pass
        self.reap()
        assert not self.tasks


async def a_life(seed: int, bounds: Bounds) -> World:
    """A few hundred steps by chance: appends, relays, kills, sleep, and time that passes."""
    chance = random.Random(seed)
    world = World(chance, bounds)
    relay = "p1"
    for _ in range(STEPS):
        world.reap()
        relays = [name for name in world.tasks if name.startswith(f"relay@{relay}#")]
        marks = [name for name in world.tasks if name.startswith(f"mark@{relay}#")]
        dice = chance.random()
        process = chance.choice(("p1", "p2"))
        if dice < 0.08 and len(world.tasks) < MOST_TASKS:
            world.start(process, world.append(process))
        elif dice < 0.2 and not relays:
            limit = chance.choice((1, 5, 40, 1_000))
            world.start(f"relay@{relay}", world.relay(relay, limit))
        elif dice < 0.25 and not relays:
            world.start(f"relay@{relay}", world.journal(relay).changed(0))
        elif dice < 0.3 and not marks:
            world.start(f"mark@{relay}", world.mark(relay))
        elif dice < 0.305:
            world.kill(process)
        elif dice < 0.31 and (not relays or relay in world.asleep):
            relay = process  # a sleeper that is superseded does not know of it
        elif dice < 0.315:
            world.asleep.add(process)
        elif dice < 0.32:
            world.asleep.clear()
        elif dice < 0.33:
            world.now += chance.choice((0.1, 1.5, 40.0))
        else:
            await world.database.go_on(chance, frozenset(world.asleep))
    return world


async def drain(world: World, looks: int) -> None:
    """A process publishes what is left; after so many looks in vain nothing is."""
    world.database.free = True
    in_vain = 0
    while in_vain < looks:
        facts = await world.journal("last").unpublished(50)
        world.publish(facts, 50)
        await world.journal("last").mark_published(facts)
        in_vain = 0 if facts else in_vain + 1
        world.now += 0 if facts else LATEST_LOOK_SECONDS


async def all_is_published_in_order(seed: int, bounds: Bounds, looks: int) -> None:
    """The last process finds all, whether it remembers what it waited for or begins anew."""
    world = await a_life(seed, bounds)
    asleep = set(world.asleep)
    await drain(world, looks)
    world.database.free = False
    world.asleep = asleep
    await world.settle()
    if seed % 2:
        world.kill("last")
    await drain(world, looks)
    facts, notes = (world.database.rows[f"tests.facts.{each}"] for each in ("journal", "outbox"))
    assert world.wrong == []
    assert facts.keys() == world.seen
    assert [id_ for id_, row in facts.items() if "out" in row] == []
    assert [id_ for id_, row in notes.items() if facts.keys() >= set(row["facts"])] == []


@pytest.mark.parametrize("seed", range(120))
async def test_whatever_is_killed_or_asleep_all_is_published_in_order(seed: int) -> None:
    await all_is_published_in_order(seed, BOUNDS, looks=2)


@pytest.mark.parametrize("seed", range(60))
async def test_so_it_is_where_little_is_remembered_and_listed(seed: int) -> None:
    """Much is forgotten, and the list of notes takes many looks."""
    await all_is_published_in_order(seed, LITTLE, looks=70)
