"""A year of a grocery chain with everything in it: one digest, sealed, and reconciled.

The baskets are recorded ones; returns, redemptions, holds and transfers are drawn by a seed.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
import pytest_asyncio
from rich.console import Console

import programmes
from contracts.envelope import Fact
from contracts.points import AccountMarked, EntryKind, MarkKind, PointsPosted, Posting
from mooring.audit import verify_live
from mooring.audit_verify import verify_file
from mooring.environment import Place
from mooring.mixed_year import run_months
from mooring.replay import completejourney
from mooring.replay.living import Deeds
from mooring.replay.mixed import Month, months
from mooring.services import opened
from mooring.session import run_rebuild, run_verify
from mooring.verify import Report
from services.points.commands import body_of
from services.points.domain.movement import COLUMNS, MovementRow
from services.points.reports.documents import BOTH, By
from services.points.wiring import Wiring
from tests.journeys.adapters import CONNECTED, EMBEDDED, fresh_place
from tests.journeys.running import running

pytestmark = pytest.mark.asyncio(loop_scope="module")
SEED = 1
FEW = ("hh-466", "hh-1519", "hh-2323", "hh-595", "hh-543", "hh-428")
TWELVE = (*FEW, "hh-1766", "hh-1536", "hh-1768", "hh-1234", "hh-558", "hh-1505")
"""Households for whom this seed draws everything; of the first four some come into debt."""
Households = tuple[str, ...]
Year = tuple[Month, ...]
QUIET = Console(quiet=True)
TWO_MONTHS = date(2017, 3, 1)
KINDS = (*get_args(EntryKind), *get_args(MarkKind))
TAKES_AWAY = frozenset(("returned", "redeemed", "expired", "forfeited"))


@pytest.fixture(scope="module", autouse=True)
def four_seasons() -> Iterator[None]:
    """A programme whose points have a life, and no duties by the wall clock."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MOORING_PROGRAMME", str(programme()))
        environment.setenv("MOORING_DUTIES_SECONDS", "0")
        yield


def programme() -> Path:
    """The programme that a mixed year is made for."""
    return Path(programmes.__file__).with_name("four_seasons.yaml")


@cache
def drawn_year(households: Households = TWELVE, until: date | None = None) -> Year:
    """The months of some households."""
    some = (each for each in completejourney.activities(until) if each.member_id in households)
    return tuple(months(some, SEED))


@dataclass(frozen=True)
class Lived:
    """A year that is over, and where."""

    place: Place
    deeds: Deeds
    report: Report
    kinds: Counter[str]
    holdings: dict[str, int]
    movement: dict[By, list[MovementRow]]


