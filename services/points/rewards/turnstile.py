"""A turnstile before streams: what many ask at once goes through in one batch.

Requests of one process would otherwise race each other for the next seq of a busy stream and each
of them pay for a commit. Behind the turnstile they wait while a batch is on its way, and go
together with the next one, decided in the order they came. Other processes are still met by the
journal's own constraints; nothing here is needed for them to hold. Where others do write these
streams, the next batches are decided on what the journal has now: a read costs less than a race
that is lost. Where nobody does, they are decided on what this process knows, without a read.

Documents are written behind the answers, for all that moved since the last time: they are what
lists and duties look at, and may be a moment late. What a crash leaves unwritten is written when
the stream next moves, or by whoever asks the streams to ``keep`` their documents.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from kit.errors import ServiceError
from kit.streams import Command, New, Result, Streams
from services.points.rewards.behind import unless

S = TypeVar("S")
C = TypeVar("C")
MOST_IN_BATCH = 256
KEEP_SECONDS = 1.0
WARY_BATCHES = 16
"""So many batches are decided on fresh heads when a race was lost, before the next goes without."""


@dataclass
class _Batch(Generic[C]):
    results: "asyncio.Future[list[Result]]"
    commands: list[Command[C]] = field(default_factory=list)


class Turnstile(Generic[S, C]):
    """Carries out commands on ``streams`` by ``decide``; belongs to one event loop."""

    def __init__(self, streams: Streams[S, C], decide: Callable[[S, C], Sequence[New]]) -> None:
        self._streams, self._decide = streams, decide
        self._next: _Batch[C] | None = None
        self._last: asyncio.Task[None] | None = None
        self._moved: set[str] = set()
        self._keeping: asyncio.Task[None] | None = None
        self._kept_at = 0.0
        self._wary = 0
        self._hurry = asyncio.Event()

    async def pass_(self, command: Command[C]) -> Result:
        """Carry out one command; what became of it. Raises as ``Streams.execute`` does."""
        results, place = self._join(command)
        # Shielded: a caller who goes away must not take the others' batch along.
        return (await asyncio.shield(results))[place]

    async def pass_all(self, commands: Sequence[Command[C]]) -> list[Result]:
        """Carry out several commands, in order and in as few batches as they need."""
        waiting = [self._join(command) for command in commands]
        return [(await asyncio.shield(results))[place] for results, place in waiting]

    def _join(self, command: Command[C]) -> "tuple[asyncio.Future[list[Result]], int]":
        """Join the batch that goes next; where its results will be, and the place in them."""
        batch = self._next
        if batch is None:
            batch = self._next = _Batch(asyncio.get_running_loop().create_future())
            self._last = asyncio.create_task(self._run(batch, self._last))
        batch.commands.append(command)
        if len(batch.commands) == MOST_IN_BATCH:
            self._next = None
        return batch.results, len(batch.commands) - 1

    async def idle(self) -> None:
        """Return when nothing is on its way, documents neither."""
        if self._last is not None and not self._last.done():
            await asyncio.wait([self._last])
        if self._keeping is not None and not self._keeping.done():
            self._hurry.set()
            await asyncio.wait([self._keeping])

    async def _run(self, batch: _Batch[C], before: "asyncio.Task[None] | None") -> None:
        if before is not None:
            await asyncio.wait([before])
        if self._next is batch:
            self._next = None
        try:
            batch.results.set_result(await self._execute(batch.commands))
        except ServiceError as error:
            _fail(batch.results, error)
        except Exception as error:
            _fail(batch.results, error)
            raise
        self._moved.update(command.owner for command in batch.commands)
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._keep())

    async def _execute(self, commands: Sequence[Command[C]]) -> list[Result]:
        """All at once; where that is contended, one by one, so that each gets its own answer."""
        lost = self._streams.lost_races
        try:
            if self._wary:
                await self._streams.heads({command.owner for command in commands}, fresh=True)
            return await self._streams.execute(commands, self._decide)
        except ServiceError as error:
            if error.code != "contended" or len(commands) == 1:
                raise
        finally:
            raced = self._streams.lost_races > lost
            self._wary = WARY_BATCHES if raced else max(0, self._wary - 1)
        return [await self._alone(command) for command in commands]

    async def _alone(self, command: Command[C]) -> Result:
        try:
            (result,) = await self._streams.execute([command], self._decide)
        except ServiceError as error:
            return Result(error=error)
        return result

    async def _keep(self) -> None:
        """Write the documents: at once after a quiet time or when asked to, else once a second."""
        while self._moved:
            await unless(self._hurry, self._kept_at + KEEP_SECONDS - time.monotonic())
            moved, self._moved = self._moved, set()
            with suppress(ServiceError):  # the store is out: whoever keeps the documents next, does
                await self._streams.keep(moved)
            self._kept_at = time.monotonic()


def _fail(results: "asyncio.Future[list[Result]]", error: Exception) -> None:
    """Tell all who asked; nobody is left waiting, and nothing is logged if they have gone away."""
    results.set_exception(error)
    results.exception()
