"""An account that another process has moved on: what it owes is never missed, never forgotten."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from kit.clock import SECOND
from kit.settings import StoreSettings
from kit.views.port import Query
from services.points import audit
from services.points.commands import body_of, carry_out, digest, post_decisions
from services.points.domain.holding import PlaceHold
from services.points.domain.moving import Send
from services.points.views import DUE
from services.points.wiring import Wiring, wire
from tests.services.points.decisions import granted
from tests.services.starting import TestClock

MINUTE = 60 * SECOND


@asynccontextmanager
async def process(store: StoreSettings, clock: TestClock) -> AsyncIterator[Wiring]:
    """A process of its own on the same store."""
    wired = wire(store, clock)
    await wired.prepare()
    yield wired
    await wired.close()


@pytest.fixture
async def worker(store: StoreSettings, clock: TestClock) -> AsyncIterator[Wiring]:
    """A worker that has M1's account in memory, as it was when it last posted to it."""
    async with process(store, clock) as wired:
        await post_decisions(wired.ledger, wired.rules, [granted("M1", 1)])
        yield wired


async def held(elsewhere: Wiring, capture: bool = False) -> None:
    """Hold 5 of M1's points for half an hour, or take them at once."""
    now = elsewhere.clock()
    hold = PlaceHold("M1", "request:h", "h", "base", 5, now, now + 30 * MINUTE, "table", "M1")
    hold = replace(hold, capture=capture)
    await carry_out(elsewhere.ledger, elsewhere.rules.policy, hold, hold.key, digest("h"))


async def due(wiring: Wiring) -> dict[str, object]:
    found = await wiring.store.views.find(DUE, Query(order_by="due", lower=1))
    return {document.id: document.index["due"] for document in found}


async def kinds(wiring: Wiring) -> list[str]:
    return [body_of(fact).kind for fact in await wiring.entries.read("account:M1")]


async def test_a_hold_that_another_process_placed_is_in_the_index(
    worker: Wiring, store: StoreSettings, clock: TestClock
) -> None:
    async with process(store, clock) as api:
        await held(api)
    (_, hold) = await worker.entries.unpublished()
    await worker.follower.handle([hold])
    assert await due(worker) == {"M1": clock.now + 30 * MINUTE}


async def test_what_was_held_and_taken_at_once_leaves_nothing_due_and_is_seen_by_the_next_posting(
    worker: Wiring, store: StoreSettings, clock: TestClock
) -> None:
    await worker.follower.handle(await worker.entries.unpublished())
    async with process(store, clock) as api:
        await held(api, capture=True)
    facts = (await worker.entries.unpublished())[1:]
    await worker.follower.handle(facts)
    assert await due(worker) == {}
    assert worker.ledger.outdated({"M1": facts[-1].seq}) == ["M1"]
    assert (await worker.ledger.heads(["M1"]))["M1"].seq == facts[-1].seq == 3
    assert (await due(worker), await audit.findings(worker)) == ({}, [])


async def test_a_hold_taken_in_a_later_batch_is_no_longer_due(
    worker: Wiring, store: StoreSettings, clock: TestClock
) -> None:
    async with process(store, clock) as api:
        await held(api, capture=True)
    for fact in await worker.entries.unpublished():
        await worker.follower.handle([fact])
    assert await due(worker) == {}


async def test_a_worker_that_missed_a_hold_times_it_out_all_the_same(
    worker: Wiring, store: StoreSettings, clock: TestClock
) -> None:
    async with process(store, clock) as other:
        await held(other)
        await other.follower.handle(await other.entries.unpublished())
    clock.now += 31 * MINUTE
    assert await worker.duties.run() == 1
    assert await kinds(worker) == ["earn", "hold", "release"]
    assert (await due(worker), await audit.findings(worker)) == ({}, [])


async def test_what_a_pool_refuses_goes_back_to_whoever_the_worker_knew_before(
    worker: Wiring, store: StoreSettings, clock: TestClock
) -> None:
    send = Send("M1", "request:s", "s", "@P1", "base", 5, clock.now, 0, "M1", at_once=True)
    async with process(store, clock) as api, process(store, clock) as other:
        await carry_out(api.ledger, api.rules.policy, send, send.key, digest("s"))
        await other.follower.handle(await other.entries.read("account:M1"))
    await worker.follower.handle(await worker.entries.read("account:@P1"))
    assert await kinds(worker) == ["earn", "transfer_out", "transfer_back"]
    assert await audit.findings(worker) == []
