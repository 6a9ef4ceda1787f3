"""Stores that die at their n-th write, just after the one before it has landed, or go slowly.

``one_by_one``: each fact of an append is a write of its own, as on a database without transactions.
"""

from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import Awaitable, Callable, Sequence
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


def without_last_words() -> None:
    """Have tasks that died in this event loop say nothing of it when they are collected.

    They would print where they died, for which Python 3.11 parses the source; collected while
    somebody else parses, that fails with "AST constructor recursion depth mismatch".
    """

    def hear(loop: AbstractEventLoop, context: dict[str, Any]) -> None:
        if not isinstance(context.get("exception"), Died):
            loop.default_exception_handler(context)

    get_running_loop().set_exception_handler(hear)


class DyingStore:
    """A store whose journals and views share a fuse."""

    def __init__(self, store: Store, fuse: Fuse, one_by_one: bool = False) -> None:
        self._store, self._fuse, self._one_by_one = store, fuse, one_by_one
        self._views: Any = DyingViews(store.views, fuse)

    @property
    def views(self) -> Views:
        views: Views = self._views
        return views

    def journal(self, name: str) -> Journal:
        async def burn() -> None:
            self._fuse.burn()

        before: Any = Before(self._store.journal(name), burn, self._one_by_one)
        journal: Journal = before
        return journal

    async def close(self) -> None:
        await self._store.close()


class Before:
    """A journal that does something before each write; each fact may be one."""

    def __init__(
        self, journal: Journal, act: Callable[[], Awaitable[None]], one_by_one: bool = False
    ) -> None:
        self._journal, self._act, self._one_by_one = journal, act, one_by_one

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    async def append(self, drafts: Sequence[Draft]) -> list[Appended]:
        if not self._one_by_one:
            await self._act()
            return await self._journal.append(drafts)
        outcomes: list[Appended] = []
        stopped: set[str] = set()
        for draft in drafts:
            if draft.stream in stopped:
                outcomes.append(Appended("not_tried"))
                continue
            await self._act()
            outcomes += await self._journal.append([draft])
            if outcomes[-1].outcome != "appended":
                stopped.add(draft.stream)
        return outcomes


class DyingViews:
    """Views on a fuse."""

    def __init__(self, views: Views, fuse: Fuse) -> None:
        self._views, self._fuse = views, fuse

    def __getattr__(self, name: str) -> Any:
        return getattr(self._views, name)

    async def save(self, collection: Collection, documents: Sequence[Document]) -> list[str]:
        self._fuse.burn()
        return await self._views.save(collection, documents)
