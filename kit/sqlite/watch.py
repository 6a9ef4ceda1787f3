"""Waiting for others to write to files: woken by their bells, and looking now and then as well.

One watch for each event loop: a timer that fires costs 0.2 ms of processor, whatever it does, so
all who wait share one. Where bells cannot be had the looking is all there is, and more frequent.
"""

import asyncio
import sqlite3
from collections.abc import Mapping
from typing import Protocol
from weakref import WeakKeyDictionary

from kit.errors import ServiceError
from kit.sqlite.bell import Bell

LOOK_SECONDS = 0.1
"""What a ring that is lost costs at most."""
DEAF_LOOK_SECONDS, QUIET_LOOK_SECONDS = 0.002, 0.01
QUIET_AFTER_SECONDS = 4.0


class Watched(Protocol):
    """A file that others write to. ``bell`` is None where a change may be seen late."""

    @property
    def bell(self) -> Bell | None:
        """What is rung when it has changed."""

    def version(self) -> int:
        """Return a number that has changed when there is news."""


class Watch:
    """Who waits for which files on one event loop."""

    def __init__(self) -> None:
        self._waiting: set[_Wait] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._stirred = 0.0

    async def wait(self, seen: Mapping[Watched, int], timeout: float) -> None:
        """Return when a file has another version than the one seen, or after ``timeout`` seconds.

        Raises what asking a version raises.
        """
        loop = asyncio.get_running_loop()
        wait = _Wait(seen, loop.create_future())
        deadline = loop.call_later(timeout, wait.end)
        wait.listen()
        self._waiting.add(wait)
        try:
            wait.look()
            if self._timer is None:
                self._look_later(loop)
            if await wait.future:
                self._stirred = loop.time()
        finally:
            self._waiting.discard(wait)
            wait.leave()
            deadline.cancel()
            if self._timer is not None and not self._waiting:
                self._timer.cancel()
                self._timer = None

    def _look_later(self, loop: asyncio.AbstractEventLoop) -> None:
        quiet = loop.time() - self._stirred > QUIET_AFTER_SECONDS
        pause = QUIET_LOOK_SECONDS if quiet else DEAF_LOOK_SECONDS
        if all(wait.audible for wait in self._waiting):
            pause = LOOK_SECONDS
        self._timer = loop.call_later(pause, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        for wait in self._waiting:
            wait.look()
        if self._waiting:
            self._look_later(loop)


class _Wait:
    """Somebody who waits. ``future``: whether there is news."""

    def __init__(self, seen: Mapping[Watched, int], future: asyncio.Future[bool]) -> None:
        self.future = future
        self._seen = seen
        self._bells = [source.bell for source in seen if source.bell is not None]

    @property
    def audible(self) -> bool:
        return all(bell.audible for bell in self._bells)

    def listen(self) -> None:
        for bell in self._bells:
            bell.listen(self.look)

    def leave(self) -> None:
        for bell in self._bells:
            bell.leave(self.look)

    def look(self) -> None:
        """End the wait if there is news."""
        if self.future.done():
            return
        try:
            if any(source.version() != version for source, version in self._seen.items()):
                self.future.set_result(True)
        except (sqlite3.Error, ServiceError) as error:
            self.future.set_exception(error)

    def end(self) -> None:
        """End it without."""
        if not self.future.done():
            self.future.set_result(False)


_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, Watch] = WeakKeyDictionary()


def running_watch() -> Watch:
    """Return the watch of the running event loop."""
    return _watches.setdefault(asyncio.get_running_loop(), Watch())
