"""A store that dies at its n-th write: just after the one before it has landed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kit.journal.port import Appended, Draft, Journal
from kit.store import Store
from kit.views.port import Collection, Document, Views


class Died(Exception):
    """The process is gone."""


@dataclass
class Fuse:
    """Burns down with every write."""

    writes: int

    def burn(self) -> None:
        """Count a write. Raises Died instead of the last one, and of all that follow."""
        self.writes -= 1
        if self.writes <= 0:
            raise Died


class DyingStore:
    """A store whose journals and views share a fuse."""

    def __init__(self, store: Store, fuse: Fuse) -> None:
        self._store, self._fuse = store, fuse
        self._views: Any = DyingViews(store.views, fuse)

    @property
    def views(self) -> Views:
        views: Views = self._views
        return views

    def journal(self, name: str) -> Journal:
        dying: Any = DyingJournal(self._store.journal(name), self._fuse)
        journal: Journal = dying
        return journal

    async def close(self) -> None:
        await self._store.close()


class DyingJournal:
    """A journal on a fuse."""

    def __init__(self, journal: Journal, fuse: Fuse) -> None:
        self._journal, self._fuse = journal, fuse

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    async def append(self, drafts: Sequence[Draft]) -> list[Appended]:
        self._fuse.burn()
        return await self._journal.append(drafts)


class DyingViews:
    """Views on a fuse."""

    def __init__(self, views: Views, fuse: Fuse) -> None:
        self._views, self._fuse = views, fuse

    def __getattr__(self, name: str) -> Any:
        return getattr(self._views, name)

    async def save(self, collection: Collection, documents: Sequence[Document]) -> list[str]:
        self._fuse.burn()
        return await self._views.save(collection, documents)
