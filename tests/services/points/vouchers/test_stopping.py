"""A process that stops at any of its writes: whoever comes next ends in the same place."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from contracts.envelope import Fact
from kit.bus.port import Received
from kit.bus.triage import Envelope
from kit.clock import DAY
from kit.errors import Unavailable
from kit.views.port import Document
from services.points.domain.vouchers import Basket
from services.points.vouchers import audit, commands, duties, queries
from services.points.vouchers.issuing import issue
from services.points.vouchers.views import CODES, VOUCHERS
from services.points.vouchers.wiring import Vouchers, topic_of
from tests.services.points.vouchers.making import (
    BASKET,
    IMPORTED,
    TEN_OFF,
    TILL,
    code_of,
    define,
    given,
)
from tests.services.starting import TestClock


class Dying:
    """A journal or views of a process that stops at its nth write, having written or not."""

    def __init__(self, inner: Any, left: list[int], *, written: bool) -> None:
        self._inner, self._left, self._written = inner, left, written

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._inner, name)
        if name not in ("append", "save"):
            return attribute

        async def once_more(*arguments: Any) -> Any:
            self._left[0] -= 1
            if self._left[0] < 0 or (self._left[0] == 0 and not self._written):
                raise Unavailable("store", "stopped")
            answer = await attribute(*arguments)
            if self._left[0] == 0:
                raise Unavailable("store", "stopped")
            return answer

        return once_more


def dies_at(pool: Vouchers, write: int, *, written: bool) -> None:
    """From now on the process has but so many writes left."""
    left = [write]
    pool.journal = Dying(pool.journal, left, written=written)
    pool.views = Dying(pool.views, left, written=written)
    for streams in (pool.series, pool.vouchers, pool.slices, pool.requests):
        streams.journal, streams.views = pool.journal, pool.views


async def survives(
    dying: Vouchers, living: Vouchers, write: int, what: Callable[[Vouchers], Awaitable[Any]]
) -> None:
    """Begin in one process, and do the same again in another."""
    dies_at(dying, write // 2 + 1, written=bool(write % 2))
    try:
        await what(dying)
    except Unavailable:
        pass
    else:
        assert write // 2 >= 2, "a use case without a write is no test"
    await what(living)


@pytest.mark.parametrize("write", range(12))
@pytest.mark.parametrize("terms", [TEN_OFF, IMPORTED], ids=["generated", "imported"])
async def test_issuing_again_after_a_stop_at_any_write_is_one_voucher(
    pool: Vouchers, other: Vouchers, terms: Any, write: int
) -> None:
    await define(pool, terms)
    if terms is IMPORTED:
        await commands.import_codes(pool, "s", ["PRINTED-1", "PRINTED-2"], "mia")
    await survives(other, pool, write, lambda vouchers: issue(vouchers, "s", "M1", "k1"))
    assert await audit.findings(pool) == []
    assert (await queries.recount(pool, 0)).series["s"]["open"].number == 1
    assert len(await queries.of_member(pool, "M1", 10, None)) == 1


@pytest.mark.parametrize("write", range(6))
async def test_redeeming_again_after_a_stop_at_any_write_is_one_redemption(
    pool: Vouchers, other: Vouchers, write: int
) -> None:
    await define(pool, replace(TEN_OFF, valid_days=1, partial=True))
    code = await code_of(pool, await given(pool))

    async def redeem(vouchers: Vouchers) -> None:
        done = await commands.redeem(vouchers, TILL, code, "k", basket=Basket(300, "USD"))
        assert done.fact.remaining == 700

    await survives(other, pool, write, redeem)
    assert await audit.findings(pool) == []
    counts = (await queries.recount(pool, 0)).series["s"]
    assert counts == {"open": queries.Count(1, 700)}


@pytest.mark.parametrize("write", range(6))
async def test_importing_again_after_a_stop_at_any_write_loses_no_code(
    pool: Vouchers, other: Vouchers, write: int
) -> None:
    await define(pool, IMPORTED)
    codes = [f"PRINTED-{number}" for number in range(9)]
    await survives(
        other, pool, write, lambda vouchers: commands.import_codes(vouchers, "s", codes, "mia")
    )
    assert await audit.findings(pool) == []
    issued = [await code_of(pool, await given(pool)) for _ in codes]
    assert sorted(issued) == codes


@pytest.mark.parametrize("write", range(4))
async def test_the_duty_run_again_after_a_stop_at_any_write_expires_each_once(
    pool: Vouchers, other: Vouchers, clock: TestClock, write: int
) -> None:
    await define(pool, replace(TEN_OFF, valid_days=1))
    for number in range(3):
        await given(pool, f"M{number}")
    clock.now += DAY
    await survives(other, pool, write, lambda vouchers: duties.expire_due(vouchers, clock.now, 100))
    assert await duties.expire_due(pool, clock.now, 100) == 0
    assert (await queries.recount(pool, 0)).series["s"]["expired"].number == 3
    assert await audit.findings(pool) == []


async def test_documents_that_were_never_written_are_mended_by_the_facts_that_travel(
    pool: Vouchers, other: Vouchers
) -> None:
    await define(pool)
    issued = await given(pool)
    await pool.views.delete(VOUCHERS, [issued.voucher_id])
    assert await queries.of_member(other, "M1", 10, None) == []
    facts = await pool.journal.read(pool.vouchers.stream(issued.voucher_id))
    await duties.refresh(other, [envelope(fact) for fact in facts])
    (held,) = await queries.of_member(other, "M1", 10, None)
    assert held.voucher == issued.voucher


def envelope(fact: Fact) -> Envelope:
    topic = topic_of(fact)
    assert topic == "points.vouchers.v1"
    return Envelope(fact, Received(topic, 0, 0, fact.owner, b"", 0))


async def test_budgets_and_requests_stay_in_the_journal(pool: Vouchers) -> None:
    await define(pool)
    await define(pool, IMPORTED, "printed")
    await commands.import_codes(pool, "printed", ["PRINTED-1"], "mia")
    await given(pool)
    await given(pool, "M1", "printed")
    topics = {}
    async for facts in pool.journal.scan():
        topics |= {fact.type: topic_of(fact) for fact in facts}
    assert sorted(name for name, topic in topics.items() if topic is None) == [
        "VoucherBudgetTaken",
        "VoucherCodeChosen",
    ]


async def test_no_fact_and_no_document_holds_a_generated_code(pool: Vouchers) -> None:
    await define(pool)
    issued = await given(pool)
    code = (await code_of(pool, issued)).replace("-", "").encode()
    await commands.redeem(pool, TILL, code.decode(), "k", basket=BASKET)
    async for facts in pool.journal.scan():
        assert all(code not in bytes(fact.body) and code not in fact.key.encode() for fact in facts)
    documents = await pool.views.load(VOUCHERS, [issued.voucher_id])
    assert code not in documents[issued.voucher_id].body


async def test_the_audit_names_a_document_that_was_changed_and_a_code_that_leads_nowhere(
    pool: Vouchers,
) -> None:
    await define(pool)
    await define(pool, IMPORTED, "printed")
    await commands.import_codes(pool, "printed", ["PRINTED-1"], "mia")
    issued = await given(pool)
    (document,) = (await pool.views.load(VOUCHERS, [issued.voucher_id])).values()
    body = document.body.replace(b'"remaining":1000', b'"remaining":9000')
    assert body != document.body
    await pool.views.save(VOUCHERS, [Document(document.id, document.version, body, document.index)])
    printed = pool.keys.voucher_id("PR1NTED1")
    await pool.views.save(CODES, [Document(printed, 1, msgspec.json.encode("PRINTED-2"))])
    assert sorted(await audit.findings(pool)) == sorted(
        [
            f"voucher:{issued.voucher_id}: the document at 1 is not its fold",
            f"voucher:{printed}: its code does not lead to it",
        ]
    )
