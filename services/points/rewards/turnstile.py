"""A turnstile before streams: what many ask at once goes through in one batch.

Requests of one process would otherwise race each other for the next seq of a busy stream and each
of them pay for a commit. Behind the turnstile they wait while a batch is on its way, and go
together with the next one, decided in the order they came. Other processes are still met by the
journal's own constraints; nothing here is needed for them to hold.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from kit.errors import ServiceError
from kit.streams import Command, New, Result, Streams

S = TypeVar("S")
C = TypeVar("C")
MOST_IN_BATCH = 256
ROUNDS = 5


@dataclass
class _Batch(Generic[C]):
    commands: list[Command[C]] = field(default_factory=list)
    task: "asyncio.Task[list[Result]] | None" = None


class Turnstile(Generic[S, C]):
    """Carries out commands on ``streams`` by ``decide``; belongs to one event loop."""

    def __init__(self, streams: Streams[S, C], decide: Callable[[S, C], Sequence[New]]) -> None:
        self._streams, self._decide = streams, decide
        self._next: _Batch[C] | None = None
        self._last: asyncio.Task[list[Result]] | None = None

    async def pass_(self, command: Command[C]) -> Result:
        """Carry out one command; what became of it. Raises as ``Streams.execute`` does."""
        batch = self._next
        if batch is None:
            batch = self._next = _Batch()
            batch.task = asyncio.create_task(self._run(batch, self._last))
            self._last = batch.task
        place = len(batch.commands)
        batch.commands.append(command)
        if len(batch.commands) == MOST_IN_BATCH:
            self._next = None
        assert batch.task is not None
        # Shielded: a caller who goes away must not take the others' batch along.
        return (await asyncio.shield(batch.task))[place]

    async def _run(
        self, batch: _Batch[C], before: "asyncio.Task[list[Result]] | None"
    ) -> list[Result]:
        if before is not None:
            await asyncio.wait([before])
        if self._next is batch:
            self._next = None
        for _ in range(ROUNDS - 1):
            try:
                return await self._streams.execute(batch.commands, self._decide)
            except ServiceError as error:
                if error.code != "contended":
                    raise
        return await self._streams.execute(batch.commands, self._decide)
