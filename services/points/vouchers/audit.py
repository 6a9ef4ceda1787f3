"""What an auditor asks of the vouchers, and how their views are folded again."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import msgspec

from contracts.envelope import Fact
from contracts.vouchers import VoucherBudgetTaken
from services.points.domain.codes import parse
from services.points.domain.voucher_series import Series, defined
from services.points.domain.vouchers import Voucher
from services.points.vouchers.views import (
    BUDGET_KIND,
    CODES,
    FOLDED,
    SERIES_KIND,
    TALLIES,
    VOUCHER_KIND,
    slice_owner,
)
from services.points.vouchers.wiring import Vouchers

PAGE = 500


@dataclass
class _Walk:
    """What the walk over the journal has met so far."""

    found: list[str] = field(default_factory=list)
    last: tuple[str, int] = ("", 0)
    series: dict[str, Series] = field(default_factory=dict)
    taken: Counter[str] = field(default_factory=Counter)
    issued: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    open_voucher: tuple[str, list[Fact]] = ("", [])


async def rebuild(vouchers: Vouchers) -> int:
    """Drop the documents and fold them again; return how many there are.

    Stop the service's processes first: they hold heads in memory. Records (imported codes, the
    secret), counts of guesses and watermarks stay.
    """
    for collection in (*FOLDED, TALLIES):
        await vouchers.views.drop(collection)
    streams = (vouchers.series, vouchers.vouchers, vouchers.slices, vouchers.requests)
    written = 0
    for one in streams:
        one.forget()
        written += await one.rebuild()
        one.forget()
    return written


async def findings(vouchers: Vouchers) -> list[str]:
    """Return what does not hold, as sentences; empty when all is well.

    Checked: seq gapless; no slice above its capacity; what was taken from each slice is what was
    issued from it; one voucher for each request; no value made or lost; every voucher's code leads
    to it, so that codes are unique; every document equal to its fold.
    """
    walk = _Walk()
    async for page in _vouchers(vouchers, walk):
        walk.found += await _code_findings(vouchers, page)
        walk.found += await _document_findings(vouchers, page)
    walk.found += _budget_findings(walk)
    return walk.found


async def digest_lines(vouchers: Vouchers) -> AsyncIterator[str]:
    """Yield ``vouchers SERIES STATUS NUMBER REMAINING``, by series and status.

    Ids and codes follow from a secret of the store, so they are in no digest.
    """
    numbers: Counter[tuple[str, str]] = Counter()
    values: Counter[tuple[str, str]] = Counter()
    async for page in _vouchers(vouchers, _Walk()):
        for voucher in page.values():
            numbers[voucher.series_id, voucher.status] += 1
            values[voucher.series_id, voucher.status] += voucher.remaining
    for series_id, status in sorted(numbers):
        key = (series_id, status)
        yield f"vouchers {series_id} {status} {numbers[key]} {values[key]}"


async def _vouchers(vouchers: Vouchers, walk: _Walk) -> AsyncIterator[dict[str, Voucher]]:
    """Walk the journal, noting in ``walk``, and yield the vouchers by the page."""
    page: dict[str, Voucher] = {}
    async for facts in vouchers.journal.scan():
        for fact in facts:
            _note(vouchers, walk, fact, page)
        if len(page) >= PAGE:
            yield page
            page = {}
    _close(vouchers, walk, page)
    yield page


def _note(vouchers: Vouchers, walk: _Walk, fact: Fact, page: dict[str, Voucher]) -> None:
    stream, seq = walk.last
    if fact.seq != (seq + 1 if fact.stream == stream else 1):
        walk.found.append(f"{fact.id}: does not follow the fact before it")
    walk.last = (fact.stream, fact.seq)
    kind = fact.stream.partition(":")[0]
    if walk.open_voucher[0] != fact.stream:
        _close(vouchers, walk, page)
    if kind == SERIES_KIND:
        before = walk.series.get(fact.owner, Series())
        walk.series[fact.owner] = defined(before, vouchers.series.body(fact))
    elif kind == BUDGET_KIND:
        taken = isinstance(vouchers.slices.body(fact), VoucherBudgetTaken)
        walk.taken[fact.owner] += 1 if taken else -1
    elif kind == VOUCHER_KIND:
        walk.open_voucher = (fact.stream, [*walk.open_voucher[1], fact])


def _close(vouchers: Vouchers, walk: _Walk, page: dict[str, Voucher]) -> None:
    """The stream of a voucher is over: fold it, and note what it says."""
    stream, facts = walk.open_voucher
    walk.open_voucher = ("", [])
    if not facts:
        return
    voucher = vouchers.folded(facts)
    page[stream.partition(":")[2]] = voucher
    if voucher.issued is None:
        return
    walk.requests[voucher.issued.request] += 1
    if walk.requests[voucher.issued.request] > 1:
        walk.found.append(f"{stream}: its request has another voucher")
    if voucher.issued.slice is not None:
        walk.issued[slice_owner(voucher.series_id, voucher.issued.slice)] += 1
    used = sum(one.used for one in voucher.redemptions if not one.undone)
    if used + voucher.remaining != voucher.issued.worth.amount:
        walk.found.append(f"{stream}: used {used} and remaining {voucher.remaining} do not add up")


def _budget_findings(walk: _Walk) -> list[str]:
    found: list[str] = []
    for owner in sorted(walk.taken | walk.issued):
        taken, issued = walk.taken[owner], walk.issued[owner]
        series_id, _, place = owner.rpartition(".")
        capacities = walk.series.get(series_id, Series()).capacities
        if taken != issued:
            found.append(f"budget {owner}: {taken} taken, {issued} issued")
        if taken > (capacities[int(place)] if int(place) < len(capacities) else 0):
            found.append(f"budget {owner}: {taken} taken, more than it has")
    return found


async def _code_findings(vouchers: Vouchers, page: dict[str, Voucher]) -> list[str]:
    """A voucher's id is a hash of its code: when each code leads to it, no two share one."""
    records = await vouchers.views.load(CODES, list(page))
    codes = {one: msgspec.json.decode(kept.body, type=str) for one, kept in records.items()}
    for one, voucher in page.items():
        if voucher.issued is not None and voucher.issued.slice is not None:
            codes[one] = vouchers.keys.code(voucher.issued.request)
    return [
        f"voucher:{one}: its code does not lead to it"
        for one in page
        if one not in codes or vouchers.keys.voucher_id(parse(codes[one])) != one
    ]


async def _document_findings(vouchers: Vouchers, page: dict[str, Voucher]) -> list[str]:
    """A document that is behind is not wrong: the worker is on its way to it."""
    found: list[str] = []
    for voucher_id, voucher in page.items():
        snapshot = await vouchers.vouchers.snapshot(voucher_id)
        if snapshot is None or snapshot.state == voucher:
            continue
        stream = vouchers.vouchers.stream(voucher_id)
        facts: Sequence[Fact] = await vouchers.journal.read(stream, limit=max(snapshot.seq, 1))
        if snapshot.state != vouchers.folded(facts):
            found.append(f"{stream}: the document at {snapshot.seq} is not its fold")
    return found
