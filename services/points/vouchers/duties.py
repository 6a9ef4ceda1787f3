"""What is due: vouchers whose time is over, and issues that were begun and not finished.

Each duty finds its work by an index or a watermark, may be cut off anywhere, and changes nothing
when it is run again, late, or beside another.
"""

from collections.abc import Sequence

import msgspec

from contracts.envelope import Fact
from contracts.vouchers import VoucherBudgetReturned, VoucherBudgetTaken, VoucherIssued
from kit.bus.triage import Envelope
from kit.views.port import Document, Query
from kit.worker import Duty
from services.points.domain.voucher_series import GiveBack, Series
from services.points.domain.vouchers import Expire
from services.points.vouchers.deciding import act_on_all, digest, freshen, give_back
from services.points.vouchers.issuing import open_vouchers
from services.points.vouchers.views import (
    BUDGET_KIND,
    SERIES,
    SERIES_KIND,
    SETTLED,
    VOUCHER_KIND,
    VOUCHERS,
    slice_owner,
)
from services.points.vouchers.wiring import Vouchers

PAGE = 500
SERIES_PAGE = 20
EVERY_SECONDS = 60.0


def duties(vouchers: Vouchers) -> list[Duty]:
    """The worker's duties: expire what is due, finish what was begun."""

    async def expire() -> None:
        while await expire_due(vouchers, vouchers.clock(), PAGE):
            pass

    async def finish() -> None:
        await settle(vouchers)

    return [
        Duty("voucher expiry", expire, EVERY_SECONDS),
        Duty("voucher issues", finish, EVERY_SECONDS),
    ]


async def expire_due(vouchers: Vouchers, now: int, limit: int) -> int:
    """Expire up to ``limit`` open vouchers whose time is over; return how many were due."""
    query = Query(order_by="due", lower=1, upper=now + 1, limit=min(limit, PAGE))
    due = [document.id for document in await vouchers.views.find(VOUCHERS, query)]
    if not due:
        return 0
    commands = [(one, Expire(now), digest("expire")) for one in due]
    results = await act_on_all(vouchers, commands, now)
    await freshen(vouchers.vouchers, due)  # a document that was behind is found no more
    return sum(bool(result.facts) for result in results)


async def settle(vouchers: Vouchers) -> int:
    """Finish the issues whose place in a budget was taken; return how many facts were looked at."""
    looked_at = 0
    after: tuple[None, str] | None = None
    while page := await vouchers.views.find(SERIES, Query(after=after, limit=SERIES_PAGE)):
        heads = await vouchers.series.heads([document.id for document in page], fresh=True)
        owners = [owner for one, head in heads.items() for owner in _slices(one, head.state)]
        looked_at += await _settle_slices(vouchers, owners)
        after = (None, page[-1].id)
    return looked_at


def _slices(series_id: str, series: Series) -> list[str]:
    return [slice_owner(series_id, place) for place in range(len(series.capacities))]


async def _settle_slices(vouchers: Vouchers, owners: Sequence[str]) -> int:
    """Look at what was taken since the last time; the watermark moves when all of it is settled."""
    marks = await vouchers.views.load(SETTLED, owners)
    looked_at = 0
    for owner in owners:
        mark = marks.get(owner)
        seq = msgspec.json.decode(mark.body, type=int) if mark else 0
        stream, version = f"{BUDGET_KIND}:{owner}", mark.version if mark else 0
        while facts := await vouchers.journal.read(stream, seq, PAGE):
            await _settle_takes(vouchers, owner, facts)
            seq = facts[-1].seq
            lost = await vouchers.views.save(
                SETTLED, [Document(owner, version, msgspec.json.encode(seq))]
            )
            looked_at += len(facts)
            version += 1
            if lost:  # another worker is at it
                break
    return looked_at


async def _settle_takes(vouchers: Vouchers, owner: str, facts: Sequence[Fact]) -> None:
    takes = [(fact, vouchers.slices.body(fact)) for fact in facts]
    taken = {
        body.issued.voucher_id: (fact.occurred_at, body.issued)
        for fact, body in takes
        if isinstance(body, VoucherBudgetTaken)
    }
    heads = await vouchers.vouchers.heads(taken, fresh=True)
    for voucher_id, (at, issued) in taken.items():
        if heads[voucher_id].state.issued is None:
            await open_vouchers(vouchers, [issued], at)
    await _give_back_doubles(vouchers, owner, [issued for _, issued in taken.values()])


async def _give_back_doubles(
    vouchers: Vouchers, owner: str, taken: Sequence[VoucherIssued]
) -> None:
    """A request that took in two slices, the budget being raised meanwhile, keeps one place."""
    heads = await vouchers.vouchers.heads([issued.voucher_id for issued in taken], fresh=True)
    for issued in taken:
        voucher = heads[issued.voucher_id].state
        if voucher.terms.slice != issued.slice:
            returned = VoucherBudgetReturned(issued.series_id, issued.request, issued.voucher_id)
            await give_back(vouchers, owner, GiveBack(returned))


async def refresh(vouchers: Vouchers, batch: Sequence[Envelope]) -> None:
    """A consumer's handler: make the documents right that a crash or a lost race left behind."""
    kinds = {SERIES_KIND: vouchers.series, VOUCHER_KIND: vouchers.vouchers}
    owners: dict[str, dict[str, None]] = {kind: {} for kind in kinds}
    for envelope in batch:
        kind = envelope.fact.stream.partition(":")[0]
        if kind in owners:
            owners[kind][envelope.fact.owner] = None
    await freshen(vouchers.series, list(owners[SERIES_KIND]))
    await freshen(vouchers.vouchers, list(owners[VOUCHER_KIND]))
