"""The points worker on the embedded bus."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from contracts.envelope import decode_fact
from contracts.topics import ALL_TOPICS, ENTRIES, REWARDS
from kit.audit import Verdict
from kit.bus.open import open_bus
from kit.bus.port import Bus, Message, TopicSpec
from kit.relay import message_of
from kit.settings import StoreSettings
from services.points import audit, queries
from services.points.settings import WorkerSettings
from services.points.wiring import Wiring
from services.points.worker import create_worker
from tests.services.points.club import Club
from tests.services.points.decisions import granted, returned, withheld
from tests.services.starting import worker_settings


@pytest.fixture
def settings(tmp_path: Path, store: StoreSettings) -> WorkerSettings:
    return worker_settings(WorkerSettings, tmp_path)


@pytest.fixture
async def bus(settings: WorkerSettings) -> AsyncIterator[Bus]:
    opened = open_bus(settings.bus)
    names = [name for topic in ALL_TOPICS for name in (topic.name, topic.dead)]
    await opened.prepare([TopicSpec(name, 4) for name in names])
    yield opened
    await opened.close()


@asynccontextmanager
async def at_work(settings: WorkerSettings) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(create_worker(settings).run(stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def worked_off(bus: Bus, wiring: Wiring) -> None:
    async with asyncio.timeout(10):
        while await bus.lag([REWARDS.name], "points") or await wiring.entries.unpublished(1):
            await asyncio.sleep(0.01)


async def test_decisions_become_entries_and_entries_are_published(
    settings: WorkerSettings, bus: Bus, wiring: Wiring
) -> None:
    facts = [granted("M1", 1), withheld("M2", 1), granted("M2", 2), returned("M1", 2, 1, 0, 250)]
    async with at_work(settings):
        await bus.publish([message_of(fact, REWARDS.name) for fact in facts])
        await worked_off(bus, wiring)
    found = {
        member: (await queries.balances(wiring.ledger, wiring.rules, member, 0)).wallets
        for member in ("M1", "M2")
    }
    assert found == {"M1": {"base": 9, "tier": 9}, "M2": {"base": 12, "tier": 12}}
    reader = bus.subscribe([ENTRIES.name], "test")
    published = [decode_fact(message.value) for message in await reader.poll(10, 2)]
    assert sorted(fact.id for fact in published) == [
        "account:M1/000000000001",
        "account:M1/000000000002",
        "account:M2/000000000001",
    ]


async def test_the_whole_topic_delivered_again_changes_nothing(
    settings: WorkerSettings, bus: Bus, wiring: Wiring
) -> None:
    facts = [granted(f"M{m}", seq) for seq in range(1, 6) for m in range(10)]
    async with at_work(settings):
        for _ in range(3):
            await bus.publish([message_of(fact, REWARDS.name) for fact in facts])
        await worked_off(bus, wiring)
    assert await audit.findings(wiring) == []
    assert [line async for line in audit.digest_lines(wiring)] == [
        f"balance M{m} {wallet} 60" for m in range(10) for wallet in ("base", "tier")
    ]


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await holds():
            await asyncio.sleep(0.02)


async def test_points_find_their_way_to_a_pool_and_to_another_member(
    settings: WorkerSettings, bus: Bus, club: Club
) -> None:
    await club.earn("M1", 100)
    sent = "/v1/members/M1/points/transfers"
    waiting = "/v1/members/M2/points/transfers?status=offered"
    async with at_work(settings):
        pool_id = (await club.post("M1", "/v1/pools")).json()["pool_id"]
        await club.post("M1", f"/v1/pools/{pool_id}/contributions", {"points": 60})
        offer = (await club.post("M1", sent, {"to": "M2", "points": 30})).json()
        await until(lambda: shown(club, "M2", waiting, [30]))
        path = f"/v1/members/M2/points/transfers/{offer['transfer_id']}:accept"
        assert (await club.post("M2", path, {"sender": "M1"})).status_code == 200
        await until(lambda: shown(club, "M1", f"{sent}?direction=sent", [30, 60], "accepted"))
        await until(lambda: at_rest(club, "M1"))
    balances = [await club.balance(each) for each in ("M1", "M2", f"@{pool_id}")]
    assert balances == [10, 30, 60]
    assert await audit.examine(club.wiring, 0) == Verdict()


async def shown(
    club: Club, who: str, path: str, points: list[int], status: str = "offered"
) -> bool:
    rows = (await club.get(who, path))["items"]
    return sorted(row["points"] for row in rows if row["status"] == status) == points


async def at_rest(club: Club, owner: str) -> bool:
    return not (await club.wiring.ledger.heads([owner], fresh=True))[owner].state.sent


async def test_a_poison_message_is_put_aside_and_the_line_goes_on(
    settings: WorkerSettings, bus: Bus, wiring: Wiring
) -> None:
    poison = [b"", b"not json", b'{"stream": 1}', b"[" * 1000, b'{"stream":"decision:M1"}']
    async with at_work(settings):
        await bus.publish([Message(REWARDS.name, "M1", value) for value in poison])
        await bus.publish([message_of(granted("M1", 1), REWARDS.name)])
        await worked_off(bus, wiring)
    assert (await queries.balances(wiring.ledger, wiring.rules, "M1", 0)).wallets == {
        "base": 12,
        "tier": 12,
    }
    dead = await bus.subscribe([REWARDS.dead], "test").poll(10, 2)
    assert sorted(message.value for message in dead) == sorted(poison)
