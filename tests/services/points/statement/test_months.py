"""A month's statement adds up: whatever happened, however it is paged, whether written down."""

from asyncio import Runner
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.points import PointsPosted
from kit.clock import DAY
from kit.errors import ServiceError
from services.points.commands import body_of
from services.points.domain.monthly import Month, month_of
from services.points.domain.statement import Standing, changes, standing
from services.points.statements import MonthPage, month_page
from services.points.wiring import Wiring, wire
from tests.services.points.ledger.book import ZONE, moment
from tests.services.points.statement.histories import MIXES, START, Life
from tests.services.starting import TestClock, store_settings

encode = msgspec.json.encode
amounts = st.integers(1, 40)
what = st.one_of(
    st.tuples(st.just("earn"), amounts, st.sampled_from(MIXES)),
    st.tuples(st.just("late"), amounts, st.sampled_from((3, 40, 100))),
    st.tuples(st.just("return"), st.integers(0, 3), st.sampled_from((30, 100))),
    st.tuples(st.just("hold"), amounts, st.sampled_from((None, "mug"))),
    st.tuples(st.just("end"), st.sampled_from((None, 1, 5)), st.none()),
    st.tuples(st.just("send"), amounts, st.none()),
    st.tuples(st.just("back"), st.none(), st.none()),
    st.tuples(st.just("adjust"), st.sampled_from((-7, 9)), st.none()),
    st.tuples(st.just("pass"), st.none(), st.none()),
)
histories = st.lists(st.tuples(st.sampled_from((0, 0, 1, 6, 20, 45)), what), max_size=20)


async def live(life: Life, history: Any, clock: TestClock) -> None:
    """Let a history happen to a member with points; the clock of the machine goes along."""
    await life.earn(60, ("plain", "month"))
    for days, (kind, one, two) in history:
        life.now += days * DAY
        clock.now = life.now
        if kind == "earn":
            await life.earn(one, two)
        elif kind == "late":
            await life.earn(one, late=two * DAY)
        elif kind == "return":
            await life.give_back(one, two)
        elif kind == "hold":
            await life.hold(one, two)
        elif kind == "end":
            await life.end_hold(one)
        elif kind == "send":
            await life.send(one)
        elif kind == "back":
            await life.come_back()
        elif kind == "adjust":
            await life.adjust(one)
        else:
            await life.pass_time()


def months(until: int) -> list[Month]:
    """From before anything happened to the month that ``until`` is in."""
    found = [month_of(ZONE, "2025-09")]
    while found[-1].end <= until:
        year, month = divmod(found[-1].first.year * 12 + found[-1].first.month, 12)
        found.append(month_of(ZONE, f"{year}-{month + 1:02}"))
    return found


async def pages(life: Life, month: Month, most: int) -> list[MonthPage]:
    """All pages of a month."""
    found: list[MonthPage] = []
    while not found or found[-1].next is not None:
        start = found[-1].next if found else None
        args = (life.wiring.ledger, life.rules, life.owner, month, life.now, start, most)
        found.append(await month_page(*args))
        assert len(found) < 500
    return found


def adds_up(page: MonthPage) -> None:
    """Opening, then each line with its running balances, then closing; by kind the same."""
    now = dict(page.sums.opening)
    for line in page.lines:
        for wallet, change in changes(line.entry).items():
            now[wallet] = now[wallet].plus(change)
            assert now[wallet] == standing(line.entry, wallet)
    assert now == page.sums.closing
    for wallet, opening in page.sums.opening.items():
        for total in page.sums.totals:
            if total.wallet == wallet:
                opening = opening.plus(total.change)
        assert opening == page.sums.closing[wallet]


def nonzero(standings: Any) -> dict[str, Standing]:
    return {wallet: each for wallet, each in standings.items() if any(each)}


@dataclass
class Read:
    """What the statements of all months say."""

    lines: list[Any]
    closing: dict[str, Standing]


async def read_all(life: Life, most: int) -> Read:
    lines: list[Any] = []
    closing: dict[str, Standing] = {}
    for month in months(life.now):
        for page in await pages(life, month, most):
            adds_up(page)
            assert nonzero(page.sums.opening) == closing
            closing = nonzero(page.sums.closing)
            for line in page.lines:
                lines.append((month.name, line.seq, line.occurred_at, encode(line.entry)))
    return Read(lines, closing)


@pytest.fixture
def clock() -> TestClock:
    return TestClock(START)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Runner, Wiring, TestClock]]:
    """One store for all examples, each of which has an account of its own."""
    clock = TestClock(START)
    with Runner() as runner:
        wiring = wire(store_settings(tmp_path_factory.mktemp("months")), clock)
        runner.run(wiring.prepare())
        yield runner, wiring, clock
        runner.run(wiring.close())


owners = count(1)


@settings(max_examples=200, deadline=None)
@given(history=histories, most=st.sampled_from((1, 2, 3, 2_000)), rest=st.sampled_from((0, 9, 200)))
def test_every_month_of_any_history_adds_up_and_no_line_is_lost_or_repeated(
    shared: tuple[Runner, Wiring, TestClock], history: Any, most: int, rest: int
) -> None:
    runner, wiring, clock = shared
    life = Life(wiring, f"M{next(owners)}")

    async def check() -> None:
        clock.now = START
        await live(life, history, clock)
        life.now = clock.now = life.now + rest * DAY
        before = await read_all(life, most)
        await life.pass_time()
        after = await read_all(life, 2_000)
        assert before == after  # whether the duty ran changes nothing
        facts = await wiring.entries.read(f"account:{life.owner}")
        posted = [fact for fact in facts if fact.type == "PointsPosted"]
        assert [line[1] for line in after.lines] == [fact.seq for fact in posted]
        assert [line[3] for line in after.lines] == [encode(body_of(fact)) for fact in posted]

    runner.run(check())


