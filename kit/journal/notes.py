"""Notes: the outbox of large appends in a document database.

A mark on each fact has to be taken off each fact again, which costs a document database more than
the fact itself did. So a large append first writes one note with the ids of its facts, and its
facts name the note. A fact that is in the journal was noted before, so none is ever lost; a note
is deleted when all its facts are published.

What this process appends it remembers, and publishes unread. Other notes are read: another
process's, those of an earlier life, and those that were too many to remember. A note may name
facts that are not there: its writer is at work, asleep or dead. It is never given up while one of
them may still come; it is settled when some fact stands at that id, whoever wrote it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from heapq import nsmallest
from itertools import islice
from uuid import uuid4

from contracts.envelope import Fact, fact_id
from kit.errors import Unavailable
from kit.journal.drafts import fact_from
from kit.journal.outlook import Outlook
from kit.journal.port import Draft
from kit.journal.rows import IDS, fact_of, parts, seq_of
from kit.mongo.driver import Documents, Row

# Facts are not kept in memory for longer where nobody asks for them.
RELAYS_SECONDS = 10.0
# Facts that are not there are looked for again soon, and then less and less often.
SOONEST_LOOK_SECONDS, LATEST_LOOK_SECONDS = 0.05, 30.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is taken in hand at a time, and remembered.

    A note names ``facts`` facts. So many names are ``listed`` by one query, so many notes ``read``
    at once, and of their facts ``fetched`` at least. ``held`` unpublished facts are kept in memory,
    and the ids of ``missing`` ones.
    """

    facts: int = 1_000
    listed: int = 1_000
    read: int = 8
    fetched: int = 100
    held: int = 20_000
    missing: int = 100_000


BOUNDS = Bounds()


@dataclass(slots=True, eq=False)
class _Note:
    id: str
    found_at: float
    look_at: float = 0.0
    own: bool = False
    unseen: dict[str, None] = field(default_factory=dict)  # not asked for yet
    missing: dict[str, None] = field(default_factory=dict)  # not there when they were asked for
    pending: dict[str, Fact] = field(default_factory=dict)  # there, and to be published
    forgotten: bool = False  # which are missing; all are read again when it is looked at

    @property
    def settled(self) -> bool:
        return not (self.unseen or self.missing or self.pending or self.forgotten)

    def may_hold(self, id_: str) -> bool:
        """Whether this fact may not be published yet."""
        among = id_ in self.pending or id_ in self.unseen or id_ in self.missing
        return among or self.forgotten


def _look_at(note: _Note) -> float:
    return note.look_at


