"""Issuing vouchers: once for each series and key, and never more than the budget.

A generated code follows from the request, so a retry finds the same voucher. Its place in the
budget comes first, in a slice, and says in full which voucher it is for; the voucher's own fact
follows. Who stops in between is finished by the retry, or by the duty (``duties.settle``).

An imported code is picked at random from those that wait. The pick is written to the request's own
stream before the voucher is issued: whoever works on the request goes on with the same code, and
picks another only when that one turns out to be somebody else's.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from secrets import choice, token_bytes

from msgspec.structs import replace

from contracts.vouchers import SeriesTerms, VoucherCodeChosen, VoucherIssued
from kit.errors import ServiceError
from kit.streams import key_conflict
from kit.views.port import Document, Query
from services.points.domain.voucher_errors import BudgetSpent, CodesSpent, CodeTaken
from services.points.domain.voucher_series import Choose, Series, Take, refusal, validity, walk
from services.points.domain.vouchers import Issue, Voucher
from services.points.vouchers.deciding import act_on_all, choose, digest, freshen, take
from services.points.vouchers.views import VOUCHERS, slice_owner
from services.points.vouchers.wiring import Vouchers

PICKS = 16
TRIES = 200


@dataclass(frozen=True, slots=True)
class Issued:
    """A voucher that was issued, now or before."""

    voucher_id: str
    voucher: Voucher
    repeated: bool


async def issue(
    vouchers: Vouchers, series_id: str, member_id: str, key: str, reason: str | None = None
) -> Issued:
    """Issue a voucher of a series to a member; the same series and key again is the same voucher.

    Raises ServiceError: ``missing`` for an unknown series, ``refused`` when it is closed, over or
    spent, ``conflict`` when the key was used for another member.
    """
    series = (await vouchers.series.heads([series_id], fresh=True))[series_id].state
    if series.terms is None:
        raise no_such_series(series_id)
    wanted = _wanted(vouchers, series_id, series, series.terms, member_id, key, reason)
    if series.terms.codes == "imported":
        voucher_id, repeated = await _imported(vouchers, wanted, series.terms)
    else:
        voucher_id, repeated = await _generated(vouchers, wanted, series, series.terms)
    if repeated:  # whoever issued it may have stopped before its document was written
        await freshen(vouchers.vouchers, [voucher_id])
    voucher = (await vouchers.vouchers.heads([voucher_id]))[voucher_id].state
    if voucher.terms.member_id != member_id:
        raise key_conflict(None)
    return Issued(voucher_id, voucher, repeated)


def no_such_series(series_id: str) -> ServiceError:
    """The series is not defined."""
    return ServiceError(
        "missing", "series_unknown", "There is no such voucher series", series_id=series_id
    )


def _wanted(
    vouchers: Vouchers,
    series_id: str,
    series: Series,
    terms: SeriesTerms,
    member_id: str,
    key: str,
    reason: str | None,
) -> VoucherIssued:
    """What is to be issued now; its voucher_id is that of a generated code."""
    request = vouchers.keys.request(series_id, key)
    valid_from, expires_at = validity(terms, vouchers.clock())
    return VoucherIssued(
        voucher_id=vouchers.keys.voucher_id(vouchers.keys.code(request)),
        series_id=series_id,
        series_version=series.version,
        member_id=member_id,
        request=request,
        worth=terms.worth,
        currency=terms.currency,
        valid_from=valid_from,
        expires_at=expires_at,
        minimum_basket=terms.minimum_basket,
        combinable=terms.combinable,
        partial=terms.partial,
        reason=reason,
    )


async def _generated(
    vouchers: Vouchers, wanted: VoucherIssued, series: Series, terms: SeriesTerms
) -> tuple[str, bool]:
    """Take a place in the budget, then issue."""
    voucher_id = wanted.voucher_id
    heads = await vouchers.vouchers.heads([voucher_id], fresh=True)
    if heads[voucher_id].state.issued is not None:
        return voucher_id, True
    barred = refusal(wanted.series_id, terms, vouchers.clock())
    taken, at = await _take(vouchers, wanted, series.capacities, barred)
    (error,) = await open_vouchers(vouchers, [taken], at)
    if error is not None:
        raise error
    return voucher_id, False


async def _take(
    vouchers: Vouchers,
    wanted: VoucherIssued,
    capacities: tuple[int, ...],
    barred: ServiceError | None,
) -> tuple[VoucherIssued, int]:
    """Take a place, walking from the member's slice on, or find the one the request took before.

    Raises BudgetSpent, or why the series issues nothing.
    """
    first = int.from_bytes(digest(wanted.member_id)[:4], "big")
    for place in walk(first, capacities):
        command = Take(replace(wanted, slice=place), capacities[place], barred)
        result = await take(vouchers, slice_owner(wanted.series_id, place), command)
        if result.error is None:
            (fact,) = result.facts
            return vouchers.slices.body(fact).issued, fact.occurred_at
        if result.error.kind != "refused":
            raise result.error
    raise barred or BudgetSpent(wanted.series_id, sum(capacities))


async def open_vouchers(
    vouchers: Vouchers, issued: list[VoucherIssued], at: int
) -> list[ServiceError | None]:
    """Append ``VoucherIssued`` where it is not yet; return what stands in the way, for each."""
    commands = [(one.voucher_id, Issue(one), digest(one.request)) for one in issued]
    return [result.error for result in await act_on_all(vouchers, commands, at)]


async def _imported(
    vouchers: Vouchers, wanted: VoucherIssued, terms: SeriesTerms
) -> tuple[str, bool]:
    """Issue the code that was chosen for the request; choose another when that one is lost."""
    barred = refusal(wanted.series_id, terms, vouchers.clock())
    lost: set[str] = set()
    for _ in range(TRIES):
        request = (await vouchers.requests.heads([wanted.request], fresh=True))[wanted.request]
        chosen = request.state.voucher_id
        if chosen is not None and request.state.member_id != wanted.member_id:
            raise key_conflict(None)
        if chosen is not None and chosen not in lost:
            settled = await _issue_chosen(vouchers, replace(wanted, voucher_id=chosen), barred)
            if settled is not None:
                return chosen, settled
            lost.add(chosen)
        if barred is not None:
            raise barred
        await _choose(vouchers, wanted, chosen, lost)
    raise ServiceError("unavailable", "contended", "Too many ask for these codes; try again")


async def _issue_chosen(
    vouchers: Vouchers, wanted: VoucherIssued, barred: ServiceError | None
) -> bool | None:
    """Issue the chosen code: False when done now, True when it was, None when it is another's."""
    command = (wanted.voucher_id, Issue(wanted, barred), digest(wanted.request))
    (result,) = await act_on_all(vouchers, [command], vouchers.clock())
    if result.error is None:
        return result.repeated or not result.facts
    if not _is_taken(result.error):
        raise result.error
    await freshen(vouchers.vouchers, [wanted.voucher_id])
    return None