@asynccontextmanager
async def somewhere(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """A fresh embedded place."""
    folder = request.getfixturevalue("tmp_path_factory").mktemp("mixed")
    with fresh_place(EMBEDDED, folder, request) as place:
        yield place


async def lived(place: Place, year: Year, batch: int, workers: int = 1) -> tuple[Deeds, Report]:
    """Live through these months; the report is green, or the test fails."""
    async with running(place, workers) as platform:
        deeds = await run_months(place, QUIET, year, batch=batch)
        report = await platform.verified()
        chain = await verify_live(platform.services.points.chain)
        assert (chain.ok, chain.unsealed, chain.sealed) == (True, 0, chain.entries)
        return deeds, report


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def year(request: pytest.FixtureRequest) -> AsyncIterator[Lived]:
    """The whole year, in batches of 1,000, by one worker of each service."""
    async with somewhere(request) as place:
        async with running(place) as platform:
            deeds = await run_months(place, QUIET, drawn_year(), batch=1_000)
            report = await platform.verified()
            points = platform.services.points
            made = await points.reports.fresh()
            movement = {by: made.movement[by].rows for by in BOTH}
            kinds, holdings = await _ledger(points)
        yield Lived(place, deeds, report, kinds, holdings, movement)


async def _ledger(points: Wiring) -> tuple[Counter[str], dict[str, int]]:
    """How often each thing happened, and what accounts hold in the end by wallet."""
    kinds: Counter[str] = Counter()
    last: dict[str, PointsPosted] = {}
    async for facts in points.entries.scan():
        for fact in facts:
            body = body_of(fact)
            kinds.update(_told(fact, body))
            if isinstance(body, PointsPosted):
                last[fact.stream] = body
    holdings: Counter[str] = Counter()
    for entry in last.values():
        for part in (entry.balances, entry.pending, entry.held):
            holdings.update(part)
    return kinds, dict(holdings)


def _told(fact: Fact, body: PointsPosted | AccountMarked) -> Iterator[str]:
    yield body.kind
    if body.reason == "timed_out":
        yield f"{body.kind} timed out"
    if isinstance(body, AccountMarked):
        return
    if body.kind == "capture" and any(_gives(each) for each in body.postings):
        yield "capture in part"
    if min(body.balances.values(), default=0) < 0:
        yield "in debt"


HAPPENED = {
    *("earn", "return", "activate", "vest", "forfeit", "expire", "in debt"),
    *("hold", "capture", "capture in part", "cancel", "release timed out", "fulfilled"),
    *("transfer_out", "transfer_in", "transfer_done", "transfer_back", "transfer_declined"),
    *("transfer_back timed out", "transfer_declined timed out", "progress"),
}


def _gives(posting: Posting) -> bool:
    return posting.amount > 0 and posting.account.startswith("member")


async def test_everything_that_can_happen_to_points_has_happened(year: Lived) -> None:
    assert HAPPENED - set(year.kinds) == set()
    declined = {name: year.kinds[f"transfer_{name}"] for name in ("declined", "declined timed out")}
    assert declined["declined"] > declined["declined timed out"]
    assert year.report.lines.keys() == {"member", "balance", "buckets", "decision"}


async def test_other_batches_and_more_workers_come_to_the_same(
    request: pytest.FixtureRequest, year: Lived
) -> None:
    async with somewhere(request) as place:
        deeds, report = await lived(place, drawn_year(), batch=7, workers=3)
    assert report == year.report
    assert done(deeds) == done(year.deeds)


def done(deeds: Deeds) -> dict[str, int]:
    """What was done, and not refused: which rule refuses first may differ."""
    return {what: count for what, count in deeds.counts.items() if what.endswith(" done")}


async def test_what_is_rebuilt_in_the_summer_goes_on_to_the_same(
    request: pytest.FixtureRequest, year: Lived
) -> None:
    months = drawn_year()
    async with somewhere(request) as place:
        before, _ = await lived(place, months[:6], batch=1_000)
        await run_rebuild(place)
        after, report = await lived(place, months[6:], batch=1_000)
    assert report == year.report
    assert done(Deeds(before.counts + after.counts)) == done(year.deeds)


async def test_a_rebuild_of_the_whole_year_changes_nothing(year: Lived) -> None:
    await run_rebuild(year.place)
    assert await run_verify(year.place) == year.report


async def test_the_chain_and_an_export_of_it_verify_and_leave_nothing_out(
    year: Lived, tmp_path: Path
) -> None:
    file = tmp_path / "ledger.jsonl"
    async with opened(year.place.store(), year.place.programme) as services:
        chain = services.points.chain
        live = await verify_live(chain)
        file.write_bytes(b"".join([line + b"\n" async for line in chain.export()]))
    assert (live.findings, live.unsealed, live.sealed) == ([], 0, live.entries)
    assert live.entries == sum(year.kinds[kind] for kind in KINDS)
    assert verify_file(file, live.head) == live
    file.write_bytes(file.read_bytes().replace(b'"kind":"vest"', b'"kind":"earn"', 1))
    changed = verify_file(file, live.head).findings[0].what
    assert changed == "is not the entry that was sealed: it was changed"


@pytest.mark.parametrize("by", BOTH)
async def test_every_month_reconciles_up_to_what_accounts_hold(year: Lived, by: By) -> None:
    rows = year.movement[by]
    held: Counter[str] = Counter()
    for row in rows:
        moved = sum(
            -getattr(row, name) if name in TAKES_AWAY else getattr(row, name) for name in COLUMNS
        )
        assert (row.difference, row.opening + moved) == (0, row.closing), row
        assert row.opening == held[row.wallet], row
        held[row.wallet] = row.closing
    assert held == year.holdings
    used = {name for name in COLUMNS for row in rows if getattr(row, name)}
    # By the end all that was sent has arrived or come back, and by booking there is but the end.
    never = {"adjusted", "compensated"} | ({"transferred"} if by == "booking" else set())
    assert used == {*COLUMNS} - never


async def test_by_value_the_year_has_its_months(year: Lived) -> None:
    rows = [row for row in year.movement["value"] if row.wallet == "base" and row.issued]
    assert [row.month for row in rows][:12] == [f"2017-{month:02d}" for month in range(1, 13)]


@pytest.fixture(params=CONNECTED)
def servers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """A fresh place on the real servers."""
    with fresh_place(request.param, tmp_path_factory.mktemp("mixed"), request) as place:
        yield place


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def winter(request: pytest.FixtureRequest) -> Report:
    """What comes of two months of fewer households."""
    async with somewhere(request) as place:
        _, report = await lived(place, drawn_winter(), batch=1_000)
    return report


def drawn_winter() -> Year:
    """Two months of fewer households."""
    return drawn_year(FEW, TWO_MONTHS)


@pytest.mark.connected
async def test_kafka_and_the_document_database_come_to_the_same(
    servers: Place, winter: Report
) -> None:
    deeds, report = await lived(servers, drawn_winter(), batch=50, workers=2)
    assert report == winter
    assert done(deeds).keys() >= {"redeem done", "transfer done", "accept done", "hold done"}
