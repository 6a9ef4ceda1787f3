"""Use cases that write, other than issuing: series, imports, redemption, undo, cancellation.

Whoever shows a code learns nothing from the time an answer takes: an unknown code, one that is
another partner's, and one whose time is over cost the same reads and the same write.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
import structlog

from contracts.vouchers import SeriesTerms, VoucherCodeImported, VoucherRedeemed
from kit.errors import ServiceError
from kit.views.port import Document
from services.points.domain.codes import parse
from services.points.domain.voucher_errors import (
    AlreadyCancelled,
    CodeTaken,
    RedemptionUndone,
    SeriesClosed,
    VoucherUnknown,
)
from services.points.domain.voucher_series import Define, Series
from services.points.domain.vouchers import (
    Basket,
    Cancel,
    Import,
    Redeem,
    Undo,
    Use,
    Voucher,
    use,
)
from services.points.vouchers.deciding import act, act_on_all, define, digest, freshen
from services.points.vouchers.guesses import note, require_patience
from services.points.vouchers.issuing import no_such_series
from services.points.vouchers.views import CODES
from services.points.vouchers.wiring import Vouchers

MOST_FACTS = 1_000
NO_SERIES = "-"
NO_BASKET = Basket()
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who shows a code: a token's subject, and the partner it works for."""

    subject: str
    partner: str | None


@dataclass(frozen=True, slots=True)
class Shown:
    """A voucher whose code was shown."""

    voucher_id: str
    voucher: Voucher


