"""Keeping relationships: load them, save them by compare-and-set, pay their facts, say the card.

The order of a save is: document, facts, card, and only then does the caller commit its offsets. See
``owing`` for why the document goes first.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from kit.bus.port import Message
from kit.clock import Clock
from kit.journal.port import Draft, Journal
from kit.views.port import Document, Views
from services.members.domain.relationship import beginning
from services.members.domain.rules import Rules
from services.members.owing import missing, pay
from services.members.views import (
    RELATIONSHIPS,
    Kept,
    decode_kept,
    drafts,
    kept_document,
    relationship_stream,
)


class Publisher(Protocol):
    """The part of the bus that cards need."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publish, and return once all are durable."""


class Held(msgspec.Struct, frozen=True, gc=False):
    """A relationship in hand. ``fresh``: just read, not remembered from an earlier batch."""

    version: int
    kept: Kept
    fresh: bool = False


@dataclass
class Keeper:
    """The relationships of one process: a few thousand of them are remembered.

    What is remembered may be behind what another process wrote; then the save loses.
    """

    views: Views
    journal: Journal
    rules: Rules
    clock: Clock
    capacity: int = 4096
    _known: OrderedDict[str, Held] = field(default_factory=OrderedDict)

    async def held(self, member_ids: Iterable[str]) -> dict[str, Held]:
        """Return the relationship of each member, a beginning where there is none.

        What has just been read may owe facts to the journal; they are paid before anything else.
        """
        known = {m: held for m in member_ids if (held := self._known.get(m)) is not None}
        cold = [member_id for member_id in member_ids if member_id not in known]
        if not cold:
            return known
        documents = await self.views.load(RELATIONSHIPS, cold)
        owed: list[Draft] = []
        for member_id in cold:
            known[member_id] = self._read(documents.get(member_id))
            owed += drafts(relationship_stream(member_id), known[member_id].kept.owed)
        if owed:
            await pay(self.journal, await missing(self.journal, owed))
        return known

    def _read(self, document: Document | None) -> Held:
        if document is None:
            return Held(0, Kept(beginning(self.rules)), fresh=True)
        return Held(document.version, decode_kept(document), fresh=True)

    async def save(self, moved: Mapping[str, Held], *, unfinished: bool = False) -> dict[str, Held]:
        """Save what has moved and pay its facts; return what was saved, with its new version.

        A member that is not in the answer was changed by somebody else meanwhile.
        """
        documents: list[Document] = []
        for member_id, held in moved.items():
            self._known.pop(member_id, None)
            documents.append(
                kept_document(member_id, held.version, held.kept, unfinished=unfinished)
            )
        lost = set(await self.views.save(RELATIONSHIPS, documents))
        won = {m: held for m, held in moved.items() if m not in lost}
        await pay(
            self.journal,
            [
                draft
                for member_id, held in sorted(won.items())
                if held.kept.owed
                for draft in drafts(relationship_stream(member_id), held.kept.owed)
            ],
        )
        return self._remember(won)

    def _remember(self, won: Mapping[str, Held]) -> dict[str, Held]:
        saved: dict[str, Held] = {}
        for member_id, held in won.items():
            kept = Kept(held.kept.state, held.kept.facts)
            saved[member_id] = self._known[member_id] = Held(held.version + 1, kept)
        while len(self._known) > self.capacity:
            self._known.popitem(last=False)
        return saved

    def forget(self, member_ids: Iterable[str] | None = None) -> None:
        """Read these members (or all) anew next time."""
        if member_ids is None:
            self._known.clear()
            return
        for member_id in member_ids:
            self._known.pop(member_id, None)
