"""What time alone brings: found by its due time, the same however often and late it is done."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from contracts.envelope import Fact
from contracts.events import Done, RewardGranted
from contracts.points import PointsPosted
from kit.clock import DAY
from kit.settings import StoreSettings
from kit.views.port import Query
from services.points import audit, queries
from services.points.commands import body_of, carry_out, digest, post_decisions
from services.points.domain.moving import Receive, Send, transfer_key
from services.points.rebuild import rebuild
from services.points.views import DUE
from services.points.wiring import Wiring, wire
from tests.services.points.decisions import granted
from tests.services.starting import PROGRAMME, TestClock

LOTS = """
points:
  lots:
    - wallet: base
      activation: { after_days: 14 }
      expiry: { kind: rolling, days: 90 }
"""


@pytest.fixture
def programme(tmp_path: Path) -> Path:
    """Points open after 14 days and are good for 90."""
    file = tmp_path / "programme.yaml"
    file.write_text(PROGRAMME.read_text("utf-8") + LOTS, "utf-8")
    return file


@pytest.fixture
async def lots(store: StoreSettings, clock: TestClock, programme: Path) -> AsyncIterator[Wiring]:
    """A points service by that programme."""
    wired = wire(store, clock, programme)
    await wired.prepare()
    yield wired
    await wired.close()


async def facts_of(wiring: Wiring, owner: str) -> list[Fact]:
    return await wiring.entries.read(f"account:{owner}")


async def kinds(wiring: Wiring, owner: str = "M1") -> list[str]:
    return [body_of(fact).kind for fact in await facts_of(wiring, owner)]


async def due(wiring: Wiring) -> list[str]:
    found = await wiring.store.views.find(DUE, Query(order_by="due", lower=1))
    return [document.id for document in found]


async def posted(wiring: Wiring, *members: str, seq: int = 1) -> None:
    """Post a purchase for each, and follow the entries as the worker would."""
    await post_decisions(wiring.ledger, wiring.rules, [granted(m, seq) for m in members])
    for member in members:
        await wiring.follower.handle(await facts_of(wiring, member))


async def test_an_account_with_something_to_come_is_in_the_index(lots: Wiring) -> None:
    await posted(lots, "M1", "M2")
    assert await due(lots) == ["M1", "M2"]


async def test_points_open_and_expire_on_their_days_and_then_nothing_is_due(
    lots: Wiring, clock: TestClock
) -> None:
    await posted(lots, "M1")
    assert await lots.duties.run(13 * DAY) == 0
    assert await lots.duties.run(15 * DAY) == 1
    assert await kinds(lots) == ["earn", "activate"]
    assert await lots.duties.run(92 * DAY) == 1
    assert await kinds(lots) == ["earn", "activate", "expire"]
    assert (await due(lots), await audit.findings(lots)) == ([], [])


async def test_running_once_and_late_brings_the_same_facts_as_daily(
    lots: Wiring, clock: TestClock
) -> None:
    await posted(lots, "M1", "M2")
    for day in range(1, 100):
        await lots.duties.run(day * DAY)
        await lots.duties.run(day * DAY)
        if day == 50:
            assert await kinds(lots, "M2") == ["earn", "activate"]
    daily = [(f.occurred_at, body_of(f).kind) for f in await facts_of(lots, "M1")]
    await posted(lots, "M3")
    await lots.duties.run(99 * DAY)
    late = [(f.occurred_at, body_of(f).kind) for f in await facts_of(lots, "M3")]
    assert late == daily
    assert [kind for _, kind in late] == ["earn", "activate", "expire"]


async def test_a_balance_does_not_wait_for_the_duty(lots: Wiring) -> None:
    await posted(lots, "M1")
    for day, active, waiting, expired in ((13, 0, 12, 0), (15, 12, 0, 0), (92, 0, 0, 12)):
        found = await queries.balances(lots.ledger, lots.rules, "M1", day * DAY)
        base = next(each for each in found.buckets if each.wallet == "base")
        assert (base.active, base.pending, base.expired) == (active, waiting, expired)
    assert await kinds(lots) == ["earn"]


async def test_a_rebuild_finds_again_what_is_due(lots: Wiring) -> None:
    await posted(lots, "M1", "M2")
    await rebuild(lots)
    assert await due(lots) == ["M1", "M2"]
    assert await lots.duties.run(15 * DAY) == 2


async def test_a_transfer_that_nobody_takes_goes_back_with_its_expiry(
    lots: Wiring, clock: TestClock
) -> None:
    await posted(lots, "M1")
    await lots.duties.run(15 * DAY)
    send = Send("M1", "r1", "t1", "M2", "base", 5, 16 * DAY, 20 * DAY, "M1")
    await carry_out(lots.ledger, lots.rules.policy, send, "r1", digest("r1"))
    await lots.follower.handle(await facts_of(lots, "M1"))
    assert await audit.findings(lots) == []
    assert await lots.duties.run(21 * DAY) == 1
    assert await kinds(lots) == ["earn", "activate", "transfer_out", "transfer_back"]
    assert await kinds(lots, "M2") == ["transfer_declined"]
    assert (await lots.ledger.heads(["M1"]))["M1"].state.balances["base"] == 12
    assert await lots.duties.run(92 * DAY) == 1
    assert await audit.findings(lots) == []


async def test_what_follows_a_transfer_happens_when_it_did_and_not_when_it_is_noticed(
    lots: Wiring, clock: TestClock
) -> None:
    """A replay of an earlier year must not let the wall clock's years pass in its accounts."""
    await posted(lots, "M1")
    await lots.duties.run(15 * DAY)
    send = Send("M1", "r1", "t1", "M2", "base", 5, 16 * DAY, 30 * DAY, "M1")
    sent = await carry_out(lots.ledger, lots.rules.policy, send, "r1", digest("r1"))
    assert isinstance(sent.body, PointsPosted)
    assert sent.body.transfer is not None
    receive = Receive("M2", "M1", sent.body.transfer, 17 * DAY, "M2")
    key = transfer_key("t1")
    await carry_out(lots.ledger, lots.rules.policy, receive, key, digest(key))
    assert clock.now > 365 * DAY
    await lots.follower.handle(await facts_of(lots, "M2"))
    assert await kinds(lots) == ["earn", "activate", "transfer_out", "transfer_done"]
    assert [fact.occurred_at for fact in await facts_of(lots, "M1")][-1] == 17 * DAY


async def test_a_delivery_that_earns_opens_what_its_purchase_earned(
    store: StoreSettings, clock: TestClock, tmp_path: Path
) -> None:
    programme = tmp_path / "delivered.yaml"
    lots = "{ wallet: base, activation: { after_days: 90, on: delivered } }"
    section = f"\npoints:\n  lots:\n    - {lots}\n"
    programme.write_text(PROGRAMME.read_text("utf-8") + section, "utf-8")
    wiring = wire(store, clock, programme)
    await wiring.prepare()
    await post_decisions(wiring.ledger, wiring.rules, [granted("M1", 1)])
    delivery = granted("M1", 2)
    body = msgspec.json.decode(delivery.body, type=RewardGranted)
    told = replace(body, done=Done("delivered", about="act_1"))
    fact = replace(delivery, body=msgspec.Raw(msgspec.json.encode(told)))
    await post_decisions(wiring.ledger, wiring.rules, [fact])
    state = (await wiring.ledger.heads(["M1"]))["M1"].state
    await wiring.close()
    assert (state.balances["base"], state.pending["base"]) == (12, 12)