@dataclass(frozen=True, slots=True)
class Redeemed:
    """A redemption, now or before; ``at`` in microseconds."""

    voucher: Voucher
    fact: VoucherRedeemed
    at: int
    repeated: bool


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one code of an import."""

    status: Literal["imported", "duplicate", "refused"]
    error: ServiceError | None = None


async def define_series(
    vouchers: Vouchers, series_id: str, terms: SeriesTerms, by: str
) -> tuple[Series, bool]:
    """Define a series or change it; return it, and whether it is new."""
    result = await define(vouchers.series, Define(series_id, terms, by), vouchers.clock())
    if result.error is not None:
        raise result.error
    series = (await vouchers.series.heads([series_id], fresh=True))[series_id].state
    return series, bool(result.facts) and result.facts[0].seq == 1


async def import_codes(
    vouchers: Vouchers, series_id: str, codes: Sequence[str], by: str
) -> list[Receipt]:
    """Put codes from elsewhere into a series that has imported codes; a receipt for each.

    A code is written to its record before its fact, so that no fact is without its code.
    """
    await _require_pool(vouchers, series_id)
    receipts: list[Receipt] = [Receipt("duplicate")] * len(codes)
    places: dict[str, int] = {}
    written: dict[str, str] = {}
    for place, text in enumerate(codes):
        try:
            voucher_id = vouchers.keys.voucher_id(parse(text))
        except ServiceError as error:
            receipts[place] = Receipt("refused", error)
        else:
            places.setdefault(voucher_id, place)
            written.setdefault(voucher_id, text.strip())
    for voucher_id, receipt in (await _imported(vouchers, series_id, written, by)).items():
        receipts[places[voucher_id]] = receipt
    return receipts


async def _require_pool(vouchers: Vouchers, series_id: str) -> None:
    terms = (await vouchers.series.heads([series_id], fresh=True))[series_id].state.terms
    if terms is None:
        raise no_such_series(series_id)
    if terms.closed:
        raise SeriesClosed(series_id)
    if terms.codes != "imported":
        raise ServiceError(
            "refused",
            "codes_are_generated",
            "This series makes its own codes: import into one with codes: imported",
        )


async def _imported(
    vouchers: Vouchers, series_id: str, written: dict[str, str], by: str
) -> dict[str, Receipt]:
    heads = await vouchers.vouchers.heads(written, fresh=True)
    new = [one for one, head in heads.items() if head.state.status == "none"]
    records = [Document(one, 0, msgspec.json.encode(written[one])) for one in new]
    await vouchers.views.save(CODES, records)
    hashed = digest(series_id)
    commands = [(one, Import(VoucherCodeImported(one, series_id, by)), hashed) for one in written]
    results = await act_on_all(vouchers, commands, vouchers.clock())
    known = [one for one, r in zip(written, results, strict=True) if not r.facts or r.repeated]
    await freshen(vouchers.vouchers, known)
    receipts: dict[str, Receipt] = {}
    for voucher_id, result in zip(written, results, strict=True):
        if result.error is not None:
            taken = CodeTaken() if _reused(result.error) else result.error
            receipts[voucher_id] = Receipt("refused", taken)
        elif result.facts and not result.repeated:
            receipts[voucher_id] = Receipt("imported")
        else:
            receipts[voucher_id] = Receipt("duplicate")
    return receipts


async def validate(
    vouchers: Vouchers, caller: Caller, code: str, basket: Basket, wanted: int | None
) -> tuple[Shown, Use]:
    """What a voucher would do to a basket now; nothing changes. Raises as redemption would."""
    return await _look_up(vouchers, caller, code, basket, wanted, None)


async def redeem(
    vouchers: Vouchers,
    caller: Caller,
    code: str,
    key: str,
    *,
    till: str | None = None,
    basket: Basket = NO_BASKET,
    wanted: int | None = None,
) -> Redeemed:
    """Use a voucher. The same caller, code and key again get the same answer.

    Raises ServiceError: ``invalid`` for a mistyped code, ``missing`` for an unknown one,
    ``refused`` for one that cannot be used now or for this basket, ``too_many``.
    """
    assert caller.partner is not None
    redemption_id = vouchers.keys.redemption(caller.partner, key)
    shown, _ = await _look_up(vouchers, caller, code, basket, wanted, redemption_id)
    command = Redeem(
        shown.voucher_id,
        redemption_id,
        caller.partner,
        till,
        basket,
        wanted,
        vouchers.clock(),
    )
    inputs = (till, basket.amount, basket.currency, basket.others, wanted)
    result = await act(vouchers, shown.voucher_id, command, *inputs)
    if result.error is not None:
        raise result.error
    (fact,) = result.facts
    voucher = await _fresh(vouchers, shown.voucher_id)
    if any(one.undone and one.redemption_id == redemption_id for one in voucher.redemptions):
        raise RedemptionUndone
    return Redeemed(voucher, vouchers.vouchers.body(fact), fact.occurred_at, result.repeated)


async def _fresh(vouchers: Vouchers, voucher_id: str) -> Voucher:
    return (await vouchers.vouchers.heads([voucher_id], fresh=True))[voucher_id].state


async def _look_up(
    vouchers: Vouchers,
    caller: Caller,
    code: str,
    basket: Basket,
    wanted: int | None,
    redemption_id: str | None,
) -> tuple[Shown, Use]:
    """Find the voucher with this code and what it would do; a refusal is counted.

    One read for the caller, one of the voucher's stream, one of its series (or of none), whatever
    there is. A redemption that was made before passes: deciding again finds it.
    """
    parsed = parse(code)
    caller_id = vouchers.keys.caller(caller.partner, caller.subject)
    await require_patience(vouchers, caller_id)
    shown = await _read(vouchers, vouchers.keys.voucher_id(parsed))
    series_id = shown.voucher.series_id or NO_SERIES
    series = (await vouchers.series.heads([series_id], fresh=True))[series_id].state
    try:
        _require_welcome(series, caller)
        if _made_before(shown.voucher, redemption_id):
            return shown, Use(0, 0, None)
        return shown, use(shown.voucher, basket, wanted, vouchers.clock())
    except ServiceError as error:
        unknown = isinstance(error, VoucherUnknown)
        if unknown:
            _log.info("voucher_code_unknown", caller=caller_id, partner=caller.partner)
        await note(vouchers, caller_id, unknown=unknown)
        raise


def _made_before(voucher: Voucher, redemption_id: str | None) -> bool:
    return any(one.redemption_id == redemption_id for one in voucher.redemptions)


async def _read(vouchers: Vouchers, voucher_id: str) -> Shown:
    """The voucher as its stream says, in one read: a cache would answer some codes sooner."""
    facts = await vouchers.journal.read(vouchers.vouchers.stream(voucher_id), limit=MOST_FACTS)
    return Shown(voucher_id, vouchers.folded(facts))


def _require_welcome(series: Series, caller: Caller) -> None:
    """To another partner a voucher is as unknown as one that does not exist."""
    if series.terms is None:
        raise VoucherUnknown
    named = series.terms.partners
    if caller.partner is not None and named and caller.partner not in named:
        raise VoucherUnknown


async def undo(vouchers: Vouchers, caller: Caller, voucher_id: str, redemption_id: str) -> Voucher:
    """Take a redemption back: a till's mistake. Again changes nothing."""
    assert caller.partner is not None
    within = vouchers.policy.undo_within
    command = Undo(redemption_id, caller.partner, vouchers.clock(), within)
    result = await act(vouchers, voucher_id, command, redemption_id)
    if result.error is not None:
        raise result.error
    return await _fresh(vouchers, voucher_id)


async def cancel(vouchers: Vouchers, voucher_id: str, reason: str, by: str) -> Voucher:
    """Make a voucher void. The same agent and reason again change nothing."""
    result = await act(vouchers, voucher_id, Cancel(voucher_id, reason, by), reason, by)
    voucher = await _fresh(vouchers, voucher_id)
    if result.error is not None:
        raise AlreadyCancelled(voucher.ended_at) if _reused(result.error) else result.error
    return voucher


def _reused(error: ServiceError) -> bool:
    """What was asked for was done before, with another input."""
    return error.code == "idempotency_key_reused"
