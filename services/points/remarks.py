"""Remarks: what people write beside points, kept apart from the ledger.

The journal never forgets, and is read by many; so a fact has the id of a remark, and the text is in
``remarks``: a record, which a rebuild never touches. An id is random, so that it says nothing of
the text, and no hash of it is written anywhere: a short text can be guessed.

A remark is written before its fact. What dies in between leaves a remark that nothing names; it
harms nobody, and an erasure finds it as it finds the others. A remark that was erased is absent.
"""

from base64 import b32encode
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from secrets import token_bytes
from typing import Protocol

import msgspec

from kit.clock import Clock
from kit.errors import ServiceError
from kit.views.port import Collection, Document, Query, Views

REMARKS = Collection(
    "remarks", fields={"member": str, "other": str}, indexes=(("member",), ("other",))
)
ID_BYTES = 15
PAGE = 100


@dataclass(frozen=True, slots=True)
class Said:
    """A text, who wrote it, and the one or two members it concerns."""

    text: str
    by: str
    member: str
    other: str | None = None


class Remark(msgspec.Struct, frozen=True, omit_defaults=True):
    """A remark as it is stored; ``written_at`` in microseconds."""

    text: str
    by: str
    members: tuple[str, ...]
    written_at: int


class Noted(Protocol):
    """What has a remark; or, from before there were any, the text itself."""

    @property
    def note(self) -> str | None:
        """The text, of old."""

    @property
    def remark(self) -> str | None:
        """The id of the text."""


class Remarks:
    """The remarks of one service."""

    def __init__(self, views: Views, clock: Clock) -> None:
        self._views, self._clock = views, clock

    async def write(self, said: Said) -> str:
        """Keep a text; returns its id."""
        id_ = f"rmk_{b32encode(token_bytes(ID_BYTES)).decode().lower()}"
        members = tuple(dict.fromkeys(each for each in (said.member, said.other) if each))
        body = msgspec.json.encode(Remark(said.text, said.by, members, self._clock()))
        index = {"member": said.member, "other": said.other}
        await self._views.save(REMARKS, [Document(id_, 0, body, index)])
        return id_

    async def texts(self, noted: Iterable[Noted]) -> dict[str, str]:
        """The texts of all of these, by id, in one query; none when none of them has a remark."""
        ids = list(dict.fromkeys(each.remark for each in noted if each.remark is not None))
        if not ids:
            return {}
        found = await self._views.load(REMARKS, ids)
        return {id_: msgspec.json.decode(d.body, type=Remark).text for id_, d in found.items()}

    async def note(self, noted: Noted) -> str | None:
        """The text of one; None when there is none, or it was erased."""
        return shown(noted, await self.texts([noted]))

    async def discard(self, id_: str) -> None:
        """Forget a remark that no fact names, if that can be done: it harms nobody."""
        with suppress(ServiceError):
            await self._views.delete(REMARKS, [id_])

    async def erase(self, member_id: str) -> int:
        """Forget all that was written by or about a member; returns how many remarks that were."""
        erased = 0
        for field in ("member", "other"):
            query = Query(equals={field: member_id}, limit=PAGE)
            while found := await self._views.find(REMARKS, query):
                await self._views.delete(REMARKS, [document.id for document in found])
                erased += len(found)
        return erased


def said(text: str | None, by: str, member: str, other: str | None = None) -> Said | None:
    """What a request says, if it says anything."""
    return None if text is None else Said(text, by, member, other)


def shown(noted: Noted, texts: Mapping[str, str]) -> str | None:
    """The text of an entry or a row, from those that were read."""
    return noted.note if noted.remark is None else texts.get(noted.remark)
