"""Views: the documents that queries read, each with a version, written by compare-and-set.

A view can be dropped and rebuilt from journals. Bodies are encoded JSON; the store looks only at
``index``, the fields a collection declares to find documents by.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

IndexValue = str | int | None


@dataclass(frozen=True)
class Collection:
    """A collection of documents and the fields it is searched by.

    An index is a tuple of field names; documents are found by equality on a prefix of it and a
    range on the next field, ordered by it and then by id.
    """

    name: str
    fields: Mapping[str, type[str] | type[int]] = field(default_factory=dict)
    indexes: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A document; ``version`` counts its writes from 1, and 0 means it is not there yet."""

    id: str
    version: int
    body: bytes
    index: Mapping[str, IndexValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Query:
    """``equals`` on some fields, then ``lower <= field < upper`` on ``order_by``, then a limit.

    ``after`` continues behind a (value, id) pair: the cursor of the last document seen.
    """

    equals: Mapping[str, IndexValue] = field(default_factory=dict)
    order_by: str | None = None
    lower: IndexValue = None
    upper: IndexValue = None
    after: tuple[IndexValue, str] | None = None
    limit: int = 100


class Views(Protocol):
    """The documents of one service."""

    async def prepare(self, collections: Sequence[Collection]) -> None:
        """Create collections and their indexes; harmless when they are there."""

    async def load(self, collection: Collection, ids: Sequence[str]) -> dict[str, Document]:
        """Return the documents that exist, by id (one query)."""

    async def save(self, collection: Collection, documents: Sequence[Document]) -> list[str]:
        """Write each document whose stored version is ``version``; return the ids that lost.

        ``version`` is the one that was read (0: it must not exist yet); the stored document then
        has ``version + 1``. Documents are independent of each other.
        """

    async def delete(self, collection: Collection, ids: Sequence[str]) -> None:
        """Remove documents whatever their version."""

    async def find(self, collection: Collection, query: Query) -> list[Document]:
        """Return documents in the order of the query."""

    async def count(self, collection: Collection, group_by: str | None = None) -> dict[str, int]:
        """Return the number of documents per value of a declared field ("" for all of them)."""

    async def drop(self, collection: Collection) -> None:
        """Remove all documents of the collection (rebuild)."""

    async def close(self) -> None:
        """Release connections."""
