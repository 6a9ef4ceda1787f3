"""A member of a consumer group on the embedded bus."""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from kit.bus.port import Received
from kit.bus.sqlite_group import GroupFile, Lease, Place
from kit.bus.sqlite_topic import TopicFile
from kit.errors import Unavailable
from kit.sqlite.connections import outages
from kit.sqlite.watch import Watched, running_watch

RENEWALS_PER_LEASE = 3


@dataclass(slots=True)
class Owned:
    """A partition in hand; messages from the committed offset up to ``position`` were polled."""

    lease: Lease
    position: int

    @property
    def unfinished(self) -> bool:
        """Whether some of it was polled and not committed."""
        return self.position != self.lease.committed


class SqliteSubscription:
    """A ``Subscription`` on files. A task renews the membership, however long a batch takes."""

    def __init__(
        self,
        topics: Sequence[str],
        group: Path,
        topic: Callable[[str], TopicFile],
        lease_seconds: float,
    ) -> None:
        self._names = tuple(topics)
        self._group_path = group
        self._topic = topic
        self._lease_seconds = lease_seconds
        self._member = uuid.uuid4().hex
        self._owned: dict[Place, Owned] = {}
        self._files: dict[str, TopicFile] = {}
        self._books: GroupFile | None = None
        self._generation = -1
        self._arrivals = 0
        self._renewing: asyncio.Task[None] | None = None

    @property
    def generation(self) -> int:
        """Grows whenever a partition comes to this member."""
        return self._arrivals

    async def poll(self, limit: int, timeout: float) -> list[Received]:
        """Return up to ``limit`` messages, shared fairly among the partitions that have some."""
        await asyncio.sleep(0)  # a full topic never waits below; others want the loop, too
        deadline = asyncio.get_running_loop().time() + timeout
        with outages("the bus"):
            while True:
                books = self._refresh()
                seen = self._versions(books)
                messages = self._read(limit)
                left = deadline - asyncio.get_running_loop().time()
                if messages or left <= 0:
                    return messages
                await running_watch().wait(seen, left)

    def _versions(self, books: GroupFile) -> dict[Watched, int]:
        """Note, before reading, what there is to read."""
        sources: list[Watched] = [*self._files.values(), books]
        return {source: source.version() for source in sources}

    def _refresh(self) -> GroupFile:
        """Join when needed; take note when membership or ownership has changed."""
        if self._books is None:
            self._files = {name: self._topic(name) for name in self._names}
            self._books = GroupFile(self._group_path)
            self._renewing = asyncio.create_task(self._renew())
        if self._books.version() != self._generation:
            self._sync(self._books)
        return self._books

    def _sync(self, books: GroupFile) -> None:
        leases = books.sync(
            self._member,
            {name: file.partitions for name, file in self._files.items()},
            [place for place, owned in self._owned.items() if owned.unfinished],
            self._lease_seconds,
        )
        owned: dict[Place, Owned] = {}
        for lease in leases:
            place = (lease.topic, lease.number)
            before = self._owned.get(place)
            kept = before is not None and before.lease.epoch == lease.epoch
            self._arrivals += not kept
            position = before.position if before is not None and kept else lease.committed
            owned[place] = Owned(lease, position)
        self._owned = owned
        self._generation = books.version()

    async def _renew(self) -> None:
        while self._books is not None:
            await asyncio.sleep(self._lease_seconds / RENEWALS_PER_LEASE)
            with suppress(Unavailable), outages("the bus"):
                if self._books is not None:
                    self._sync(self._books)

    def _read(self, limit: int) -> list[Received]:
        heads = {name: file.heads() for name, file in self._files.items()}
        ready: list[tuple[Owned, int]] = []
        for (name, number), owned in self._owned.items():
            first, following = heads[name][number]
            if following > max(owned.position, first) and not owned.lease.leaving:
                ready.append((owned, following - max(owned.position, first)))
        shares = share_out(limit, [available for _, available in ready])
        messages: list[Received] = []
        for (owned, _), share in zip(ready, shares, strict=True):
            if share:
                messages += self._take(owned, share)
        return messages

    def _take(self, owned: Owned, limit: int) -> list[Received]:
        file = self._files[owned.lease.topic]
        messages = file.read(owned.lease.number, owned.position, limit)
        if messages:
            owned.position = messages[-1].offset + 1
        return messages

    async def commit(self) -> None:
        """Commit what was polled, then give up what is due to others."""
        if self._books is None:
            return
        finished = [it for it in self._owned.values() if it.unfinished]
        leases = [replace(owned.lease, committed=owned.position) for owned in finished]
        with outages("the bus"):
            all_held = self._books.commit(self._member, leases)
            for owned, lease in zip(finished, leases, strict=True):
                owned.lease = lease
            if not all_held or any(lease.leaving for lease in leases):
                self._sync(self._books)

    async def rewind(self) -> None:
        """Go back to the last commit."""
        for owned in self._owned.values():
            owned.position = owned.lease.committed
        with outages("the bus"):
            if self._books is not None and any(it.lease.leaving for it in self._owned.values()):
                self._sync(self._books)

    async def lag(self) -> int:
        """Return how many messages of the owned partitions are not committed yet."""
        with outages("the bus"):
            heads = {name: file.heads() for name, file in self._files.items()}
        total = 0
        for (name, number), owned in self._owned.items():
            first, following = heads[name][number]
            total += following - max(first, owned.lease.committed)
        return total

    def owned(self) -> set[Place]:
        """Return the partitions this member owns and may keep."""
        return {place for place, it in self._owned.items() if not it.lease.leaving}

    async def close(self) -> None:
        """Leave the group; what was polled and not committed comes again elsewhere."""
        books, self._books = self._books, None
        if books is None:
            return
        if self._renewing is not None:
            self._renewing.cancel()
        self._owned = {}
        with outages("the bus"), closing(books):
            books.leave(self._member)


def share_out(limit: int, available: Sequence[int]) -> list[int]:
    """Share ``limit`` out evenly; what a short partition cannot use goes to the longer ones."""
    shares = [0] * len(available)
    by_length = sorted(range(len(available)), key=available.__getitem__)
    for rank, index in enumerate(by_length):
        shares[index] = min(available[index], limit // (len(available) - rank))
        limit -= shares[index]
    return shares
