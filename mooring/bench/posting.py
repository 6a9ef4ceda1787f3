"""Posting on Kafka and a document database: decisions in, entries durable and published.

The workers are up and have joined before the clock starts. Then decisions as large as the year's
(nine lines, two wallets) are published, and the clock stops when every entry is in the journal, is
on its topic, and the offsets are committed. The limit is what the database takes when the same
documents are inserted by themselves: sorted by ``_id``, 1,000 at a time, unordered, with majority
and journal acknowledged.
"""

import asyncio
import time
import uuid
from collections.abc import Iterator
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

import msgspec

from contracts.envelope import Fact
from contracts.events import AsOf, Considered, Grant, RewardGranted
from contracts.topics import REWARDS
from kit.bus.open import open_bus
from kit.bus.port import Bus, Message
from kit.clock import system_clock
from kit.errors import ServiceError
from kit.journal.port import Journal
from kit.mongo.driver import Client, Documents
from kit.relay import message_of
from kit.store import open_store
from mooring.bench.figures import Figure, Result, Target
from mooring.bench.standing import fresh_place
from mooring.environment import Place
from mooring.preparation import prepare
from mooring.settle import NotSettled
from mooring.up import Platform
from services.points.wiring import ENTRIES_JOURNAL, SERVICE

NAME = "posting-connected"
RAW = "raw inserts"
LEAST_PER_SECOND = 3_000.0
LEAST_OF_RAW = 0.25
MEMBERS = 2_469
LINES = 9
BATCH = 1_000
DECISIONS, FEW_DECISIONS = 30_000, 5_000
WARM_UP = 3_000
LONGEST_SECONDS = 120.0
LOOK_SECONDS = 0.05
OURS = "bench-"
_encoder = msgspec.json.Encoder()


async def measure_posting(
    mongo: str, kafka: str, count: int = DECISIONS, workers: int = 1
) -> Result:
    """Post through worker processes, then insert the same documents raw.

    The servers must be for testing: topics and a database are made there, and stay. Raises
    ServiceError when the topic carries what no benchmark wrote.
    """
    with fresh_place(fresh_database(mongo), kafka) as place:
        await prepare(place.store(), place.bus(), place.programme)
        bus = open_bus(place.bus())
        try:
            await refuse_real_traffic(bus, REWARDS.name)
            seconds = await _post(place, bus, count, workers)
        finally:
            await bus.close()
        raw_seconds = await _insert_raw(place, count)
    figures = (
        Figure(
            f"posted and published, {workers} worker{'s' if workers > 1 else ''}",
            count / seconds,
            "1/s",
            count / raw_seconds,
            RAW,
            Target("at least", LEAST_PER_SECOND, of="value"),
        ),
        Figure(
            "posted and published, share of raw",
            count / seconds,
            "1/s",
            count / raw_seconds,
            RAW,
            Target("at least", LEAST_OF_RAW),
        ),
    )
    note = f"{count:,} decisions of {LINES} lines for {min(count, MEMBERS):,} members."
    return Result(NAME, figures, (note,), {"seconds": seconds, "raw_seconds": raw_seconds})


def fresh_database(mongo: str) -> str:
    """Return the address with a database that no other run has."""
    return urlsplit(mongo)._replace(path=f"/mooring_bench_{uuid.uuid4().hex[:12]}").geturl()


async def refuse_real_traffic(bus: Bus, topic: str, seconds: float = 2.0) -> None:
    """Raise ServiceError when the topic's oldest messages are not a benchmark's."""
    looking = bus.subscribe([topic], f"{OURS}{uuid.uuid4().hex[:12]}")
    oldest = await looking.poll(100, seconds)
    await looking.close()
    if foreign := [received.key for received in oldest if not received.key.startswith(OURS)]:
        raise ServiceError(
            "conflict",
            "not_a_test_broker",
            f"{topic} carries what no benchmark wrote ({foreign[0][:80]}): give a Kafka for tests",
        )


