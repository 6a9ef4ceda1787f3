"""Reads: series with their counts, and the vouchers of a member."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from contracts.vouchers import SeriesTerms
from kit.clock import SECOND
from kit.views.port import Document, Query
from services.points.domain.codes import grouped
from services.points.domain.voucher_series import Series, unit_value
from services.points.domain.vouchers import Voucher
from services.points.vouchers.issuing import no_such_series
from services.points.vouchers.views import CODES, SERIES, TALLIES, VOUCHERS
from services.points.vouchers.wiring import Vouchers

ALL = "all"


class Count(msgspec.Struct, frozen=True, array_like=True):
    """How many vouchers, and what remains on them in minor units."""

    number: int = 0
    remaining: int = 0


class Tallies(msgspec.Struct, frozen=True):
    """Counts by series and status, as of a time in microseconds."""

    counted_at: int
    series: dict[str, dict[str, Count]]


@dataclass(frozen=True, slots=True)
class Counted:
    """A series and its vouchers by status; ``value_outstanding`` None: the terms do not say."""

    series_id: str
    series: Series
    counts: dict[str, Count]
    counted_at: int

    @property
    def terms(self) -> SeriesTerms:
        """What it says; a series that is listed is defined."""
        assert self.series.terms is not None
        return self.series.terms

    @property
    def issued(self) -> int:
        """All that were given to members, whatever became of them."""
        return sum(count.number for status, count in self.counts.items() if status != "free")

    @property
    def value_outstanding(self) -> int | None:
        """What the open vouchers may still cost, in minor units."""
        waiting = self.counts.get("open", Count())
        if self.terms.worth.kind == "value":
            return waiting.remaining
        unit = unit_value(self.terms)
        return None if unit is None else unit * waiting.number


@dataclass(frozen=True, slots=True)
class Held:
    """A member's voucher with its code."""

    voucher_id: str
    voucher: Voucher
    code: str


async def tallies(vouchers: Vouchers) -> Tallies:
    """The counts, not older than the policy says."""
    document = (await vouchers.views.load(TALLIES, [ALL])).get(ALL)
    if document is not None:
        kept = msgspec.json.decode(document.body, type=Tallies)
        if vouchers.clock() - kept.counted_at < vouchers.policy.tally_seconds * SECOND:
            return kept
    return await recount(vouchers, document.version if document else 0)


async def recount(vouchers: Vouchers, version: int) -> Tallies:
    """Count by an index, once for everybody: nobody who redeems writes a counter."""
    by_series: dict[str, dict[str, Count]] = {}
    for tally, number in (await vouchers.views.count(VOUCHERS, group_by="tally")).items():
        series_id, status, remaining = tally.split("/")
        counts = by_series.setdefault(series_id, {})
        before = counts.get(status, Count())
        value = before.remaining + number * int(remaining)
        counts[status] = Count(before.number + number, value)
    counted = Tallies(vouchers.clock(), by_series)
    body = msgspec.json.encode(counted)
    await vouchers.views.save(TALLIES, [Document(ALL, version, body)])
    return counted


async def series(vouchers: Vouchers, series_id: str) -> Counted:
    """A series as it stands; raises ServiceError ``missing``."""
    head = (await vouchers.series.heads([series_id], fresh=True))[series_id]
    if head.state.terms is None:
        raise no_such_series(series_id)
    counted = await tallies(vouchers)
    return Counted(series_id, head.state, counted.series.get(series_id, {}), counted.counted_at)


async def all_series(vouchers: Vouchers, limit: int, after: str | None) -> list[Counted]:
    """A page of series, by id."""
    position = None if after is None else (None, after)
    found = await vouchers.views.find(SERIES, Query(after=position, limit=limit))
    heads = await vouchers.series.heads([document.id for document in found], fresh=True)
    counted = await tallies(vouchers)
    return [
        Counted(series_id, head.state, counted.series.get(series_id, {}), counted.counted_at)
        for series_id, head in heads.items()
    ]


async def of_member(
    vouchers: Vouchers, member_id: str, limit: int, after: tuple[int, str] | None
) -> list[Held]:
    """A member's vouchers, the newest first, with their codes."""
    query = Query({"member": member_id}, order_by="newest", after=after, limit=limit)
    found = [document.id for document in await vouchers.views.find(VOUCHERS, query)]
    heads = await vouchers.vouchers.heads(found, fresh=True)
    states = {voucher_id: heads[voucher_id].state for voucher_id in found}
    codes = await codes_of(vouchers, states)
    return [Held(one, state, codes[one]) for one, state in states.items()]


async def codes_of(vouchers: Vouchers, states: dict[str, Voucher]) -> dict[str, str]:
    """The codes of issued vouchers: generated ones are derived, imported ones were recorded."""
    codes = {
        voucher_id: grouped(vouchers.keys.code(state.terms.request))
        for voucher_id, state in states.items()
        if state.terms.slice is not None
    }
    imported = [voucher_id for voucher_id in states if voucher_id not in codes]
    return codes | await _recorded(vouchers, imported)


async def _recorded(vouchers: Vouchers, voucher_ids: Sequence[str]) -> dict[str, str]:
    if not voucher_ids:
        return {}
    found = await vouchers.views.load(CODES, voucher_ids)
    return {one: msgspec.json.decode(found[one].body, type=str) for one in voucher_ids}
