"""Posting decisions to accounts, on the embedded store."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from kit.settings import StoreSettings
from services.points import audit, queries
from services.points.commands import post_decisions
from services.points.rebuild import rebuild
from services.points.wiring import Wiring, wire
from tests.services.points.decisions import granted, returned, withheld
from tests.services.starting import TestClock


async def balance(wiring: Wiring, member: str = "M1") -> dict[str, int]:
    return (await queries.balances(wiring.ledger, wiring.rules, member, wiring.clock())).wallets


async def test_a_granted_reward_is_posted(wiring: Wiring) -> None:
    await post_decisions(
        wiring.ledger, wiring.rules, [granted("M1", 1), withheld("M1", 2), granted("M1", 3)]
    )
    assert await balance(wiring) == {"base": 24, "tier": 24}


async def test_a_decision_that_cannot_be_read_leaves_its_batch_unposted(wiring: Wiring) -> None:
    broken = msgspec.structs.replace(granted("M2", 1), body=msgspec.Raw(b'{"activity_id":"act_1"}'))
    with pytest.raises(msgspec.ValidationError):
        await post_decisions(wiring.ledger, wiring.rules, [granted("M1", 1), broken])
    assert await wiring.entries.head("account:M1") == 0
    await post_decisions(wiring.ledger, wiring.rules, [granted("M1", 1), granted("M2", 1)])
    assert await balance(wiring) == await balance(wiring, "M2") == {"base": 12, "tier": 12}


async def test_a_redelivered_batch_changes_nothing(wiring: Wiring) -> None:
    batch = [granted("M1", 1), granted("M2", 1), returned("M1", 2, 1, 0, 500)]
    await post_decisions(wiring.ledger, wiring.rules, batch)
    await post_decisions(wiring.ledger, wiring.rules, batch)
    wiring.ledger.forget()
    await post_decisions(wiring.ledger, wiring.rules, batch)
    assert await balance(wiring) == {"base": 6, "tier": 6}
    assert await wiring.entries.head("account:M1") == 2


async def test_another_worker_with_an_old_head_posts_nothing_twice(
    wiring: Wiring, store: StoreSettings, clock: TestClock
) -> None:
    other = wire(store, clock)
    await post_decisions(other.ledger, other.rules, [granted("M1", 1)])
    await post_decisions(wiring.ledger, wiring.rules, [granted("M1", 1), granted("M1", 2)])
    await post_decisions(other.ledger, other.rules, [granted("M1", 2), granted("M1", 3)])
    assert await balance(wiring) == {"base": 36, "tier": 36}
    assert await wiring.entries.head("account:M1") == 3
    await other.close()


async def test_two_workers_at_once_post_each_decision_once(
    wiring: Wiring, store: StoreSettings, clock: TestClock
) -> None:
    other = wire(store, clock)
    batch = [granted(f"M{m}", seq) for seq in range(1, 11) for m in range(20)]
    await asyncio.gather(
        post_decisions(wiring.ledger, wiring.rules, batch),
        post_decisions(other.ledger, other.rules, batch),
    )
    assert [await balance(wiring, f"M{m}") for m in range(20)] == [{"base": 120, "tier": 120}] * 20
    assert await audit.findings(wiring) == []
    await other.close()


async def test_a_return_finds_its_purchase_in_the_same_batch_and_in_the_journal(
    wiring: Wiring,
) -> None:
    await post_decisions(
        wiring.ledger, wiring.rules, [granted("M1", 1), returned("M1", 2, 1, 0, 300)]
    )
    assert await balance(wiring) == {"base": 9, "tier": 9}
    await post_decisions(wiring.ledger, wiring.rules, [returned("M1", 3, 1, 300, 1000)])
    assert await balance(wiring) == {"base": 0, "tier": 0}


async def test_a_return_of_a_purchase_that_earned_nothing_posts_nothing(wiring: Wiring) -> None:
    await post_decisions(
        wiring.ledger, wiring.rules, [withheld("M1", 1), returned("M1", 2, 1, 0, 1000)]
    )
    assert await balance(wiring) == {}
    assert await wiring.entries.head("account:M1") == 0


async def test_batches_of_one_and_of_many_give_the_same_digest(tmp_path: Path) -> None:
    facts = [
        decision
        for seq in range(1, 40, 2)
        for member in ("M1", "M2", "M3")
        for decision in (
            granted(member, seq, points=seq * 7),
            returned(member, seq + 1, seq, 0, 333),
        )
    ]
    digests = []
    for size in (1, 7, len(facts)):
        wiring = wire(StoreSettings("sqlite", f"sqlite:{tmp_path / str(size)}"), TestClock())
        await wiring.prepare()
        for start in range(0, len(facts), size):
            await post_decisions(wiring.ledger, wiring.rules, facts[start : start + size])
        digests.append([line async for line in audit.digest_lines(wiring)])
        assert await audit.findings(wiring) == []
        await wiring.close()
    assert digests[0] == digests[1] == digests[2]
    assert len(digests[0]) == 6


async def test_a_rebuilt_snapshot_equals_the_one_it_replaces(wiring: Wiring) -> None:
    for seq in range(1, 41):
        await post_decisions(wiring.ledger, wiring.rules, [granted("M1", seq), granted("M2", seq)])
    before = await balance(wiring)
    assert await rebuild(wiring) == 2
    snapshot = await wiring.ledger.snapshot("M1")
    assert snapshot is not None
    assert (snapshot.seq, snapshot.state.balances) == (40, before)
    assert await audit.findings(wiring) == []


async def test_a_balance_as_of_a_past_time_never_changes(wiring: Wiring, clock: TestClock) -> None:
    second = 1_000_000
    begin = clock.now
    for seq in range(1, 9):
        await post_decisions(wiring.ledger, wiring.rules, [granted("M1", seq)])
        clock.now += 100 * second
    past = [begin - 1, begin, begin + 250 * second, begin + 700 * second]
    found = [await queries.balances_as_of(wiring.entries, "M1", at, clock) for at in past]
    assert [b.wallets.get("base") for b in found] == [None, 12, 36, 96]
    await post_decisions(wiring.ledger, wiring.rules, [granted("M1", 9)])
    again = [await queries.balances_as_of(wiring.entries, "M1", at, clock) for at in past]
    assert again == found


async def test_the_clock_going_back_does_not_reorder_booking_times(
    wiring: Wiring, clock: TestClock
) -> None:
    await post_decisions(wiring.ledger, wiring.rules, [granted("M1", 1)])
    first = clock.now
    clock.now -= 5_000_000
    await post_decisions(wiring.ledger, wiring.rules, [granted("M1", 2)])
    facts = await wiring.entries.read("account:M1")
    assert [fact.posted_at for fact in facts] == [first, first]
