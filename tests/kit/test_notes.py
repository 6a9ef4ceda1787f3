"""Notes of large appends: what is remembered, what is read, and what is waited for."""

import asyncio
import random
from collections.abc import Sequence
from itertools import pairwise

import pytest

from kit.journal.mongo import FEW, MongoJournal
from kit.journal.notes import BOUNDS, LATEST_LOOK_SECONDS
from kit.journal.outbox import LATE_FACTS, LATE_STREAMS
from kit.journal.outlook import ALONE_AFTER_SECONDS, WHOLE_EVERY_SECONDS
from kit.journal.port import Draft
from kit.mongo.driver import Documents, Refused, Row
from kit.mongo.failures import DUPLICATE_KEY
from tests.kit.notes_store import Database, MemoryDocuments, Process
from tests.ports.journal.relaying import relayed
from tests.ports.stores import draft, outcomes, places, run

MANY = FEW + 1


class Time:
    """Stands still until it is moved."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def time() -> Time:
    return Time()


def opened(database: Database, time: Time, process: str = "here") -> MongoJournal:
    return MongoJournal(database.process(process), "tests.facts", time)


def outbox(database: Database) -> dict[str, Row]:
    return database.rows["tests.facts.outbox"]


def at(posted_at: int, drafts: Sequence[Draft]) -> list[Draft]:
    """The same drafts as a clock saw them that was off."""
    return [
        Draft(d.stream, d.seq, d.key, d.input_hash, d.type, d.occurred_at, posted_at, d.body)
        for d in drafts
    ]


async def test_a_large_append_is_noted_and_a_small_one_marked(
    database: Database, time: Time
) -> None:
    journal = opened(database, time)
    await journal.append(run("a:1", 1, FEW))
    await journal.append(run("a:2", 1, MANY))
    facts = database.rows["tests.facts.journal"]
    assert [(row["stream"], "out" in row) for row in facts.values()] == [
        *[("a:1", True)] * FEW,
        *[("a:2", False)] * MANY,
    ]
    ((name, note),) = outbox(database).items()
    assert note["facts"] == [id_ for id_ in facts if id_.startswith("a:2/")]
    assert {row["note"] for row in facts.values() if "note" in row} == {name}


async def test_who_appends_and_relays_reads_nothing_back(database: Database, time: Time) -> None:
    journal = opened(database, time)
    await relayed(journal)
    await journal.append(run("a:1", 1, MANY))
    await relayed(journal)
    database.done.clear()
    await journal.append(run("a:1", MANY + 1, 2 * MANY))
    facts = await journal.unpublished()
    await journal.mark_published(facts)
    assert places(facts) == [("a:1", MANY + n) for n in range(1, MANY + 1)]
    assert database.done == [
        "insert tests.facts.outbox",
        "insert tests.facts.journal",
        "find tests.facts.journal",
        "delete tests.facts.outbox",
    ]
    assert outbox(database) == {}


async def test_what_is_remembered_reads_as_it_was_written(database: Database, time: Time) -> None:
    journal = opened(database, time)
    await relayed(journal)
    await journal.append(run("a:1", 1, MANY))
    assert await journal.unpublished() == await journal.read("a:1")


async def test_who_never_relays_remembers_nothing(database: Database, time: Time) -> None:
    writer, relay = opened(database, time, "writer"), opened(database, time, "relay")
    await relayed(writer)
    time.now += 60
    await writer.append(run("a:1", 1, MANY))
    assert not writer._notes.waiting
    assert len(await relayed(relay)) == MANY


async def test_more_than_can_be_remembered_is_read_back_in_order(
    database: Database, time: Time
) -> None:
    journal = opened(database, time)
    await relayed(journal)
    large = BOUNDS.held // 4
    for part in range(5):
        await journal.append(at(part, run("a:1", part * large + 1, (part + 1) * large)))
    assert not journal._notes.waiting
    published = places(await relayed(journal))
    assert published == [("a:1", seq) for seq in range(1, 5 * large + 1)]
    assert outbox(database) == {}
    await journal.append(run("a:2", 1, MANY))
    assert journal._notes.waiting


async def test_an_append_of_thousands_has_several_notes(database: Database, time: Time) -> None:
    journal = opened(database, time)
    await journal.append(run("a:1", 1, 2 * BOUNDS.facts + 1))
    assert [len(row["facts"]) for row in outbox(database).values()] == [
        BOUNDS.facts,
        BOUNDS.facts,
        1,
    ]
    assert len(await relayed(opened(database, time, "there"))) == 2 * BOUNDS.facts + 1


async def test_a_fact_waits_for_an_earlier_one_whose_append_is_under_way_in_this_process(
    database: Database, time: Time
) -> None:
    """It has landed, but its append does not know yet."""
    here, there = opened(database, time), opened(database, time, "there")
    await relayed(here)
    database.held.add("here")
    appending = asyncio.create_task(here.append(run("a:1", 1, MANY)))
    while not database.rows["tests.facts.journal"]:
        await database.go_on(random.Random(1))
    await there.append([draft("a:1", MANY + 1)])
    relaying = asyncio.create_task(here.unpublished())
    answer = next(each for each in database.waiting if each.has_happened)
    while not relaying.done():
        await database.go_on(random.Random(1), but=answer)
    assert places(await relaying) == [("a:1", seq) for seq in range(1, MANY + 2)]
    database.held.clear()
    answer.released.set_result(True)
    await appending
    await here.mark_published(await relaying)
    assert await here.unpublished() == []


async def test_a_fact_waits_for_an_earlier_one_of_a_note_that_is_not_known_yet(
    database: Database, time: Time
) -> None:
    here, there = opened(database, time), opened(database, time, "there")
    await relayed(here)
    await here.changed(0.0)
    await there.append(run("a:1", 1, MANY))
    await there.append([draft("a:1", MANY + 1)])
    await here.append([draft("a:2", 1)])
    found = places(await here.unpublished())
    assert found == [*(("a:1", seq) for seq in range(1, MANY + 2)), ("a:2", 1)]


async def test_many_streams_wait_for_their_earlier_facts_and_all_are_published(
    database: Database, time: Time
) -> None:
    here, there = opened(database, time), opened(database, time, "there")
    streams = [f"a:{n}" for n in range(2 * LATE_STREAMS + 1)]
    for stream in streams:
        await there.append(at(9_000, run(stream, 1, MANY)))
        await there.append(at(8_000, [draft(stream, MANY + 1)]))
        await there.append(at(7_000, run(stream, MANY + 2, 2 * MANY + 1)))
    seqs = dict.fromkeys(streams, 0)
    for fact in await relayed(here, 20):
        assert fact.seq == seqs[fact.stream] + 1
        seqs[fact.stream] = fact.seq
    assert seqs == dict.fromkeys(streams, 2 * MANY + 1)
    assert outbox(database) == {}


async def test_a_long_way_back_is_gone(database: Database, time: Time) -> None:
    """Notes that are older keep the relay from reading that of the stream before its mark."""
    here, there = opened(database, time), opened(database, time, "there")
    length = 2 * LATE_FACTS + 1
    await there.append(at(1, run("a:0", 1, 300)))
    await there.append([*at(9_000, run("a:1", 1, 1)), *at(0, run("a:1", 2, length - 1))])
    await there.append(at(0, [draft("a:1", length)]))
    published = places(await relayed(here, 50))
    assert [seq for stream, seq in published if stream == "a:0"] == list(range(1, 301))
    assert [seq for stream, seq in published if stream == "a:1"] == list(range(1, length + 1))


async def test_what_another_relay_has_published_is_not_remembered(
    database: Database, time: Time
) -> None:
    here, there = opened(database, time), opened(database, time, "there")
    await relayed(here)
    await here.append(run("a:1", 1, MANY))
    await relayed(there)
    time.now += WHOLE_EVERY_SECONDS
    assert await here.unpublished() == []
    assert not here._notes.waiting


async def test_a_note_is_corrected_by_what_has_landed(database: Database, time: Time) -> None:
    here, there = opened(database, time), opened(database, time, "there")
    await there.append([draft("a:1", 1, "k1"), draft("a:2", 2, "k2")])
    batch = [draft("a:1", 2, "k1"), draft("a:2", 3, "k2"), *run("a:3", 1, MANY)]
    assert outcomes(await here.append(batch))[:3] == ["duplicate", "duplicate", "appended"]
    assert [len(row["facts"]) for row in outbox(database).values()] == [MANY]
    batch = [draft("a:1", 2, "k1"), *run("a:1", 3, MANY + 2)]
    assert outcomes(await here.append(batch)) == ["duplicate", *["not_tried"] * MANY]
    assert [len(row["facts"]) for row in outbox(database).values()] == [MANY]
    await relayed(there)
    assert outbox(database) == {}


async def test_a_key_twice_in_one_append_is_not_taken_for_two_facts(
    database: Database, time: Time
) -> None:
    journal = opened(database, time)
    await relayed(journal)
    batch = [*run("a:1", 1, MANY), draft("a:2", 1, "k"), draft("a:2", 2, "k")]
    assert outcomes(await journal.append(batch))[-2:] == ["appended", "duplicate"]
    published = places(await relayed(journal))
    assert published == [*(("a:1", seq) for seq in range(1, MANY + 1)), ("a:2", 1)]


class Again(MemoryDocuments):
    """A driver that sends an insert again whose answer was lost; ``blind`` to it afterwards."""

    blind = False

    async def insert(self, rows: Sequence[Row], *, ordered: bool = False) -> list[Refused]:
        refused = await super().insert(rows, ordered=ordered)
        if self.name.endswith(".outbox") or refused:
            return refused
        return [Refused(place, DUPLICATE_KEY) for place in range(1 if ordered else len(rows))]

    async def find(self, *where: object, **how: object) -> list[Row]:
        found = await super().find(*where, **how)  # type: ignore[arg-type]
        return [] if self.blind and self.name.endswith(".journal") else found


class SendingAgain(Process):
    def documents(self, name: str) -> Documents:
        return Again(self, name)


@pytest.mark.parametrize("blind", [False, True])
async def test_a_fact_that_was_in_its_own_way_is_published(
    database: Database, time: Time, blind: bool
) -> None:
    here, there = opened(database, time), opened(database, time, "there")
    again = MongoJournal(SendingAgain(database, "again"), "tests.facts", time)
    Again.blind = blind
    streams = [f"a:{n:02}" for n in range(MANY)]
    told = outcomes(await again.append([draft(stream, 1) for stream in streams]))
    assert told == ["seq_conflict" if blind else "duplicate"] * MANY
    assert sorted(places(await relayed(here))) == [(stream, 1) for stream in streams]
    assert await relayed(there) == []
    assert outbox(database) == {}


def abandon(database: Database, name: str, ids: Sequence[str]) -> None:
    """What a writer leaves behind that was killed before its facts."""
    rows = database.rows.setdefault("tests.facts.outbox", {})
    rows[name] = {"_id": name, "facts": list(ids)}


async def test_facts_of_a_sleeper_are_published_when_they_come(
    database: Database, time: Time
) -> None:
    here, there = opened(database, time), opened(database, time, "there")
    database.held.add("there")
    appending = asyncio.create_task(there.append(run("a:1", 1, MANY)))
    while not outbox(database):
        await database.go_on(random.Random(1))
    await relayed(here)
    time.now += 3_600
    await here.append(run("a:2", 1, MANY))
    assert {fact.stream for fact in await relayed(here)} == {"a:2"}
    database.held.clear()
    for waiting in list(database.waiting):
        waiting.released.set_result(True)
    await appending
    time.now += LATEST_LOOK_SECONDS
    assert places(await relayed(here)) == [("a:1", seq) for seq in range(1, MANY + 1)]
    assert outbox(database) == {}


async def test_a_dead_writers_note_is_settled_by_whoever_takes_its_places(
    database: Database, time: Time
) -> None:
    here = opened(database, time)
    abandon(database, "0/dead", ["a:1/000000000001", "a:1/000000000002"])
    assert await relayed(here) == []
    await here.append(run("a:1", 1, 2))
    assert places(await relayed(here)) == [("a:1", 1), ("a:1", 2)]
    time.now += LATEST_LOOK_SECONDS
    assert await relayed(here) == []
    await here.unpublished()
    assert outbox(database) == {}


async def test_dead_writers_notes_cost_little_and_hide_nothing(
    database: Database, time: Time
) -> None:
    for number in range(BOUNDS.listed + 200):
        abandon(database, f"0/{number:05}", [f"dead:{number}/000000000001"])
    here, there = opened(database, time), opened(database, time, "there")
    assert await relayed(here) == []
    await there.append(run("a:1", 1, MANY))
    for _ in range(3):
        time.now += WHOLE_EVERY_SECONDS
        if found := await relayed(here):
            break
    assert len(found) == MANY
    time.now += 10 * LATEST_LOOK_SECONDS
    database.done.clear()
    for _ in range(10):
        time.now += WHOLE_EVERY_SECONDS
        await here.unpublished()
    assert len(database.done) == 10 * 4
    assert len(outbox(database)) == BOUNDS.listed + 200


async def test_the_oldest_goes_first_whether_it_is_noted_or_marked(
    database: Database, time: Time
) -> None:
    here, there = opened(database, time), opened(database, time, "there")
    await there.append(at(2_000, [draft("b:1", 1)]))
    await there.append(at(1_000, run("a:1", 1, MANY)))
    assert places(await here.unpublished(1)) == [("a:1", 1)]


async def test_a_backlog_of_many_notes_is_read_in_their_order(
    database: Database, time: Time
) -> None:
    writer = opened(database, time, "writer")
    facts = BOUNDS.listed + 200
    await writer.append(run("a:1", 1, facts))
    outbox(database).clear()
    for number, (id_, row) in enumerate(database.rows["tests.facts.journal"].items()):
        abandon(database, f"0/{number:05}", [id_])
        row["note"] = f"0/{number:05}"
    database.done.clear()
    published = places(await relayed(opened(database, time), 100))
    assert published == [("a:1", seq) for seq in range(1, facts + 1)]
    assert len(database.done) < facts


async def test_no_more_is_kept_in_mind_of_dead_writers_than_fits(
    database: Database, time: Time
) -> None:
    each = 1_000
    for number in range(BOUNDS.missing // each + 5):
        ids = [f"dead:{number}/{seq:012d}" for seq in range(1, each + 1)]
        abandon(database, f"0/{number:05}", ids)
    here = opened(database, time)
    assert await relayed(here) == []
    kept = sum(len(note.missing) for note in here._notes._known.values())
    assert kept == BOUNDS.missing


async def test_a_note_of_a_dead_writer_is_looked_at_less_and_less(
    database: Database, time: Time
) -> None:
    here = opened(database, time)
    abandon(database, "0/dead", ["dead:1/000000000001"])
    looks: list[float] = []
    for tick in range(1_000):
        database.done.clear()
        await here.unpublished()
        if len(database.done) > 2:
            looks.append(tick / 10)
        time.now += 0.1
    assert looks[:3] == [0.0, 0.1, 0.2]
    pauses = [later - earlier for earlier, later in pairwise(looks)]
    assert len(looks) < 15
    assert LATEST_LOOK_SECONDS - 0.2 < max(pauses) < LATEST_LOOK_SECONDS + 0.2


async def test_another_ones_large_append_is_found_within_a_second_by_one_who_was_alone(
    database: Database, time: Time
) -> None:
    here, there = opened(database, time), opened(database, time, "there")
    await here.append(run("a:1", 1, 1))
    await relayed(here)
    time.now += ALONE_AFTER_SECONDS + 1
    await there.append(run("a:2", 1, MANY))
    async with asyncio.timeout(2):
        await here.changed(30)
    assert len(await here.unpublished()) == MANY
    assert not here._outlook.alone
