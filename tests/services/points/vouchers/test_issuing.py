"""Issuing: once for each key, never more than the budget, whoever asks at once or stops halfway."""

import asyncio
import dataclasses
from collections import Counter

import msgspec
import pytest
from msgspec.structs import replace

from contracts.vouchers import VoucherBudgetTaken, VoucherCodeChosen
from kit.clock import DAY
from kit.errors import ServiceError
from kit.journal.port import Draft
from services.points.domain.codes import parse
from services.points.domain.voucher_series import Choose, Take, refusal
from services.points.vouchers import audit, commands, duties, queries
from services.points.vouchers.deciding import choose, take
from services.points.vouchers.issuing import _wanted, issue
from services.points.vouchers.views import VOUCHERS, slice_owner
from services.points.vouchers.wiring import Vouchers
from tests.services.points.vouchers.making import (
    IMPORTED,
    TEN_OFF,
    code_of,
    define,
    facts_of,
    given,
)
from tests.services.starting import TestClock

CODES = [f"PRINTED-{number:04}" for number in range(40)]


async def test_the_same_key_again_is_the_same_voucher_also_when_the_series_is_closed(
    pool: Vouchers, other: Vouchers
) -> None:
    await define(pool)
    first = await issue(pool, "s", "M1", "k1")
    await define(pool, replace(TEN_OFF, closed=True))
    again = await issue(other, "s", "M1", "k1")
    assert (first.repeated, again.repeated) == (False, True)
    assert first.voucher_id == again.voucher_id
    assert await code_of(pool, first) == await code_of(other, again)
    assert await facts_of(pool, first.voucher_id) == ["VoucherIssued"]
    with pytest.raises(ServiceError, match="series_closed"):
        await issue(pool, "s", "M1", "k2")


async def test_a_key_of_another_member_is_a_conflict_and_changes_nothing(pool: Vouchers) -> None:
    await define(pool)
    first = await issue(pool, "s", "M1", "k1")
    with pytest.raises(ServiceError, match="idempotency_key_reused"):
        await issue(pool, "s", "M2", "k1")
    assert await queries.of_member(pool, "M2", 10, None) == []
    assert await facts_of(pool, first.voucher_id) == ["VoucherIssued"]
    assert await audit.findings(pool) == []


async def test_nothing_is_issued_from_what_is_unknown_or_over(
    pool: Vouchers, clock: TestClock
) -> None:
    with pytest.raises(ServiceError, match="series_unknown"):
        await issue(pool, "s", "M1", "k1")
    await define(pool, replace(TEN_OFF, valid_until=clock.now + DAY))
    clock.now += DAY
    with pytest.raises(ServiceError, match="series_over"):
        await issue(pool, "s", "M1", "k1")


async def test_a_code_chosen_for_one_member_is_not_given_to_another_by_the_same_key(
    pool: Vouchers,
) -> None:
    await define(pool, IMPORTED)
    await commands.import_codes(pool, "s", CODES[:2], "mia")
    request = pool.keys.request("s", "k1")
    chosen = VoucherCodeChosen("s", "M1", request, pool.keys.voucher_id(parse(CODES[0])))
    await choose(pool, Choose(chosen, None))
    with pytest.raises(ServiceError, match="idempotency_key_reused"):
        await issue(pool, "s", "M2", "k1")
    issued = await issue(pool, "s", "M1", "k1")
    assert await code_of(pool, issued) == CODES[0]


@pytest.mark.parametrize("budget", [7, 120, 130])
async def test_of_many_who_ask_at_once_exactly_as_many_get_one_as_the_budget_allows(
    pool: Vouchers, other: Vouchers, budget: int
) -> None:
    await define(pool, replace(TEN_OFF, most_vouchers=budget))
    asked = [
        issue(vouchers, "s", f"M{number}", f"k{number}")
        for number in range(budget + 20)
        for vouchers in (pool, other)
    ]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    issued = [one.voucher_id for one in outcomes if not isinstance(one, BaseException)]
    refused = [one for one in outcomes if isinstance(one, ServiceError)]
    assert len(set(issued)) == budget
    assert {error.code for error in refused} == {"voucher_budget_spent"}
    assert refused[0].facts["vouchers"] == budget
    assert len(issued) + len(refused) == len(asked)
    assert await audit.findings(pool) == []
    await define(pool, replace(TEN_OFF, most_vouchers=budget + 1))
    await issue(pool, "s", "M-late", "late")
    with pytest.raises(ServiceError, match="voucher_budget_spent"):
        await issue(other, "s", "M-later", "later")


async def test_one_key_asked_a_hundred_times_at_once_is_one_voucher(
    pool: Vouchers, other: Vouchers
) -> None:
    await define(pool)
    await define(pool, IMPORTED, "printed")
    await commands.import_codes(pool, "printed", CODES, "mia")
    for series_id in ("s", "printed"):
        asked = [
            issue(vouchers, series_id, "M1", "k") for _ in range(50) for vouchers in (pool, other)
        ]
        issued = await asyncio.gather(*asked)
        assert len({one.voucher_id for one in issued}) == 1
    assert await audit.findings(pool) == []
    counts = (await queries.recount(pool, 0)).series
    assert counts["s"]["open"].number == 1
    assert counts["printed"]["open"].number == 1


