"""Waking consumers that wait: at once for what this process publishes, within 2 ms for the rest.

One loop per process looks at ``PRAGMA data_version`` of the files somebody waits for (2 µs each);
it ends when nobody does. After a quiet time it looks less often: waking a loop 500 times a second
costs 5 % of a core.
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from typing import Protocol

LOOK_EVERY_SECONDS = 0.002
QUIET_AFTER_LOOKS = 2_000
QUIET_LOOK_EVERY_SECONDS = 0.01


class Versioned(Protocol):
    """A file that tells when another connection has written to it."""

    def version(self) -> int:
        """Return a number that differs after a foreign write."""


class Watch:
    """Who waits for which files."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Event, Sequence[Versioned]] = {}
        self._seen: dict[Versioned, int] = {}
        self._looking: asyncio.Task[None] | None = None
        self._unchanged_looks = 0

    def wake(self, source: Versioned) -> None:
        """Wake those who wait for this file."""
        for event, sources in self._waiting.items():
            if source in sources:
                event.set()

    async def wait(self, sources: Sequence[Versioned], timeout: float) -> None:
        """Return when one of the files may have changed, or after ``timeout`` seconds."""
        event = asyncio.Event()
        self._waiting[event] = sources
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            async with asyncio.timeout(timeout):
                await event.wait()
        except TimeoutError:
            pass
        finally:
            del self._waiting[event]

    def forget(self, source: Versioned) -> None:
        """A file is being closed."""
        self._seen.pop(source, None)

    async def _look(self) -> None:
        while self._waiting:
            quiet = self._unchanged_looks > QUIET_AFTER_LOOKS
            await asyncio.sleep(QUIET_LOOK_EVERY_SECONDS if quiet else LOOK_EVERY_SECONDS)
            self._unchanged_looks += 1
            for source in {it for sources in self._waiting.values() for it in sources}:
                if self._changed(source):
                    self._unchanged_looks = 0
                    self.wake(source)

    def _changed(self, source: Versioned) -> bool:
        try:
            version = source.version()
        except sqlite3.Error:
            return True  # the waiting poll meets the same error, and can say so
        if self._seen.get(source) == version:
            return False
        self._seen[source] = version
        return True
