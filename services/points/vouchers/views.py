"""How facts become documents: series, vouchers, slices of budgets, requests.

``voucher_codes`` and ``voucher_secrets`` are records, the only places where an imported code and
the key that makes and finds codes are: a rebuild never touches them, a backup includes them.
"""

from collections.abc import Mapping
from typing import Any

from contracts import vouchers as facts
from contracts.envelope import Fact
from kit.clock import Clock
from kit.journal.port import Journal
from kit.streams import Streams
from kit.views.port import Collection, IndexValue, Views
from services.points.domain import vouchers as life
from services.points.domain.voucher_series import (
    Choose,
    Define,
    GiveBack,
    Request,
    Series,
    Slice,
    Take,
    defined,
)
from services.points.domain.vouchers import Voucher

SERIES = Collection("voucher_series")
# ``newest`` is minus the time of issue; ``due`` when an open voucher expires; ``free`` the series
# in which an imported code waits; ``tally`` what it is counted under: series/status/remaining.
VOUCHERS = Collection(
    "vouchers",
    fields={"member": str, "newest": int, "due": int, "free": str, "tally": str},
    indexes=(("member", "newest"), ("due",), ("free",), ("tally",)),
)
SLICES = Collection("voucher_slices")
REQUESTS = Collection("voucher_requests")
TALLIES = Collection("voucher_tallies")
SETTLED = Collection("voucher_settled")
GUESSES = Collection("voucher_guesses")
CODES = Collection("voucher_codes")
SECRETS = Collection("voucher_secrets")
FOLDED = (SERIES, VOUCHERS, SLICES, REQUESTS)
COLLECTIONS = (*FOLDED, TALLIES, SETTLED, GUESSES, CODES, SECRETS)

SERIES_KIND, VOUCHER_KIND = "voucher_series", "voucher"
BUDGET_KIND, REQUEST_KIND = "voucher_budget", "voucher_request"
SLICE_SNAPSHOT_EVERY = 32
NEVER = 1_000_000

VoucherCommand = life.Import | life.Issue | life.Redeem | life.Undo | life.Cancel | life.Expire
SeriesStreams = Streams[Series, Define]
VoucherStreams = Streams[Voucher, VoucherCommand]
SliceStreams = Streams[Slice, Take | GiveBack]
RequestStreams = Streams[Request, Choose]


class SeriesFold:
    """Fold a series' versions."""

    state_type = Series
    bodies: Mapping[str, type] = {"VoucherSeriesDefined": facts.VoucherSeriesDefined}

    def initial(self, owner: str) -> Series:
        """A series that is not defined."""
        return Series()

    def apply(self, state: Series, fact: Fact, body: Any) -> Series:
        """The series after a version."""
        return defined(state, body)


class VoucherFold:
    """Fold a voucher's life."""

    state_type = Voucher
    bodies: Mapping[str, type] = {
        kind.__name__: kind
        for kind in (
            facts.VoucherCodeImported,
            facts.VoucherIssued,
            facts.VoucherRedeemed,
            facts.VoucherRedemptionUndone,
            facts.VoucherCancelled,
            facts.VoucherExpired,
        )
    }

    def initial(self, owner: str) -> Voucher:
        """No voucher."""
        return Voucher()

    def apply(self, state: Voucher, fact: Fact, body: Any) -> Voucher:
        """The voucher after a fact."""
        at = fact.occurred_at
        match body:
            case facts.VoucherCodeImported():
                return life.imported(state, body)
            case facts.VoucherIssued():
                return life.issued(state, body, at)
            case facts.VoucherRedeemed():
                return life.redeemed(state, body, at)
            case facts.VoucherRedemptionUndone():
                return life.undone(state, body)
            case facts.VoucherCancelled():
                return life.ended(state, "cancelled", at)
            case _:
                return life.ended(state, "expired", at)


class SliceFold:
    """Fold a slice of a budget."""

    state_type = Slice
    bodies: Mapping[str, type] = {
        kind.__name__: kind for kind in (facts.VoucherBudgetTaken, facts.VoucherBudgetReturned)
    }

    def initial(self, owner: str) -> Slice:
        """A slice nothing was taken from."""
        return Slice()

    def apply(self, state: Slice, fact: Fact, body: Any) -> Slice:
        """The slice after a place was taken or came back."""
        if isinstance(body, facts.VoucherBudgetTaken):
            return Slice(state.taken + 1, state.returned)
        return Slice(state.taken, state.returned + 1)


class RequestFold:
    """Fold the codes that were chosen for a request."""

    state_type = Request
    bodies: Mapping[str, type] = {"VoucherCodeChosen": facts.VoucherCodeChosen}

    def initial(self, owner: str) -> Request:
        """A request without a code."""
        return Request()

    def apply(self, state: Request, fact: Fact, body: Any) -> Request:
        """The request after a code was chosen."""
        return Request(body.series_id, body.member_id, body.voucher_id)


def index(voucher_id: str, voucher: Voucher) -> Mapping[str, IndexValue]:
    """What a voucher is found and counted by."""
    issued, is_open = voucher.issued, voucher.status == "open"
    return {
        "member": issued.member_id if issued is not None else None,
        "newest": -voucher.issued_at if issued is not None else None,
        "due": issued.expires_at if issued is not None and is_open else None,
        "free": voucher.series_id if voucher.status == "free" else None,
        "tally": f"{voucher.series_id}/{voucher.status}/{voucher.remaining if is_open else 0}",
    }


def slice_owner(series_id: str, place: int) -> str:
    """The owner part of a slice's stream."""
    return f"{series_id}.{place}"


def series_streams(journal: Journal, views: Views, clock: Clock) -> SeriesStreams:
    """The series; the collection is what lists are read from."""
    return Streams(SERIES_KIND, journal, views, SERIES, SeriesFold(), clock, snapshot_every=1)


def voucher_streams(journal: Journal, views: Views, clock: Clock) -> VoucherStreams:
    """The vouchers; the collection is what lists, duties and counts are read from."""
    fold = VoucherFold()
    return Streams(
        VOUCHER_KIND, journal, views, VOUCHERS, fold, clock, snapshot_every=1, index=index
    )


def slice_streams(journal: Journal, views: Views, clock: Clock) -> SliceStreams:
    """The slices of budgets."""
    every = SLICE_SNAPSHOT_EVERY
    return Streams(BUDGET_KIND, journal, views, SLICES, SliceFold(), clock, snapshot_every=every)


def request_streams(journal: Journal, views: Views, clock: Clock) -> RequestStreams:
    """Requests for imported codes: as good as always one fact, so no snapshots."""
    fold = RequestFold()
    return Streams(REQUEST_KIND, journal, views, REQUESTS, fold, clock, snapshot_every=NEVER)
