"""The events worker on the embedded bus, beside a toy members service."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from contracts.envelope import Fact, decode_fact
from contracts.topics import ACTIVITIES, CARDS, REWARDS
from kit.bus.open import open_bus
from kit.bus.port import Bus, TopicSpec
from kit.bus.triage import sort_batch
from kit.relay import message_of
from programmes.model import load_programme
from services.events import audit
from services.events.campaigns import compiled
from services.events.commands import record_activities
from services.events.rebuild import cards_of_topic, rebuild
from services.events.settings import WorkerSettings
from services.events.views import ACTIVITY_HEADS, ACTIVITY_INDEX, DECIDING, progress_of
from services.events.wiring import Wiring, decider, wire
from services.events.worker import consumer, create_worker, relay
from tests.services.events.bodies import Body, intake, purchase, returning
from tests.services.events.test_deciding import some_activities
from tests.services.events.toy_members import cards_of, first_card
from tests.services.starting import TestClock, worker_settings

PROGRAMME = Path("programmes/five_star.yaml")
MEMBERS = ("M1", "M2", "M3")


@asynccontextmanager
async def at_work(settings: WorkerSettings) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(create_worker(settings).run(stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def say_cards(bus: Bus, wiring: Wiring, members: tuple[str, ...] = MEMBERS) -> None:
    """The newest card of each member, as the members service would say it."""
    messages = []
    for member in members:
        facts = await wiring.activities.read(f"activity:{member}", 0, 9_999)
        card = cards_of(facts)[-1] if facts else first_card(member)
        messages.append(message_of(card, CARDS.name))
    await bus.publish(messages)


async def decided(wiring: Wiring, members: tuple[str, ...] = MEMBERS) -> None:
    """Wait until every activity is decided and everything is published."""
    async with asyncio.timeout(20):
        for member in members:
            while await wiring.decisions.head(f"decision:{member}") < await wiring.activities.head(
                f"activity:{member}"
            ):
                await asyncio.sleep(0.01)
        while await wiring.decisions.unpublished(1):
            await asyncio.sleep(0.01)


async def record(wiring: Wiring, bodies: list[Body], size: int = 1_000) -> None:
    for start in range(0, len(bodies), size):
        items = [intake(body) for body in bodies[start : start + size]]
        await record_activities(wiring, items)


async def lines(wiring: Wiring) -> list[str]:
    return [line async for line in audit.digest_lines(wiring)]


def year() -> list[Body]:
    """A mixed history of all members, interleaved."""
    streams = [some_activities(member, 25, seed) for seed, member in enumerate(MEMBERS)]
    return [body for together in zip(*streams, strict=True) for body in together]


async def test_activities_travel_are_decided_and_their_rewards_travel_on(
    settings: WorkerSettings, bus: Bus, wiring: Wiring
) -> None:
    async with at_work(settings):
        await say_cards(bus, wiring)
        await record(wiring, year())
        await say_cards(bus, wiring)
        await decided(wiring)
    assert await audit.findings(wiring) == []
    assert [line async for line in audit.waiting(wiring)] == []
    reader = bus.subscribe([REWARDS.name], "test")
    published: list[Fact] = []
    while received := await reader.poll(1_000, 0.2):
        published += [decode_fact(message.value) for message in received]
    for member in MEMBERS:
        seqs = [fact.seq for fact in published if fact.owner == member]
        assert seqs == list(range(1, await wiring.activities.head(f"activity:{member}") + 1))


async def test_batches_of_one_and_of_a_thousand_give_identical_decisions(
    tmp_path: Path, clock: TestClock
) -> None:
    digests = []
    for size in (1, 1_000):
        place = tmp_path / str(size)
        settings = worker_settings(WorkerSettings, place)
        wiring, bus = wire(settings.store, clock), open_bus(settings.bus)
        await wiring.prepare()
        await bus.prepare([TopicSpec(t.name, 4, t.compacted) for t in (ACTIVITIES, CARDS, REWARDS)])
        async with at_work(settings):
            await record(wiring, year(), size)
            await say_cards(bus, wiring)
            await decided(wiring)
        digests.append(await lines(wiring))
        await bus.close()
        await wiring.close()
    assert len(digests[0]) > 75
    assert digests[0] == digests[1]


async def test_both_topics_delivered_again_to_two_workers_change_nothing(
    settings: WorkerSettings, bus: Bus, wiring: Wiring
) -> None:
    async with at_work(settings), at_work(settings):
        await record(wiring, year())
        await say_cards(bus, wiring)
        await decided(wiring)
        before = await lines(wiring)
        facts = [
            message_of(fact, ACTIVITIES.name)
            for member in MEMBERS
            for fact in await wiring.activities.read(f"activity:{member}")
        ]
        await bus.publish(facts)
        await say_cards(bus, wiring)
        async with asyncio.timeout(10):
            while await bus.lag([ACTIVITIES.name, CARDS.name], "events"):
                await asyncio.sleep(0.01)
    assert await lines(wiring) == before
    assert await audit.findings(wiring) == []


async def test_a_worker_killed_between_append_and_commit_leaves_no_trace(
    settings: WorkerSettings, bus: Bus, wiring: Wiring
) -> None:
    """The loop is stepped by hand: what a batch has done is there, its offsets are not."""
    await record(wiring, year())
    await relay(bus, wiring, wiring.activities).step()
    await say_cards(bus, wiring)
    campaigns = compiled(load_programme(PROGRAMME))
    doomed = bus.subscribe([ACTIVITIES.name, CARDS.name], "events")
    received = await doomed.poll(1_000, 1)
    dying = decider(wiring, campaigns)
    await dying.handle(sort_batch(received, {}, "events").run)
    await doomed.close()  # without commit
    before = await wiring.decisions.read("decision:M1")
    successor = consumer(bus, wiring, decider(wiring, campaigns))
    async with asyncio.timeout(10):
        while await successor.step(0.05) or await bus.lag([ACTIVITIES.name, CARDS.name], "events"):
            pass
    await successor.close()
    assert await wiring.decisions.read("decision:M1", 0, len(before)) == before
    assert [line async for line in audit.waiting(wiring)] == []
    assert await audit.findings(wiring) == []


async def test_the_views_are_the_same_after_a_rebuild(
    settings: WorkerSettings, bus: Bus, wiring: Wiring
) -> None:
    await record(wiring, [*year(), *[purchase(f"x{n}", 100) for n in range(70)]])
    async with at_work(settings):
        await say_cards(bus, wiring)
        await decided(wiring)
    digest = await lines(wiring)
    ids = [
        fact.key
        for member in MEMBERS
        for fact in await wiring.activities.read(f"activity:{member}")
    ]
    before = await _documents(wiring, ids)
    for cards in (None, cards_of_topic(bus)):
        assert await rebuild(wiring, cards) == 3
        assert await _documents(wiring, ids) == before
        assert await audit.findings(wiring) == []
        assert await lines(wiring) == digest


async def _documents(wiring: Wiring, ids: list[str]) -> list[object]:
    views = wiring.store.views
    index = await views.load(ACTIVITY_INDEX, ids)
    progress = {k: progress_of(v) for k, v in (await views.load(DECIDING, MEMBERS)).items()}
    copies = {k: (p.decided, p.seen, p.card, p.card_version) for k, p in progress.items()}
    return [{key: document.body for key, document in index.items()}, copies]


async def test_what_waits_is_decided_after_a_rebuild_as_well(
    settings: WorkerSettings, bus: Bus, wiring: Wiring
) -> None:
    await record(wiring, [purchase("1", 70_000), purchase("2", 5_000), returning("3", "2")])
    async with at_work(settings):
        await bus.publish([message_of(first_card("M1"), CARDS.name)])
        async with asyncio.timeout(10):
            while await wiring.decisions.head("decision:M1") < 1:
                await asyncio.sleep(0.01)
    assert [line async for line in audit.waiting(wiring)] == [
        "waiting M1 2 card_behind",
        "waiting M1 3 card_behind",
    ]
    await rebuild(wiring, cards_of_topic(bus))
    assert await audit.findings(wiring) == []
    async with at_work(settings):
        await say_cards(bus, wiring, ("M1",))
        await decided(wiring, ("M1",))
    assert await lines(wiring) == [
        "decision pos 1 granted base base 700 member need",
        "decision pos 1 granted base tier 700 member need",
        "decision pos 2 granted base base 63 silver acceptance",
        "decision pos 2 granted base tier 50 silver acceptance",
        "decision pos 3 returned - - 5000 - -",
    ]


async def test_what_is_wrong_in_a_store_is_found(
    settings: WorkerSettings, bus: Bus, wiring: Wiring
) -> None:
    await record(wiring, [purchase("1", 100), purchase("2", 200)])
    async with at_work(settings):
        await say_cards(bus, wiring, ("M1",))
        await decided(wiring, ("M1",))
    one, two = (fact.key for fact in await wiring.activities.read("activity:M1"))
    await wiring.store.views.delete(ACTIVITY_INDEX, [one])
    await wiring.store.views.delete(DECIDING, ["M1"])
    assert await audit.findings(wiring, patience_seconds=0) == [
        f"activity:M1/000000000001: {one} is not in the registry",
        "M1: 2 activities are decided, progress says 0",
    ]
    await wiring.store.views.drop(ACTIVITY_HEADS)
    await rebuild(wiring)
    assert await audit.findings(wiring) == []
    assert two in await wiring.store.views.load(ACTIVITY_INDEX, [two])
