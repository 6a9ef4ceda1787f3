"""What is done a moment behind the answers, for all that came in meanwhile.

Nobody waits for it, and somebody else does it later if it is not done: so an outage is passed over.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Generic, TypeVar

from kit.errors import ServiceError

T = TypeVar("T")


class Behind(Generic[T]):
    """Calls ``work`` with all that was added, some seconds after the first of it.

    Belongs to one event loop.
    """

    def __init__(self, work: Callable[[list[T]], Awaitable[None]], seconds: float) -> None:
        self._work, self._seconds = work, seconds
        self._waiting: list[T] = []
        self._working: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()

    def add(self, item: T) -> None:
        """Have this seen to soon."""
        self._waiting.append(item)
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._run())

    async def idle(self) -> None:
        """Return when all that was added is seen to, or cannot be; without further delay."""
        if self._working is not None and not self._working.done():
            self._hurry.set()
            await asyncio.wait([self._working])

    async def _run(self) -> None:
        while self._waiting:
            await unless(self._hurry, self._seconds)
            items, self._waiting = self._waiting, []
            with suppress(ServiceError):
                await self._work(items)


async def unless(hurry: asyncio.Event, seconds: float) -> None:
    """Wait some seconds, or until somebody is in a hurry, which is over then."""
    with suppress(TimeoutError):
        async with asyncio.timeout(max(0.0, seconds)):
            await hurry.wait()
    hurry.clear()
