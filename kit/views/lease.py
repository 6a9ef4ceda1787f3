"""A lease: at most one holder at a time of something that must not be done by two.

It is a view document that is written by compare-and-set, so it needs nothing that the store does
not have. The document's version is the fencing token: it grows with every acquire and renewal, so
who was put to sleep with an expired lease can be told from its successor.
"""

from dataclasses import dataclass
from uuid import uuid4

import msgspec

from kit.clock import SECOND, Clock
from kit.views.port import Collection, Document, Views

LEASES = Collection("leases")
"""Where a service keeps its leases."""
RELAY_LEASE_SECONDS = 5.0


class _Held(msgspec.Struct, frozen=True):
    owner: str
    until: int


_decoder = msgspec.json.Decoder(_Held)
_encoder = msgspec.json.Encoder()


@dataclass
class Lease:
    """One owner's view of the lease ``name``, for ``seconds`` at a time.

    ``owner`` must differ between any two processes that could compete, restarts included. Clocks
    of machines may differ by less than ``seconds`` minus the longest pause between two renewals.
    """

    views: Views
    collection: Collection
    name: str
    owner: str
    seconds: float
    clock: Clock
    token: int = 0
    _until: int = 0

    @property
    def held(self) -> bool:
        """Whether this owner holds it now, as far as its own clock can tell."""
        return self.token > 0 and self.clock() < self._until

    async def acquire(self) -> bool:
        """Take it when it is free, expired or already ours; False when another holds it."""
        document = (await self.views.load(self.collection, [self.name])).get(self.name)
        version = 0
        if document is not None:
            there = _decoder.decode(document.body)
            if there.owner != self.owner and self.clock() < there.until:
                self._lose()
                return False
            version = document.version
        return await self._write(version, self.seconds)

    async def renew(self) -> bool:
        """Prolong it; False when it has passed to another, who may be at work already.

        An expired lease that nobody took is prolonged: the version says that nobody was there.
        """
        return self.token > 0 and await self._write(self.token, self.seconds)

    async def release(self) -> None:
        """Let it go, so that a successor need not wait for it to expire."""
        if self.token > 0:
            await self._write(self.token, 0)
        self._lose()

    async def _write(self, version: int, seconds: float) -> bool:
        until = self.clock() + round(seconds * SECOND)
        body = _encoder.encode(_Held(self.owner, until))
        losers = await self.views.save(self.collection, [Document(self.name, version, body)])
        if losers:
            self._lose()
            return False
        self.token, self._until = version + 1, until
        return True

    def _lose(self) -> None:
        self.token, self._until = 0, 0


def journal_lease(views: Views, journal: str, clock: Clock) -> Lease:
    """Return a new owner's lease on publishing a journal."""
    return Lease(views, LEASES, f"relay:{journal}", uuid4().hex, RELAY_LEASE_SECONDS, clock)
