"""The outbox of a journal in MongoDB: which facts are unpublished, in the order of their streams.

A fact of a small append bears the mark ``out`` until it is published; those of a large one are
named in a note (``kit.journal.notes``). Both are asked for together, and a stream may have both.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import islice

from contracts.envelope import Fact, fact_id
from kit.journal.notes import Notes
from kit.journal.outlook import Outlook
from kit.journal.rows import IDS, fact_of, parts
from kit.mongo.driver import Documents, Row

# So many streams' earlier facts are fetched at a time, so many facts at once. The others wait.
LATE_STREAMS, LATE_FACTS = 8, 1_000
_UNPUBLISHED = {"out": {"$gt": ""}}


class MongoOutbox:
    """Of one journal; ``appended`` is set when this process has appended to it."""

    def __init__(self, facts: Documents, notes: Notes, outlook: Outlook) -> None:
        self._facts, self._notes, self._outlook = facts, notes, outlook
        self._limit = 1000
        self.appended = asyncio.Event()

    async def unpublished(self, limit: int) -> list[Fact]:
        """Return unpublished facts, the oldest first, none before its stream's earlier ones.

        ``out`` orders by the writers' clocks, so that no stream waits for ever behind busier ones.
        But clocks differ, and a query that meets a writer halfway may see the later fact alone.
        So of each stream the fact before the first one found is looked at: when it is unpublished
        too, the stream's earlier facts are fetched.
        """
        rows = await self._ask(limit)
        self._limit = limit
        lines: dict[str, list[Fact]] = {}
        for fact in (*map(fact_of, rows), *self._notes.held(limit)):
            lines.setdefault(fact.stream, []).append(fact)
        for line in lines.values():
            line.sort(key=_seq)
        await self._complete(lines, limit)
        oldest_first = sorted(lines.values(), key=_posted)
        return list(islice((fact for line in oldest_first for fact in _gapless(line)), limit))

    async def _ask(self, limit: int) -> list[Row]:
        """Return marked facts; the notes remember theirs. Nothing: only if all was asked for."""
        rows = self._outlook.glimpse(limit)
        if rows is None or (self.appended.is_set() and not rows):
            since = self._outlook.since() if self.appended.is_set() else 0
            self.appended.clear()
            rows = await self._marked(limit, since)
            if not since or self._notes.behind or self._outlook.notes_due():
                await self._notes.look(limit)
            if since and not rows and not self._notes.waiting:
                rows = await self._marked(limit)
                await self._notes.look(limit)
        return rows

    async def _marked(self, limit: int, since: int = 0) -> list[Row]:
        where = {"out": {"$gt": f"{since:020d}"}} if since else _UNPUBLISHED
        rows = await self._facts.find(where, sort=[("out", 1)], limit=limit)
        self._outlook.found(rows)
        return rows

    async def _complete(self, lines: dict[str, list[Fact]], limit: int) -> None:
        """Put a stream's earlier unpublished facts first, or leave it out for this time."""
        late = sorted(await self._late(lines), key=lambda stream: lines[stream][0].posted_at)
        for stream in late[:LATE_STREAMS]:
            earlier = await self._earlier(stream, lines[stream][0].seq, limit)
            lines[stream] = [*earlier, *lines[stream]]
        for stream in late[LATE_STREAMS:]:
            del lines[stream]

    async def _late(self, lines: dict[str, list[Fact]]) -> list[str]:
        """Return the streams of which a fact before the first one found is unpublished."""
        before = {
            fact_id(stream, line[0].seq - 1): stream
            for stream, line in lines.items()
            if not self._outlook.published(stream, line[0].seq - 1)
        }
        late: list[str] = []
        for part in parts(list(before), IDS):
            fields = ["stream", "seq", "out", "note"]
            rows = await self._facts.find({"_id": {"$in": list(part)}}, fields=fields)
            late += [before[id_] for id_ in await self._notes.unsettled(rows)]
        return late

    async def _earlier(self, stream: str, seq: int, limit: int) -> list[Fact]:
        """Go back from ``seq`` to the first unpublished fact; return up to ``limit`` from there."""
        earlier: list[Fact] = []
        while True:
            ids = {
                "$gt": fact_id(stream, max(0, seq - 1 - LATE_FACTS)),
                "$lt": fact_id(stream, seq),
            }
            rows = await self._facts.find({"_id": ids}, sort=[("_id", -1)])
            unsettled = await self._notes.unsettled(rows)
            found = [fact_of(row) for row in _until(rows, unsettled)]
            earlier = [*reversed(found), *earlier][:limit]
            if len(found) < LATE_FACTS:
                return earlier
            seq = found[-1].seq

    async def mark_published(self, facts: Sequence[Fact]) -> None:
        """Take the marks off, and delete the notes of which all is published."""
        noted = [fact for fact in facts if self._notes.holds(fact.id)]
        known = {fact.id for fact in noted}
        marked = [fact for fact in facts if fact.id not in known]
        for part in parts(sorted(fact.id for fact in marked), IDS):
            await self._facts.unset({"_id": {"$in": list(part)}}, "out")
        self._outlook.marked(marked)
        self._outlook.published_all(noted)
        await self._notes.published(noted)

    async def changed(self, timeout: float) -> None:
        """Return when something is unpublished, or this process has appended since it was asked.

        Other processes' appends are found by asking; a change stream would need a replica set.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        pause = self._outlook.first_pause()
        while not await self._appended_within(min(pause, deadline - loop.time())):
            asked = loop.time()
            last = asked >= deadline
            rows = await self._marked(self._limit, 0 if last else self._outlook.since())
            if self._outlook.notes_due():
                await self._notes.look(self._limit)
            if rows or last or self._notes.waiting:
                self._outlook.glimpsed(self._limit, rows)
                return
            pause = self._outlook.pause(loop.time() - asked)

    async def _appended_within(self, seconds: float) -> bool:
        if seconds > 0 and not self.appended.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self.appended.wait(), seconds)
        return self.appended.is_set()


def _until(rows: Iterable[Row], unsettled: set[str]) -> Iterable[Row]:
    """Yield rows up to the first that is published: all before it are, too."""
    for row in rows:
        if row["_id"] not in unsettled:
            return
        yield row


def _gapless(line: list[Fact]) -> Iterable[Fact]:
    """Yield facts of a stream, in seq order, up to the first gap."""
    expected = line[0].seq
    for fact in line:
        if fact.seq != expected:
            return
        yield fact
        expected += 1


def _seq(fact: Fact) -> int:
    return fact.seq


def _posted(line: list[Fact]) -> int:
    return line[0].posted_at