async def _post(place: Place, bus: Bus, count: int, workers: int) -> float:
    """Return the seconds from the first publication until all is settled."""
    platform = Platform(place)
    store = open_store(place.store().url, SERVICE, place.store().driver)
    entries = store.journal(ENTRIES_JOURNAL)
    try:
        for number in range(workers):
            platform.start([f"{SERVICE}-worker"], f"{SERVICE}-worker-{number + 1}")
        await _publish(bus, decisions(WARM_UP, f"{OURS}warm-{uuid.uuid4().hex[:6]}-"))
        await _until_posted(platform, bus, entries)
        begin = time.perf_counter()
        await _publish(bus, decisions(count, f"{OURS}{uuid.uuid4().hex[:6]}-"))
        await _until_posted(platform, bus, entries)
        return time.perf_counter() - begin
    finally:
        platform.stop()
        await store.close()


async def _publish(bus: Bus, messages: Iterator[Message]) -> None:
    while batch := list(islice(messages, BATCH)):
        await bus.publish(batch)


async def _until_posted(platform: Platform, bus: Bus, entries: Journal) -> None:
    """Return when no decision is uncommitted and no entry unpublished; raises NotSettled."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < deadline:
        platform.check()
        if await _nothing_waits(bus, entries):
            return
        await asyncio.sleep(LOOK_SECONDS)
    raise NotSettled(f"decisions are still waiting after {LONGEST_SECONDS:g} s")


async def _nothing_waits(bus: Bus, entries: Journal) -> bool:
    try:
        return not await bus.lag([REWARDS.name], SERVICE) and not await entries.unpublished(1)
    except ServiceError as error:
        if error.kind != "unavailable":  # a group that is just being founded has no coordinator
            raise
        return False


def decisions(count: int, prefix: str) -> Iterator[Message]:
    """Yield decisions as the events worker publishes them, the members taking turns."""
    lines = tuple((number, 100 * number, number) for number in range(1, LINES + 1))
    points = sum(share for _, _, share in lines)
    grants = tuple(Grant("base", wallet, points, lines) for wallet in ("base", "tier"))
    considered = (Considered("base", True),)
    now = system_clock()
    for number in range(count):
        seq, member = number // MEMBERS + 1, f"{prefix}{number % MEMBERS}"
        activity = f"act_{number:024d}"
        body = RewardGranted(
            activity, member, "bench", AsOf("silver", "acceptance", None, seq), considered, grants
        )
        encoded = msgspec.Raw(_encoder.encode(body))
        fact = Fact(
            f"decision:{member}", seq, f"decision:{seq}", "RewardGranted", now, now, encoded
        )
        yield message_of(fact, REWARDS.name)


async def _insert_raw(place: Place, count: int) -> float:
    """Insert the entries' documents again, as they were inserted first; return the seconds."""
    settings = place.store()
    client = Client(settings.url, settings.driver)
    store = open_store(settings.url, "bench", settings.driver)
    try:
        await store.journal("bench.raw").prepare()
        source = client.documents(f"{ENTRIES_JOURNAL}.journal")
        target = client.documents("bench.raw.journal")
        seconds, rows = await _copy(source, target, count)
        if rows < count:
            raise NotSettled(f"{count - rows} of {count} entries are missing")
        return seconds * count / rows
    finally:
        await store.close()
        await client.close()


async def _copy(source: Documents, target: Documents, count: int) -> tuple[float, int]:
    """Copy about ``count`` rows; return the seconds that the inserts took, and how many rows."""
    seconds, copied, last = 0.0, 0, ""
    while copied < count and (
        rows := await source.find({"_id": {"$gt": last}}, sort=[("_id", 1)], limit=BATCH)
    ):
        last = rows[-1]["_id"]
        fresh = [_unpublished(row) for row in rows]
        begin = time.perf_counter()
        await target.insert(fresh)
        seconds += time.perf_counter() - begin
        copied += len(rows)
    return seconds, copied


def _unpublished(row: dict[str, Any]) -> dict[str, Any]:
    """The document as it was inserted: one of a small append then bore a mark."""
    return row if "note" in row else {**row, "out": f"{row['posted']:020d}/{row['_id']}"}
