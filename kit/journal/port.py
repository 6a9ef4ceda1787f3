"""The journal: what happened, append-only. Truth, idempotency and outbox in one.

Invariants, whatever the adapter:

* seq is gapless from 1 in each stream; a fact, once appended, never changes.
* A key is used at most once in a stream.
* An append that has returned is still there after a crash (``w=majority, j=true``; WAL with fsync).
* A fact is published at least once, and each stream's facts in seq order.

Two unique constraints, (stream, seq) and (stream, key), do all concurrency control. Nobody checks
and then inserts: everybody inserts, and reads when told it was in the way.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Literal, Protocol

import msgspec

from contracts.envelope import Fact


class Draft(msgspec.Struct, frozen=True):
    """A fact to append, with the hash of the input that led to it.

    ``input_hash`` tells a retry (same key, same hash: the first result again) from a misuse (same
    key, other hash). ``body`` is encoded JSON.
    """

    stream: str
    seq: int
    key: str
    input_hash: bytes
    type: str
    occurred_at: int
    posted_at: int
    body: bytes
    version: int = 1
    trace: str | None = None


class Appended(msgspec.Struct, frozen=True):
    """What became of one draft.

    * ``appended``: it is in the journal.
    * ``duplicate``: the stream already has this key with this input; ``existing`` is that fact.
    * ``key_conflict``: the stream already has this key with another input; ``existing`` is it.
    * ``seq_conflict``: another writer took this seq: reload the stream and decide again.
    * ``not_tried``: an earlier draft of the same stream in this batch did not land.
    """

    outcome: Literal["appended", "duplicate", "key_conflict", "seq_conflict", "not_tried"]
    existing: Fact | None = None


class Journal(Protocol):
    """One journal: a table or a collection. A service may have several."""

    @property
    def name(self) -> str:
        """Its name, e.g. ``events.activities``."""

    async def prepare(self) -> None:
        """Create what it needs (tables, indexes); harmless when it is there."""

    async def append(self, drafts: Sequence[Draft]) -> list[Appended]:
        """Append drafts and say of each, in the order given, what became of it.

        Streams are independent of each other; within a stream drafts must come in seq order, and
        when one does not land the later ones of that stream are not tried. Raises Unavailable when
        the store is out: then any part of the batch may have landed, and a retry finds out.
        """

    async def read(
        self, stream: str, after: int = 0, limit: int = 1000, *, backwards_from: int | None = None
    ) -> list[Fact]:
        """Return up to ``limit`` facts of a stream with seq > ``after``, in seq order.

        With ``backwards_from``: those with ``after`` < seq < ``backwards_from``, newest first.
        """

    async def read_many(self, after: dict[str, int]) -> dict[str, list[Fact]]:
        """Return, for each stream, all facts with seq > the given one, in seq order."""

    async def find(self, stream: str, keys: Sequence[str]) -> dict[str, Fact]:
        """Return the facts of a stream that bear these keys, by key."""

    async def input_hashes(self, stream: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Return, by key, the hash of the input that led to each of these facts of a stream."""

    async def head(self, stream: str) -> int:
        """Return the seq of the stream's last fact, 0 when it has none."""

    async def last_before(self, stream: str, posted_at: int) -> Fact | None:
        """Return the stream's last fact with ``fact.posted_at`` <= ``posted_at``.

        ``posted_at`` must never decrease within the stream. A long stream costs a few probes more
        than a short one.
        """

    def scan(self, batch: int = 1000) -> AsyncIterator[list[Fact]]:
        """Iterate over the whole journal, stream by stream, each in seq order (verify, rebuild)."""

    async def unpublished(self, limit: int = 1000) -> list[Fact]:
        """Return facts not yet published; each stream's in seq order, from its first such."""

    async def mark_published(self, facts: Sequence[Fact]) -> None:
        """Note that exactly the facts ``unpublished`` last returned are on the bus."""

    async def changed(self, timeout: float) -> None:
        """Return when something may have been appended, at the latest after ``timeout`` seconds."""

    async def close(self) -> None:
        """Release connections."""
