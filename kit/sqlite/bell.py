"""A bell for a file: whoever commits rings, and whoever waits for the file hears it at once.

SQLite tells nobody of a commit, and asking often enough to be quick is dear: a timer that fires
500 times a second takes up to 9 % of a core. So each waiting process keeps a named pipe beside the
file, ``bells/FILE/PROCESS-RANDOM.bell``, and a byte is written to all of them after a commit. A
byte says that something may be new, never what.

Nothing hangs on it: whoever waits looks at the file now and then as well (``watch``), so a byte
that is lost costs that much time. A pipe, not a socket: a path may be of any length, and whatever
has gathered in it is one read.
"""

import asyncio
import errno
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

_SUFFIX = ".bell"
# Two changes of a directory within one tick of the kernel's clock leave the same time on it.
_TICK_NANOSECONDS = 100_000_000


class Bell:
    """The bell of one file, as one of those who open it has it. Belongs to one event loop."""

    def __init__(self, file: Path) -> None:
        self._directory = file.parent / "bells" / file.stem
        self._name = f"{os.getpid()}-{uuid4().hex[:12]}{_SUFFIX}"
        self._pipe: int | None = None
        self._deaf = False
        self._closed = False
        self._listeners: set[Callable[[], None]] = set()
        self._others: dict[str, int] = {}
        self._listed_at = -1
        self._ringing: asyncio.AbstractEventLoop | None = None

    @property
    def audible(self) -> bool:
        """Whether others can ring here; else a listener has to ask for himself."""
        return self._pipe is not None

    def listen(self, heard: Callable[[], None]) -> None:
        """Call ``heard`` whenever somebody rings, until told to ``leave``."""
        self._listeners.add(heard)
        if len(self._listeners) > 1:
            return
        if self._pipe is None and not self._deaf:
            self._hang_up()
        if self._pipe is not None:
            asyncio.get_running_loop().add_reader(self._pipe, self._rung)

    def leave(self, heard: Callable[[], None]) -> None:
        """Call it no more. Nobody is woken by rings that nobody listens for."""
        self._listeners.discard(heard)
        if not self._listeners and self._pipe is not None:
            asyncio.get_running_loop().remove_reader(self._pipe)

    def ring(self) -> None:
        """Tell all who listen; those of other processes once for all rings of this moment."""
        for heard in tuple(self._listeners):
            heard()
        loop = asyncio.get_running_loop()
        if self._ringing is not loop:
            self._ringing = loop
            loop.call_soon(self._ring_others)

    def close(self) -> None:
        """Take the own pipe away, and let go of those of others."""
        if self._ringing is not None:
            self._ring_others()
        for name in tuple(self._others):
            self._forget(name)
        pipe, self._pipe = self._pipe, None
        self._closed = self._deaf = True
        if pipe is not None:
            if self._listeners:
                asyncio.get_running_loop().remove_reader(pipe)
            with suppress(OSError):
                (self._directory / self._name).unlink()
            os.close(pipe)

    def _hang_up(self) -> None:
        """Make the own pipe; it gets its name when it is open, for a pipe nobody holds is dead."""
        unnamed = self._directory / f".{self._name}"
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            os.mkfifo(unnamed)
            pipe = os.open(unnamed, os.O_RDWR | os.O_NONBLOCK)
            unnamed.rename(self._directory / self._name)
        except (OSError, AttributeError):  # no such thing on this system or on this disk
            self._deaf = True
            return
        self._pipe = pipe
        self._look_for_others()

    def _rung(self) -> None:
        if self._pipe is not None:
            with suppress(BlockingIOError):
                os.read(self._pipe, 4_096)
        for heard in tuple(self._listeners):
            heard()

    def _ring_others(self) -> None:
        if self._closed:
            return
        self._ringing = None
        self._look_for_others()
        for name, pipe in tuple(self._others.items()):
            try:
                os.write(pipe, b"!")
            except BlockingIOError:
                pass  # it has rung for long, and nobody listens
            except OSError:
                self._forget(name)
                self._bury(name)

    def _look_for_others(self) -> None:
        """Open the pipes that have come since; to look costs 2 µs when none has."""
        try:
            changed_at = self._directory.stat().st_mtime_ns
            if changed_at == self._listed_at:
                return
            names = {name for name in os.listdir(self._directory) if name.endswith(_SUFFIX)}
        except OSError:
            return
        settled = time.time_ns() - changed_at > _TICK_NANOSECONDS
        self._listed_at = changed_at if settled else -1
        for name in self._others.keys() - names:
            self._forget(name)
        for name in names - self._others.keys() - {self._name}:
            if not name.startswith("."):
                self._open(name)

    def _open(self, name: str) -> None:
        try:
            self._others[name] = os.open(self._directory / name, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno == errno.ENXIO:
                self._bury(name)

    def _forget(self, name: str) -> None:
        os.close(self._others.pop(name))

    def _bury(self, name: str) -> None:
        """Remove a pipe that nobody holds: its process was killed."""
        with suppress(OSError):
            (self._directory / name).unlink()