class Notes:
    """Those of one journal, and what this process knows of them. Forgetting costs a question."""

    def __init__(
        self,
        notes: Documents,
        facts: Documents,
        outlook: Outlook,
        now: Callable[[], float] = time.monotonic,
        bounds: Bounds = BOUNDS,
    ) -> None:
        self._notes, self._facts, self._outlook, self._now = notes, facts, outlook, now
        self._bounds = bounds
        self._known: dict[str, _Note] = {}
        self._where: dict[str, _Note] = {}  # by the ids of pending facts
        self._writing: set[str] = set()
        self._settled: set[str] = set()  # published or without facts, and to be deleted
        self._unread: list[str] = []
        self._cursor = ""
        self._asked_at = -RELAYS_SECONDS
        self._lock = asyncio.Lock()
        self.behind = True

    async def prepare(self) -> None:
        """Create the collection, unless it is there."""
        await self._notes.create()

    @asynccontextmanager
    async def around(self, drafts: Sequence[Draft]) -> AsyncIterator[list[str]]:
        """Note what is about to be appended; yields the note of each draft."""
        name = f"{drafts[0].posted_at:020d}/{uuid4().hex}"
        rows: dict[str, Row] = {}
        for number, part in enumerate(parts(drafts, self._bounds.facts)):
            id_ = f"{name}/{number}"
            rows[id_] = {"_id": id_, "facts": [fact_id(d.stream, d.seq) for d in part]}
        names = list(rows)
        self._outlook.appending(names)
        self._writing.update(names)
        try:
            await self._notes.insert(list(rows.values()))
            yield [names[place // self._bounds.facts] for place in range(len(drafts))]
        finally:
            self._writing.difference_update(names)

    async def landed(
        self, drafts: Sequence[Draft], names: Sequence[str], places: Collection[int]
    ) -> None:
        """Only the drafts in these places are in the journal under their notes, or will ever be."""
        notes: dict[str, dict[str, Fact]] = {name: {} for name in names}
        for place in sorted(places):
            fact = fact_from(drafts[place])
            notes[names[place]][fact.id] = fact
        if len(places) < len(drafts):
            with suppress(Unavailable):
                await self._correct(notes)
        for name, facts in notes.items():
            if facts:
                self._remember(name, facts)

    async def _correct(self, notes: dict[str, dict[str, Fact]]) -> None:
        if empty := [name for name, facts in notes.items() if not facts]:
            await self._notes.delete({"_id": {"$in": empty}})
        rows = [{"_id": name, "facts": list(facts)} for name, facts in notes.items() if facts]
        if rows:
            await self._notes.replace([({"_id": row["_id"]}, row) for row in rows])

    def _remember(self, name: str, facts: dict[str, Fact]) -> None:
        relays = self._now() - self._asked_at < RELAYS_SECONDS
        if self.behind or not relays or len(self._where) + len(facts) > self._bounds.held:
            self._forget()
            return
        self._known[name] = note = _Note(name, self._now(), own=True)
        for fact in facts.values():
            self._hold(note, fact)
        self._see_to([note])

    def _hold(self, note: _Note, fact: Fact) -> None:
        if not self._outlook.published(fact.stream, fact.seq):
            note.pending[fact.id] = fact
            self._where[fact.id] = note

    def _forget(self) -> None:
        """Hold no facts, and remember none before all notes have been read."""
        self.behind = True
        for note in [note for note in self._known.values() if note.pending]:
            self._drop(note)

    def _drop(self, note: _Note) -> None:
        """Know nothing of this note any more, if it is known."""
        if self._stands(note):
            del self._known[note.id]
            for id_ in note.pending:
                self._where.pop(id_, None)

    def _stands(self, note: _Note) -> bool:
        """Whether this is still what is known of it: while one waits, much may happen."""
        return self._known.get(note.id) is note

    @property
    def waiting(self) -> bool:
        """Whether facts are known to be unpublished."""
        return bool(self._where)

    def held(self, limit: int) -> list[Fact]:
        """Return unpublished facts that are known, the first known first."""
        facts = (fact for note in self._known.values() for fact in note.pending.values())
        return list(islice(facts, limit))

    def holds(self, id_: str) -> bool:
        """Whether it is known that this fact is of a note."""
        return id_ in self._where

    async def published(self, facts: Iterable[Fact]) -> None:
        """These are published; delete the notes that are settled by it."""
        touched: dict[_Note, None] = {}
        for fact in facts:
            if note := self._where.pop(fact.id, None):
                del note.pending[fact.id]
                touched[note] = None
        self._see_to(touched)
        await self._delete_settled()

    def _see_to(self, notes: Iterable[_Note]) -> None:
        for note in notes:
            if note.settled and self._stands(note):
                del self._known[note.id]
                self._settled.add(note.id)

    async def _delete_settled(self) -> None:
        if settled := list(self._settled):
            await self._notes.delete({"_id": {"$in": settled}})
            self._settled.difference_update(settled)

    async def look(self, limit: int) -> None:
        """Ask for notes, and read about ``limit`` of the facts that are not remembered."""
        async with self._lock:
            self._asked_at = self._now()
            complete = await self._list()
            names = self._due() + self._overdue()
            while names and (room := limit - self._read_and_pending()) > 0:
                await self._read(names)
                await self._fetch(names, max(room, self._bounds.fetched))
                names = self._due()
            if complete and not names:
                self.behind = False
            await self._delete_settled()

    def _read_and_pending(self) -> int:
        return sum(len(note.pending) for note in self._known.values() if not note.own)

    async def _list(self) -> bool:
        """List notes; return whether that was all of them.

        Those that are not there any more were deleted by another relay. Where all that are listed
        are waited for, the next list begins behind them.
        """
        begin = self._cursor
        known = [note for note in self._known.values() if note.id > begin]
        where = {"_id": {"$gt": begin}}
        most = self._bounds.listed
        rows = await self._notes.find(where, sort=[("_id", 1)], limit=most, fields=["_id"])
        listed = {row["_id"]: None for row in rows}
        end = rows[-1]["_id"] if len(rows) == most else ""
        for note in known:
            if note.id not in listed and (not end or note.id <= end):
                self._drop(note)
        self._unread = [name for name in listed if not self._is_known(name)]
        stuck = not self._unread and not any(note.pending for note in known if note.id in listed)
        self._cursor = end if end and stuck else ""
        self._outlook.noted(self._unread)
        return not begin and not end

    def _is_known(self, name: str) -> bool:
        return name in self._known or name in self._writing or name in self._settled

    def _due(self) -> list[str]:
        """Return a few notes to read: those that were begun first, then new ones."""
        begun = [note.id for note in self._known.values() if note.unseen][: self._bounds.read]
        free = self._bounds.read - len(begun)
        names, self._unread = self._unread[:free], self._unread[free:]
        return begun + names

    def _overdue(self) -> list[str]:
        """Return a few notes whose facts were not there, those that have waited longest first."""
        begun = (note for note in self._known.values() if not note.unseen)
        waited_for = (note for note in begun if note.missing or note.forgotten)
        overdue = [note for note in waited_for if note.look_at <= self._now()]
        return [note.id for note in nsmallest(self._bounds.read, overdue, key=_look_at)]

    async def _read(self, names: Sequence[str]) -> None:
        """Read notes, also known ones: their writer may have corrected them."""
        rows = await self._notes.find({"_id": {"$in": list(names)}})
        facts = {row["_id"]: row["facts"] for row in rows}
        for name in names:
            note = self._known.get(name)
            if name not in facts:
                if note is not None:
                    self._drop(note)
            elif note is None:
                self._known[name] = _Note(name, self._now(), unseen=dict.fromkeys(facts[name]))
            elif not note.unseen:
                again = (id_ for id_ in facts[name] if note.forgotten or id_ in note.missing)
                note.unseen = dict.fromkeys(again)
                note.missing, note.forgotten = {}, False

    async def _fetch(self, names: Sequence[str], room: int) -> None:
        """Read some of the facts of notes."""
        asked: list[tuple[_Note, list[str]]] = []
        for name in names:
            if note := self._known.get(name):
                asked.append((note, list(islice(note.unseen, room))))
                room -= len(asked[-1][1])
        ids = list(dict.fromkeys(id_ for _, each in asked for id_ in each))
        rows: dict[str, Row] = {}
        for part in parts(ids, IDS):
            found = await self._facts.find({"_id": {"$in": list(part)}})
            rows.update((row["_id"], row) for row in found)
        for note, each in asked:
            if self._stands(note):
                self._sort(note, each, rows)
        self._see_to([note for note, _ in asked])
        self._forget_missing()

    def _sort(self, note: _Note, ids: Sequence[str], rows: dict[str, Row]) -> None:
        """Tell the note's facts from another's, and from those that are not there."""
        for id_ in ids:
            note.unseen.pop(id_, None)
            if (row := rows.get(id_)) is None:
                note.missing[id_] = None
            elif row.get("note") == note.id:
                self._hold(note, fact_of(row))
        now = self._now()
        age = max(SOONEST_LOOK_SECONDS, now - note.found_at)
        note.look_at = now + min(LATEST_LOOK_SECONDS, age)

    def _forget_missing(self) -> None:
        """Remember of the notes that are waited for longest only that there is something missing.

        Their names stay known: a note that is new each time would keep the list at its beginning.
        """
        missing = sum(len(note.missing) for note in self._known.values())
        for note in self._known.values():
            if missing <= self._bounds.missing:
                return
            if note.missing and not note.pending and not note.unseen:
                missing -= len(note.missing)
                note.missing, note.forgotten = {}, True

    async def unsettled(self, rows: Iterable[Row]) -> set[str]:
        """Return the ids of those of these facts that may be unpublished, marked or noted."""
        open_: set[str] = set()
        asked: dict[str, str] = {}
        for row in rows:
            id_, name = row["_id"], row.get("note")
            if self._outlook.published(row["stream"], seq_of(row)):
                continue
            if "out" in row or name in self._writing:
                open_.add(id_)
            elif name is None or name in self._settled:
                continue
            elif note := self._known.get(name):
                open_.update([id_] if note.may_hold(id_) else [])
            else:
                asked[id_] = name
        there = await self._existing(set(asked.values())) if asked else set()
        return open_ | {id_ for id_, name in asked.items() if name in there}

    async def _existing(self, names: set[str]) -> set[str]:
        """Return those of these notes that exist; as a rule there are hardly any."""
        most = self._bounds.listed
        rows = await self._notes.find({}, limit=most, fields=["_id"])
        if len(rows) == most:
            rows = []
            for part in parts(sorted(names), IDS):
                rows += await self._notes.find({"_id": {"$in": list(part)}}, fields=["_id"])
        return names & {row["_id"] for row in rows}
