"""Redemption at a till: once, idempotent, undone in time; and guessing."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from contracts.vouchers import Worth
from kit.clock import DAY, SECOND
from kit.errors import ServiceError
from services.points.domain.vouchers import Basket
from services.points.vouchers import audit, commands, duties, queries
from services.points.vouchers.commands import Caller
from services.points.vouchers.issuing import issue
from services.points.vouchers.wiring import Policy, Vouchers
from tests.services.points.vouchers.making import (
    BASKET,
    IMPORTED,
    TEN_OFF,
    TILL,
    code_of,
    define,
    facts_of,
    given,
    given_code,
)
from tests.services.starting import TestClock

UNKNOWN = "363V-YZ2P-7JN0-P9YJ-W7MM"


async def test_of_a_hundred_tills_at_once_one_redeems_the_voucher(
    pool: Vouchers, other: Vouchers
) -> None:
    await define(pool)
    issued = await given(pool)
    code = await code_of(pool, issued)
    tills = [
        commands.redeem(
            vouchers, Caller(f"till-{number}", "north"), code, f"k{number}", basket=BASKET
        )
        for number, vouchers in enumerate((pool, other) * 50)
    ]
    outcomes = await asyncio.gather(*tills, return_exceptions=True)
    refused = [one for one in outcomes if isinstance(one, ServiceError)]
    assert Counter(error.code for error in refused) == {"voucher_redeemed": 99}
    assert set(refused[0].facts) == {"redeemed_at"}
    assert await facts_of(pool, issued.voucher_id) == ["VoucherIssued", "VoucherRedeemed"]
    assert await audit.findings(pool) == []


async def test_the_same_key_again_gets_the_same_answer(
    pool: Vouchers, other: Vouchers, clock: TestClock
) -> None:
    await define(pool)
    code = await given_code(pool)
    first = await commands.redeem(pool, TILL, code, "k1", basket=BASKET, till="t1")
    clock.now += 5 * SECOND
    again = await commands.redeem(other, TILL, code, "k1", basket=BASKET, till="t1")
    assert (first.repeated, again.repeated) == (False, True)
    assert (first.fact, first.at) == (again.fact, again.at)
    assert (first.fact.discount, first.fact.remaining, first.fact.used) == (1000, 0, 1000)
    with pytest.raises(ServiceError, match="idempotency_key_reused"):
        await commands.redeem(pool, TILL, code, "k1", basket=BASKET, till="t2")
    with pytest.raises(ServiceError, match="voucher_redeemed"):
        await commands.redeem(pool, Caller("till-2", "north"), code, "k2", basket=BASKET)


async def test_two_partners_may_use_the_same_key(pool: Vouchers) -> None:
    await define(pool)
    code = await given_code(pool)
    await commands.redeem(pool, TILL, code, "k1", basket=BASKET)
    with pytest.raises(ServiceError, match="voucher_redeemed"):
        await commands.redeem(pool, Caller("till-1", "south"), code, "k1", basket=BASKET)


async def test_a_voucher_for_use_in_parts_is_used_up_to_the_last_unit(
    pool: Vouchers, other: Vouchers
) -> None:
    await define(pool, replace(TEN_OFF, partial=True))
    issued = await given(pool)
    code = await code_of(pool, issued)
    tills = [
        commands.redeem(vouchers, TILL, code, f"k{number}", basket=Basket(99, "USD"))
        for number, vouchers in enumerate((pool, other) * 10)
    ]
    outcomes = await asyncio.gather(*tills, return_exceptions=True)
    used = [one.fact.used for one in outcomes if not isinstance(one, BaseException)]
    assert sorted(used) == [10, *[99] * 10]
    assert await audit.findings(pool) == []


async def test_an_undone_redemption_can_be_made_again_with_another_key_only(
    pool: Vouchers, other: Vouchers
) -> None:
    await define(pool)
    issued = await given(pool)
    code = await code_of(pool, issued)
    done = await commands.redeem(pool, TILL, code, "k1", basket=BASKET)
    for vouchers in (pool, other):
        voucher = await commands.undo(vouchers, TILL, issued.voucher_id, done.fact.redemption_id)
        assert (voucher.status, voucher.remaining) == ("open", 1000)
    with pytest.raises(ServiceError, match="redemption_undone"):
        await commands.redeem(pool, TILL, code, "k1", basket=BASKET)
    await commands.redeem(other, TILL, code, "k2", basket=BASKET)
    assert await facts_of(pool, issued.voucher_id) == [
        "VoucherIssued",
        "VoucherRedeemed",
        "VoucherRedemptionUndone",
        "VoucherRedeemed",
    ]


async def test_an_undo_comes_too_late_after_the_set_time(pool: Vouchers, clock: TestClock) -> None:
    await define(pool)
    issued = await given(pool)
    done = await commands.redeem(pool, TILL, await code_of(pool, issued), "k", basket=BASKET)
    clock.now += pool.policy.undo_within + 1
    with pytest.raises(ServiceError, match="undo_too_late"):
        await commands.undo(pool, TILL, issued.voucher_id, done.fact.redemption_id)
    assert await facts_of(pool, issued.voucher_id) == ["VoucherIssued", "VoucherRedeemed"]


async def test_a_cancelled_voucher_is_void_and_cancelling_again_changes_nothing(
    pool: Vouchers, other: Vouchers
) -> None:
    await define(pool)
    issued = await given(pool)
    for vouchers in (pool, other):
        assert (await commands.cancel(vouchers, issued.voucher_id, "why", "ann")).status == (
            "cancelled"
        )
    with pytest.raises(ServiceError, match="voucher_cancelled"):
        await commands.cancel(pool, issued.voucher_id, "another why", "ann")
    with pytest.raises(ServiceError, match="voucher_cancelled"):
        await commands.redeem(pool, TILL, await code_of(pool, issued), "k", basket=BASKET)
    assert await facts_of(pool, issued.voucher_id) == ["VoucherIssued", "VoucherCancelled"]


async def test_what_is_over_is_refused_before_the_duty_and_expired_by_it_once(
    pool: Vouchers, other: Vouchers, clock: TestClock
) -> None:
    await define(pool, replace(TEN_OFF, valid_days=1))
    issued = [await given(pool, f"M{number}") for number in range(5)]
    used = await commands.redeem(pool, TILL, await code_of(pool, issued[0]), "k", basket=BASKET)
    expires_at = clock.now + DAY
    clock.now = expires_at - 1
    assert await duties.expire_due(pool, clock.now, 100) == 0
    clock.now = expires_at
    with pytest.raises(ServiceError, match="voucher_expired"):
        await commands.redeem(pool, TILL, await code_of(pool, issued[1]), "k", basket=BASKET)
    assert await facts_of(pool, issued[1].voucher_id) == ["VoucherIssued"]
    clock.now += 3 * DAY
    assert await duties.expire_due(pool, clock.now, 3) == 3
    assert await duties.expire_due(other, clock.now, 100) == 1
    assert await duties.expire_due(pool, clock.now, 100) == 0
    held = await queries.of_member(pool, "M1", 10, None)
    assert [(one.voucher.status, one.voucher.ended_at) for one in held] == [("expired", expires_at)]
    assert used.voucher.status == "redeemed"
    assert await audit.findings(pool) == []


async def test_a_clock_that_goes_back_brings_no_expired_voucher_back(
    pool: Vouchers, clock: TestClock
) -> None:
    await define(pool, replace(TEN_OFF, valid_days=1))
    code = await given_code(pool)
    clock.now += DAY
    await duties.expire_due(pool, clock.now, 10)
    clock.now -= DAY // 2
    with pytest.raises(ServiceError, match="voucher_expired"):
        await commands.redeem(pool, TILL, code, "k", basket=BASKET)


async def test_views_that_are_dropped_are_folded_again_as_they_were(
    pool: Vouchers, stores: Any, clock: TestClock
) -> None:
    await define(pool, replace(TEN_OFF, valid_days=1, partial=True))
    await define(pool, IMPORTED, "printed")
    await commands.import_codes(pool, "printed", ["PRINTED-1", "PRINTED-2"], "mia")
    codes = [await given_code(pool) for _ in range(4)]
    codes.append(await code_of(pool, await given(pool, "M1", "printed")))
    await commands.redeem(pool, TILL, codes[0], "k", basket=Basket(300, "USD"))
    held = await queries.of_member(pool, "M1", 10, None)
    counts = (await queries.recount(pool, 0)).series
    assert await audit.rebuild(pool) == 2 + 6 + 1 + 1
    assert await queries.of_member(pool, "M1", 10, None) == held
    assert (await queries.recount(pool, 1)).series == counts
    assert sorted(one.code for one in held) == sorted(codes)
    assert await audit.findings(pool) == []
    assert [line async for line in audit.digest_lines(pool)] == [
        "vouchers printed free 1 0",
        "vouchers printed open 1 1000",
        "vouchers s open 4 3700",
    ]
    clock.now += DAY
    assert await duties.expire_due(pool, clock.now, 100) == 4


class CountedReads:
    """A journal and views that count what they are asked."""

    def __init__(self, inner: Any, calls: Counter[str]) -> None:
        self._inner, self._calls = inner, calls

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._inner, name)
        if name not in ("read", "read_many", "find", "head", "load", "save", "append"):
            return attribute

        async def counted(*arguments: Any, **options: Any) -> Any:
            self._calls[name] += 1
            return await attribute(*arguments, **options)

        return counted


def counting(pool: Vouchers) -> Counter[str]:
    """From now on, what the store is asked."""
    calls: Counter[str] = Counter()
    pool.journal, pool.views = CountedReads(pool.journal, calls), CountedReads(pool.views, calls)
    for streams in (pool.series, pool.vouchers, pool.slices, pool.requests):
        streams.journal, streams.views = pool.journal, pool.views
    return calls


async def test_an_unknown_a_foreign_and_an_expired_code_cost_the_same_work(
    pool: Vouchers, clock: TestClock
) -> None:
    await define(pool, replace(TEN_OFF, valid_days=1))
    await define(pool, replace(TEN_OFF, partners=("south",)), "foreign")
    await define(pool, IMPORTED, "printed")
    await commands.import_codes(pool, "printed", ["PRINTED-1"], "mia")
    cancelled = await given(pool)
    await commands.cancel(pool, cancelled.voucher_id, "why", "ann")
    codes = {
        "voucher_expired": await given_code(pool),
        "voucher_cancelled": await code_of(pool, cancelled),
        "foreign": await code_of(pool, await issue(pool, "foreign", "M1", "k")),
        "unknown": UNKNOWN,
        "unknown and short": "NOTHING-HERE",
        "waiting": "PRINTED-1",
    }
    clock.now += 2 * DAY
    await refused(pool, list(codes.values()))  # what is cached at first is cached for all
    calls = counting(pool)
    work: dict[str, dict[str, int]] = {}
    for name, code in codes.items():
        calls.clear()
        (error,) = await refused(pool, [code])
        assert error.code == (name if name.startswith("voucher_") else "voucher_unknown")
        work[name] = dict(calls)
    assert all(cost == {"load": 2, "read": 1, "read_many": 1, "save": 1} for cost in work.values())


async def refused(pool: Vouchers, codes: Sequence[str]) -> list[ServiceError]:
    """Why each of the codes is refused."""
    errors = []
    for code in codes:
        with pytest.raises(ServiceError) as caught:
            await commands.validate(pool, TILL, code, BASKET, None)
        errors.append(caught.value)
    return errors


async def test_a_typing_mistake_is_told_at_once_and_is_no_guess(pool: Vouchers) -> None:
    calls = counting(pool)
    errors = await refused(pool, [UNKNOWN.replace("7JN0", "7JNO").replace("W7", "7W")] * 50)
    assert {error.code for error in errors} == {"code_mistyped"}
    assert calls == {}


async def test_a_caller_that_guesses_is_refused_for_a_while_in_every_process(
    pool: Vouchers, other: Vouchers, clock: TestClock
) -> None:
    await define(pool)
    code = await given_code(pool)
    pool.policy = other.policy = Policy(most_guesses=5, guess_seconds=60, block_seconds=120)
    with capture_logs() as logs:
        errors = await refused(pool, [UNKNOWN] * 3) + await refused(other, [UNKNOWN] * 3)
    assert [error.code for error in errors] == ["voucher_unknown"] * 5 + ["too_many_guesses"]
    assert errors[-1].facts["retry_after_seconds"] == 120
    assert [line["event"] for line in logs] == [
        *["voucher_code_unknown"] * 5,
        "voucher_guesses_blocked",
    ]
    assert UNKNOWN not in str(logs)
    with pytest.raises(ServiceError, match="too_many_guesses"):
        await commands.redeem(pool, TILL, code, "k", basket=BASKET)
    await commands.redeem(pool, Caller("till-2", "north"), code, "k", basket=BASKET)
    clock.now += 120 * SECOND
    assert [error.code for error in await refused(other, [code])] == ["voucher_redeemed"]


async def test_after_a_block_counting_begins_anew(pool: Vouchers, clock: TestClock) -> None:
    pool.policy = Policy(most_guesses=3, guess_seconds=600, block_seconds=60)
    await refused(pool, [UNKNOWN] * 3)
    clock.now += 60 * SECOND
    errors = await refused(pool, [UNKNOWN] * 4)
    assert [error.code for error in errors] == ["voucher_unknown"] * 3 + ["too_many_guesses"]


async def test_of_a_hundred_guesses_at_once_no_more_are_answered_than_one_after_the_other(
    pool: Vouchers, other: Vouchers
) -> None:
    await define(pool)
    pool.policy = other.policy = Policy(most_guesses=5)
    guesses = [
        commands.validate(vouchers, TILL, UNKNOWN, BASKET, None) for vouchers in (pool, other) * 50
    ]
    outcomes = await asyncio.gather(*guesses, return_exceptions=True)
    counts = Counter(error.code for error in outcomes if isinstance(error, ServiceError))
    assert counts == {"voucher_unknown": 5, "too_many_guesses": 95}


async def test_a_till_that_is_shown_spent_vouchers_all_day_is_not_taken_for_a_guesser(
    pool: Vouchers,
) -> None:
    await define(pool)
    code = await given_code(pool)
    await commands.redeem(pool, TILL, code, "k", basket=BASKET)
    errors = await refused(pool, [code] * 50)
    assert {error.code for error in errors} == {"voucher_redeemed"}


async def test_a_partner_that_is_named_later_may_redeem_what_was_issued_before(
    pool: Vouchers, other: Vouchers
) -> None:
    terms = replace(TEN_OFF, worth=Worth("product", item="mug"), partners=("south",))
    await define(pool, terms)
    code = await given_code(pool)
    with pytest.raises(ServiceError, match="voucher_unknown"):
        await commands.redeem(other, TILL, code, "k")
    await define(pool, replace(terms, partners=("north", "south")))
    assert (await commands.redeem(other, TILL, code, "k")).fact.discount is None