@pytest.fixture
async def life(wiring: Wiring, clock: TestClock) -> Life:
    return Life(wiring, "M1")


def kinds(page: MonthPage) -> list[str]:
    return [line.entry.kind for line in page.lines]


async def read(life: Life, name: str, **more: Any) -> MonthPage:
    month = month_of(ZONE, name)
    return await month_page(life.wiring.ledger, life.rules, life.owner, month, life.now, **more)


async def test_a_line_on_the_first_moment_of_a_month_is_in_it_and_the_last_of_the_one_before(
    life: Life, clock: TestClock
) -> None:
    february = moment(2026, 2, 1)
    for at in (february - 1, february):
        life.now = clock.now = at
        await life.earn(10)
    assert (len((await read(life, "2026-01")).lines), len((await read(life, "2026-02")).lines)) == (
        1,
        1,
    )


async def test_a_late_activity_is_in_the_month_that_the_account_had_reached(
    life: Life, clock: TestClock
) -> None:
    await life.earn(10)
    life.now = clock.now = START + 20 * DAY
    await life.earn(20)
    closed = await read(life, "2026-01")
    await life.earn(5, late=20 * DAY)
    assert await read(life, "2026-01") == replace(closed, now=(await read(life, "2026-01")).now)
    page = await read(life, "2026-02")
    assert [line.entry.balances["base"] for line in page.lines] == [30, 35]
    assert page.lines[1].occurred_at == START
    assert page.sums.opening["base"] == Standing(10, 0, 0)


async def test_a_month_is_final_once_the_account_has_gone_on_after_it(
    life: Life, clock: TestClock
) -> None:
    await life.earn(10)
    life.now = clock.now = START + 20 * DAY
    assert not (await read(life, "2026-01")).final
    await life.earn(10)
    assert (await read(life, "2026-01")).final
    assert not (await read(life, "2026-02")).final


async def test_what_fell_due_is_on_the_statement_before_anybody_wrote_it_down(
    life: Life, clock: TestClock
) -> None:
    await life.earn(10, ("month",))
    life.now = clock.now = moment(2026, 3, 2)
    assert kinds(await read(life, "2026-02")) == []
    page = await read(life, "2026-03")
    assert kinds(page) == ["expire"]
    assert page.sums.closing["base"] == Standing(0, 0, 0)
    assert await life.wiring.entries.head("account:M1") == 1


async def test_what_fell_due_is_never_parted_by_a_page(life: Life, clock: TestClock) -> None:
    """Once it is written down, what is still to be written may come in another order."""
    await life.earn(10, ("month",))
    life.now = clock.now = moment(2026, 2, 27)
    await life.earn(10)
    await life.earn(20, ("later",))
    await life.hold(5, hours=1)
    life.now = clock.now = moment(2026, 2, 28, 18)
    first = await read(life, "2026-02", most=3)
    assert (kinds(first), first.next) == (["earn", "earn", "hold"], 5)
    second = await read(life, "2026-02", most=3, from_seq=5)
    assert (kinds(second), second.next) == (["release"], None)
    assert second.sums.opening == first.sums.closing


async def test_a_month_without_lines_closes_as_it_opened(life: Life, clock: TestClock) -> None:
    await life.earn(10)
    life.now = clock.now = moment(2026, 5, 5)
    page = await read(life, "2026-04")
    assert (
        page.sums.opening
        == page.sums.closing
        == {
            "base": Standing(10, 0, 0),
            "tier": Standing(10, 0, 0),
        }
    )


async def test_a_quiet_month_after_something_fell_due_opens_with_what_was_left(
    life: Life, clock: TestClock
) -> None:
    await life.earn(10, ("month",))
    life.now = clock.now = moment(2026, 5, 5)
    page = await read(life, "2026-04")
    assert page.sums.opening["base"] == Standing(0, 0, 0)


async def test_before_the_first_entry_there_is_nothing(life: Life, clock: TestClock) -> None:
    await life.earn(10)
    page = await read(life, "1999-12")
    assert (page.lines, page.sums.opening, page.sums.closing, page.final) == ([], {}, {}, True)


async def test_a_month_that_has_not_begun_is_refused(life: Life) -> None:
    with pytest.raises(ServiceError) as refused:
        await read(life, "2026-02")
    assert refused.value.code == "month_not_begun"


async def test_an_account_imported_long_after_it_happened_is_told_by_when_it_happened(
    life: Life, clock: TestClock
) -> None:
    clock.now = moment(2030, 1, 1)
    for month in range(4):
        life.now = START + 30 * DAY * month
        await life.earn(10 + month)
    life.now = clock.now
    assert [len((await read(life, f"2026-0{n}")).lines) for n in (1, 2, 3, 4, 5)] == [1, 1, 1, 1, 0]


async def test_a_long_month_has_2000_lines_a_page(life: Life, clock: TestClock) -> None:
    for _ in range(2_003):
        await life.earn(1)
    first = await read(life, "2026-01")
    assert (len(first.lines), first.next) == (2_000, 2_001)
    second = await read(life, "2026-01", from_seq=first.next)
    assert (len(second.lines), second.next) == (3, None)
    assert second.sums.opening == first.sums.closing
    assert isinstance(second.lines[-1].entry, PointsPosted)