def _is_taken(error: ServiceError) -> bool:
    """Another request has the code: its fact bears the same key with another input."""
    return isinstance(error, CodeTaken) or error.code == "idempotency_key_reused"


async def _choose(
    vouchers: Vouchers, wanted: VoucherIssued, instead_of: str | None, lost: set[str]
) -> None:
    """Choose a free code at random; raises CodesSpent when there is none."""
    async for page in _free_pages(vouchers, wanted.series_id):
        free = [document.id for document in page if document.id not in lost]
        if free:
            chosen = VoucherCodeChosen(
                wanted.series_id, wanted.member_id, wanted.request, choice(free)
            )
            await choose(vouchers, Choose(chosen, instead_of))
            return
    raise CodesSpent(wanted.series_id)


async def _free_pages(vouchers: Vouchers, series_id: str) -> AsyncIterator[list[Document]]:
    """Free codes from a random place on, then from the beginning: ids are spread evenly."""
    start = vouchers.keys.voucher_id(token_bytes(8).hex())
    for after in (start, ""):
        position = after
        while True:
            query = Query(equals={"free": series_id}, after=(None, position), limit=PICKS)
            page = await vouchers.views.find(VOUCHERS, query)
            if page:
                yield page
                position = page[-1].id
            if len(page) < PICKS or (not after and position > start):
                break
