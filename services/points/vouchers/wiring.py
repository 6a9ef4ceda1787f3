"""The vouchers of the points service, on whatever store it has."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from contracts.envelope import Fact
from contracts.topics import VOUCHERS as VOUCHERS_TOPIC
from kit.clock import SECOND, Clock
from kit.journal.port import Journal
from kit.store import Store
from kit.views.port import Views
from services.points.domain.vouchers import Voucher
from services.points.vouchers.keys import Keys, open_keys
from services.points.vouchers.views import (
    COLLECTIONS,
    RequestStreams,
    SeriesStreams,
    SliceStreams,
    VoucherFold,
    VoucherStreams,
    request_streams,
    series_streams,
    slice_streams,
    voucher_streams,
)

VOUCHERS_JOURNAL = "points.vouchers"


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds for all series. Times in seconds.

    A till may undo for ``undo_seconds``. A caller that names ``most_guesses`` unknown codes within
    ``guess_seconds`` is refused for ``block_seconds``. Counts may be ``tally_seconds`` old.
    """

    undo_seconds: int = 1_800
    most_guesses: int = 20
    guess_seconds: int = 900
    block_seconds: int = 900
    tally_seconds: int = 60

    @property
    def undo_within(self) -> int:
        """In microseconds."""
        return self.undo_seconds * SECOND


@dataclass
class Vouchers:
    """What the vouchers work with. ``prepare`` comes first: it opens the store's secret."""

    journal: Journal
    views: Views
    series: SeriesStreams
    vouchers: VoucherStreams
    slices: SliceStreams
    requests: RequestStreams
    currency: str
    policy: Policy
    clock: Clock
    _keys: Keys | None = field(default=None, repr=False)
    _locks: "WeakValueDictionary[str, asyncio.Lock]" = field(
        default_factory=WeakValueDictionary, repr=False
    )

    @property
    def keys(self) -> Keys:
        """What makes and finds codes."""
        if self._keys is None:
            raise RuntimeError("prepare() comes before the first voucher")
        return self._keys

    async def prepare(self) -> None:
        """Create the journal, the collections and the secret; harmless when they are there."""
        await self.journal.prepare()
        await self.views.prepare(COLLECTIONS)
        self._keys = await open_keys(self.views)

    def folded(self, facts: Iterable[Fact]) -> Voucher:
        """The voucher that the facts of its stream add up to."""
        fold, voucher = VoucherFold(), Voucher()
        for fact in facts:
            voucher = fold.apply(voucher, fact, self.vouchers.body(fact))
        return voucher

    def lock(self, stream: str) -> asyncio.Lock:
        """In one process, those who want the same stream queue; the journal settles the rest.

        Without it, of a hundred who write one stream at once each round would let one through.
        """
        lock = self._locks.get(stream)
        if lock is None:
            lock = self._locks[stream] = asyncio.Lock()
        return lock


def vouchers(
    store: Store, clock: Clock, *, currency: str = "USD", policy: Policy | None = None
) -> Vouchers:
    """The vouchers in a service's store; ``currency`` is the programme's."""
    journal, views = store.journal(VOUCHERS_JOURNAL), store.views
    return Vouchers(
        journal,
        views,
        series_streams(journal, views, clock),
        voucher_streams(journal, views, clock),
        slice_streams(journal, views, clock),
        request_streams(journal, views, clock),
        currency,
        policy or Policy(),
        clock,
    )


def topic_of(fact: Fact) -> str | None:
    """The topic of a fact of the journal; budgets and requests concern nobody else."""
    kind = fact.stream.partition(":")[0]
    return VOUCHERS_TOPIC.name if kind in VOUCHERS_TOPIC.stream_kinds else None