async def test_every_imported_code_is_issued_once_and_then_none(
    pool: Vouchers, other: Vouchers
) -> None:
    await define(pool, IMPORTED)
    receipts = await commands.import_codes(pool, "s", CODES, "mia")
    assert Counter(one.status for one in receipts) == {"imported": 40}
    asked = [
        issue(vouchers, "s", f"M{number}", f"k{number}")
        for number in range(50)
        for vouchers in (pool, other)
    ]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    issued = {one.voucher_id: one for one in outcomes if not isinstance(one, BaseException)}
    refused = [one for one in outcomes if isinstance(one, ServiceError)]
    assert {await code_of(pool, one) for one in issued.values()} == set(CODES)
    assert {error.code for error in refused} == {"voucher_codes_spent"}
    assert await audit.findings(other) == []


async def test_an_import_tells_of_each_code_what_became_of_it(pool: Vouchers) -> None:
    await define(pool)
    await define(pool, IMPORTED, "printed")
    await define(pool, IMPORTED, "elsewhere")
    ours = await code_of(pool, await given(pool))
    await commands.import_codes(pool, "elsewhere", ["ELSEWHERE-1"], "mia")
    codes = ["PRINTED-1", "printed 1", "x", "ELSEWHERE-1", ours, ours[:-1] + "?"]
    first = await commands.import_codes(pool, "printed", codes, "mia")
    refused = ("refused", "code_format"), ("refused", "code_taken")
    assert [(one.status, one.error and one.error.code) for one in first] == [
        ("imported", None),
        ("duplicate", None),
        refused[0],
        refused[1],
        refused[1],
        refused[0],
    ]
    again = await commands.import_codes(pool, "printed", ["PRINTED-1"], "mia")
    assert [one.status for one in again] == ["duplicate"]
    with pytest.raises(ServiceError, match="codes_are_generated"):
        await commands.import_codes(pool, "s", ["PRINTED-9"], "mia")
    assert await audit.findings(pool) == []


async def take_only(pool: Vouchers, member_id: str, key: str, place: int = 0) -> None:
    """What is left of an issue whose writer stops after its place was taken."""
    series = (await pool.series.heads(["s"], fresh=True))["s"].state
    assert series.terms is not None
    wanted = _wanted(pool, "s", series, series.terms, member_id, key, None)
    barred = refusal("s", series.terms, pool.clock())
    wanted = replace(wanted, slice=place)
    result = await take(pool, slice_owner("s", place), Take(wanted, 100, barred))
    assert result.error is None


async def test_an_issue_that_was_cut_off_is_finished_by_the_retry(
    pool: Vouchers, other: Vouchers, clock: TestClock
) -> None:
    await define(pool, replace(TEN_OFF, most_vouchers=1))
    await take_only(pool, "M1", "k1")
    taken_at, clock.now = clock.now, clock.now + 5
    assert await audit.findings(pool) == ["budget s.0: 1 taken, 0 issued"]
    done = await issue(other, "s", "M1", "k1")
    assert done.voucher.issued_at == taken_at
    assert await audit.findings(pool) == []
    with pytest.raises(ServiceError, match="voucher_budget_spent"):
        await issue(pool, "s", "M2", "k2")


async def test_an_issue_that_was_cut_off_is_finished_by_the_duty_and_only_once(
    pool: Vouchers, other: Vouchers, clock: TestClock
) -> None:
    await define(pool, replace(TEN_OFF, most_vouchers=1))
    await take_only(pool, "M1", "k1")
    taken_at, clock.now = clock.now, clock.now + 5
    assert await duties.settle(other) == 1
    assert await duties.settle(pool) == 0
    (held,) = await queries.of_member(pool, "M1", 10, None)
    assert held.voucher.issued_at == taken_at
    assert (await issue(pool, "s", "M1", "k1")).voucher_id == held.voucher_id
    assert await audit.findings(pool) == []


async def test_a_place_that_one_request_took_in_two_slices_comes_back(pool: Vouchers) -> None:
    await define(pool, replace(TEN_OFF, most_vouchers=128))
    await take_only(pool, "M1", "k1", 0)
    await take_only(pool, "M1", "k1", 1)
    await issue(pool, "s", "M1", "k1")
    assert len(await audit.findings(pool)) == 1
    await duties.settle(pool)
    assert await audit.findings(pool) == []
    for number in range(127):
        await issue(pool, "s", f"N{number}", f"n{number}")
    with pytest.raises(ServiceError, match="voucher_budget_spent"):
        await issue(pool, "s", "M2", "k2")


async def test_a_code_whose_document_is_behind_is_not_issued_twice(
    pool: Vouchers, other: Vouchers
) -> None:
    await define(pool, IMPORTED)
    await commands.import_codes(pool, "s", ["PRINTED-1"], "mia")
    before = (await pool.views.load(VOUCHERS, [pool.keys.voucher_id("PR1NTED1")])).popitem()[1]
    first = await issue(pool, "s", "M1", "k1")
    await pool.views.delete(VOUCHERS, [before.id])
    await pool.views.save(VOUCHERS, [dataclasses.replace(before, version=0)])
    with pytest.raises(ServiceError, match="voucher_codes_spent"):
        await issue(other, "s", "M2", "k2")
    (held,) = await queries.of_member(other, "M1", 10, None)
    assert held.voucher_id == first.voucher_id
    assert await audit.findings(other) == []


async def test_the_budget_is_what_stands_in_the_journal(pool: Vouchers) -> None:
    await define(pool, replace(TEN_OFF, most_vouchers=1))
    issued = await given(pool)
    taken = VoucherBudgetTaken(replace(issued.voucher.terms, request="r2", voucher_id="v2"))
    body = msgspec.json.encode(taken)
    draft = Draft("voucher_budget:s.0", 2, "r2", b"", "VoucherBudgetTaken", 1, 1, body)
    await pool.journal.append([draft])
    assert await audit.findings(pool) == [
        "budget s.0: 2 taken, 1 issued",
        "budget s.0: 2 taken, more than it has",
    ]
