"""Halted owners: whom a group has stopped handling, and which of their messages are put aside.

When a message cannot be handled, handling the owner's next one would break their order. So the
owner halts: this message and all later ones go to the dead letters, in a list kept here. They come
back by re-drive and are handled strictly in the order of the list; when it is empty, the halt ends.
"""

from bisect import insort
from collections.abc import Iterable, Sequence

import msgspec

from kit.bus.port import Received
from kit.errors import Unavailable
from kit.views.port import Collection, Document, Query, Views

HALTED = Collection("halted", fields={"group": str}, indexes=(("group",),))
PAGE = 500


class Halt(msgspec.Struct):
    """An owner that a group has halted; ``parked`` are the offsets put aside, by topic."""

    group: str
    key: str
    since: int
    error: str
    parked: dict[str, list[int]] = msgspec.field(default_factory=dict)
    version: int = 0

    def copy(self) -> "Halt":
        """Return a halt that changes on its own."""
        parked = {topic: list(offsets) for topic, offsets in self.parked.items()}
        return Halt(self.group, self.key, self.since, self.error, parked, self.version)

    def park(self, topic: str, offset: int) -> None:
        """Note that a message is put aside; again is harmless."""
        offsets = self.parked.setdefault(topic, [])
        if offset not in offsets:
            insort(offsets, offset)

    def is_parked(self, topic: str, offset: int) -> bool:
        """Whether this message waits for its re-drive."""
        return offset in self.parked.get(topic, ())

    def is_next(self, topic: str, offset: int) -> bool:
        """Whether this message is the first of those that wait."""
        return self.parked.get(topic, [-1])[0] == offset

    def settle(self, topic: str, offset: int) -> None:
        """A message that was put aside has been handled."""
        offsets = self.parked.get(topic, [])
        if offset in offsets:
            offsets.remove(offset)
        if not offsets:
            self.parked.pop(topic, None)

    @property
    def over(self) -> bool:
        """Whether nothing waits any more."""
        return not self.parked


_decoder = msgspec.json.Decoder(Halt)


class Halts:
    """The halts of one group, in a view. An owner's partition has one consumer: no races."""

    def __init__(self, views: Views, group: str) -> None:
        self._views = views
        self._group = group

    async def load(self) -> dict[str, Halt]:
        """Return all halts of the group by key; as a rule there are none."""
        halts: dict[str, Halt] = {}
        query = Query(equals={"group": self._group}, limit=PAGE)
        while True:
            documents = await self._views.find(HALTED, query)
            for document in documents:
                halt = _decoder.decode(document.body)
                halt.version = document.version
                halts[halt.key] = halt
            if len(documents) < PAGE:
                return halts
            query = Query(equals=query.equals, after=(None, documents[-1].id), limit=PAGE)

    async def save(self, halts: Iterable[Halt]) -> None:
        """Write changed halts, remove those that are over."""
        changed = list(halts)
        over = [self._id(halt.key) for halt in changed if halt.over]
        lost = await self._views.save(HALTED, self._documents([h for h in changed if not h.over]))
        if lost:
            raise Unavailable("the halt of an owner", f"somebody else changed {lost[0]}")
        if over:
            await self._views.delete(HALTED, over)

    def _documents(self, halts: Sequence[Halt]) -> list[Document]:
        return [
            Document(
                self._id(halt.key), halt.version, msgspec.json.encode(halt), {"group": self._group}
            )
            for halt in halts
        ]

    def _id(self, key: str) -> str:
        return f"{self._group}/{key}"


def halt_for(group: str, received: Received, now: int, error: str) -> Halt:
    """Make the halt that this message causes."""
    return Halt(group, received.key, now, error)
