"""The journal in MongoDB: a collection, one document for each fact.

``_id`` is ``stream/000000000042``: it makes (stream, seq) unique, and streams readable by range. A
second unique index covers (stream, key). A fact of a small append bears the field ``out``, which
alone is in a sparse index, until the relay has published it; those of a large one are named in a
note, in the collection ``NAME.outbox``. There is no watermark, because here a fact may become
visible after one that was numbered or timed later.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from contracts.envelope import SEQ_DIGITS, Fact, fact_id
from kit.journal.drafts import require_steps
from kit.journal.notes import BOUNDS, Bounds, Notes
from kit.journal.outbox import MongoOutbox
from kit.journal.outlook import Outlook
from kit.journal.port import Appended, Draft
from kit.journal.rows import IDS, fact_of, parts, row_of, seq_of
from kit.mongo.by_id import ById
from kit.mongo.driver import Documents, Index, Row
from kit.mongo.together import Together

# A stream's n-th draft goes in round n. Where a stream has many, one ordered insert, which stops
# at the first refusal, keeps it gapless just as well, in one command.
ROUNDS = 4
# Appends of up to so many drafts gather, up to so many of them.
FEW, GATHERED = 32, 256
# Up to so many streams first go in line, whatever they have: a router of shards takes the documents
# of an ordered insert to one shard after the other.
IN_LINE = 8
# One query names so many alternatives (measured on FerretDB: 17 ms for 100; two lists of 1,000
# streams and keys instead took three minutes).
ALTERNATIVES = 100
TAIL_WINDOWS = (2, 16)
TAIL_READERS = 8
# So many places of a stream are looked at in one query: two of them do for 5,000 facts.
PROBES = 72
# A refused draft whose rival is not to be seen yet waits for the rival's majority.
SIGHTINGS, SIGHTING_SECONDS = 20, 0.01

_Keys = tuple[str, Sequence[str]]
_LAST_SEQ = 10**SEQ_DIGITS - 1
_APPENDED = Appended("appended")
_SEQ_CONFLICT = Appended("seq_conflict")
_NOT_TRIED = Appended("not_tried")
_INDEXES = (Index(("stream", "key"), unique=True), Index(("out",), sparse=True))
ASCENDING, DESCENDING = 1, -1


class Collections(Protocol):
    """Where collections are; ``kit.mongo.driver.Client`` as a rule."""

    def documents(self, name: str) -> Documents:
        """Return the collection ``name``."""


class MongoJournal:
    """A journal in the collection ``NAME.journal``."""

    def __init__(
        self,
        client: Collections,
        name: str,
        now: Callable[[], float] = time.monotonic,
        bounds: Bounds = BOUNDS,
    ) -> None:
        self._name = name
        self._facts = client.documents(f"{name}.journal")
        self._outlook = Outlook(now)
        outbox = client.documents(f"{name}.outbox")
        self._notes = Notes(outbox, self._facts, self._outlook, now, bounds)
        self._outbox = MongoOutbox(self._facts, self._notes, self._outlook)
        self._appends = Together(self._append_marked, len, GATHERED)
        self._by_id = ById(self._facts)
        self._finds = Together(self._find_all, _width, IDS)

    @property
    def name(self) -> str:
        """Its name, e.g. ``events.activities``."""
        return self._name

    async def prepare(self) -> None:
        """Create the collections and their indexes, unless they are there."""
        await self._notes.prepare()
        await self._facts.create_indexes(_INDEXES)

    async def append(self, drafts: Sequence[Draft]) -> list[Appended]:
        """Append drafts; what several callers append at a time travels in one command."""
        require_steps(drafts)
        if len(drafts) > FEW:
            return await self._append_noted(drafts)
        return await self._appends(drafts)

    async def _append_marked(self, batches: Sequence[Sequence[Draft]]) -> list[list[Appended]]:
        """Append batches, each one's streams apart from another's, each fact marked."""
        drafts = [draft for batch in batches for draft in batch]
        self._outlook.appending(fact_id(draft.stream, draft.seq) for draft in drafts)
        landing = _Landing(drafts)
        await self._land(landing, _lines(batches))
        refused = (drafts[at] for at in landing.refused)
        self._outlook.refused(fact_id(draft.stream, draft.seq) for draft in refused)
        self._outbox.appended.set()
        answers = iter(landing.outcomes)
        return [list(islice(answers, len(batch))) for batch in batches]

    async def _append_noted(self, drafts: Sequence[Draft]) -> list[Appended]:
        """Append one batch, which is noted before and not marked."""
        async with self._notes.around(drafts) as names:
            landing = _Landing(drafts, names)
            await self._land(landing, _lines([drafts]))
            if not landing.unclear:
                await self._notes.landed(drafts, names, landing.places())
        self._outbox.appended.set()
        return landing.outcomes

    async def _land(self, landing: "_Landing", lines: list[list[int]]) -> None:
        landing.refused = await self._insert_all(landing, lines)
        await self._resolve(landing)

    async def _insert_all(self, landing: "_Landing", lines: list[list[int]]) -> list[int]:
        """Insert in rounds, each sorted by id, for crossed orders deadlock; return the refused.

        Few streams, or such as are long on average, go in one ordered insert: as a rule nothing of
        them is refused. Where something is, there may be more: a round for all finds that out.
        """
        refused: list[int] = []
        few, many = len(lines) <= IN_LINE, sum(map(len, lines)) > ROUNDS * len(lines)
        in_line = _longest(lines) > 1 and (few or many)
        while lines:
            tried = lines if in_line else [line[:1] for line in lines]
            stopped, behind = await self._insert(landing, tried, ordered=in_line)
            refused += stopped
            rest = [line[1:] for line in lines if line[0] not in stopped and len(line) > 1]
            lines = behind if in_line else rest
            in_line = not (in_line and stopped) and _longest(lines) > ROUNDS
        return refused

    async def _insert(
        self, landing: "_Landing", lines: list[list[int]], *, ordered: bool
    ) -> tuple[set[int], list[list[int]]]:
        """Insert lines of drafts, each of one stream; return the places that were refused.

        And the lines behind them, which ``ordered`` leaves: what follows a refused draft in its
        line must not be inserted.
        """
        order = [place for line in lines for place in line]
        rows = [landing.row(place) for place in order]
        faults = await self._facts.insert(rows, ordered=ordered)
        refused = {order[fault.place] for fault in faults}
        end = faults[0].place if ordered and faults else len(order)
        for place in order[:end]:
            if place not in refused:
                landing.outcomes[place] = _APPENDED
        return refused, _behind(lines, end) if end < len(order) else []

    async def _resolve(self, landing: "_Landing") -> None:
        """Find out what was in the way of the refused drafts: their key, or else their seq."""
        unseen = list(landing.refused)
        for sighting in range(SIGHTINGS):
            if sighting:
                await asyncio.sleep(SIGHTING_SECONDS)
            rivals = await self._rivals([landing.drafts[place] for place in unseen])
            unseen = [place for place in unseen if not landing.learn(place, rivals)]
            if not unseen:
                return
        landing.unclear = True

    async def _rivals(self, drafts: Sequence[Draft]) -> "_Rivals":
        """Return the facts that have the drafts' seqs or keys, by both (stream, …)."""
        rivals: _Rivals = {}

        def note(rows: Iterable[Row]) -> None:
            for row in rows:
                rivals[row["stream"], row["key"]] = rivals[row["stream"], int(row["seq"])] = row

        note(await self._by_id.load([fact_id(draft.stream, draft.seq) for draft in drafts]))
        unknown = [draft for draft in drafts if (draft.stream, draft.key) not in rivals]
        for part in parts(unknown, ALTERNATIVES):
            pairs = [{"stream": draft.stream, "key": draft.key} for draft in part]
            note(await self._facts.find({"$or": pairs}))
        return rivals

    async def read(
        self, stream: str, after: int = 0, limit: int = 1000, *, backwards_from: int | None = None
    ) -> list[Fact]:
        """Return a stretch of a stream, by a range of ids."""
        ids = {"$gt": fact_id(stream, after), "$lte": fact_id(stream, _LAST_SEQ)}
        order = ASCENDING
        if backwards_from is not None:
            ids = {"$gt": fact_id(stream, after), "$lt": fact_id(stream, backwards_from)}
            order = DESCENDING
        rows = await self._facts.find({"_id": ids}, sort=[("_id", order)], limit=limit)
        return [fact_of(row) for row in rows]

    async def read_many(self, after: dict[str, int]) -> dict[str, list[Fact]]:
        """Return the tails of many streams: a few facts of all, then the long ones one by one.

        As a rule most streams have nothing new, and one query by id says so.
        """
        tails: dict[str, list[Fact]] = {stream: [] for stream in after}
        open_ended = dict(after)
        for width in TAIL_WINDOWS:
            steps = range(1, width + 1)
            ids = [fact_id(s, seq + step) for s, seq in open_ended.items() for step in steps]
            met: dict[str, list[Fact]] = {}
            for row in await self._by_id.load(ids):
                met.setdefault(row["stream"], []).append(fact_of(row))
            open_ended = {
                stream: open_ended[stream] + width
                for stream, facts in met.items()
                if _extend(tails[stream], facts, open_ended[stream]) == width
            }
        gate = asyncio.Semaphore(TAIL_READERS)

        async def finish(stream: str, seq: int) -> None:
            async with gate:
                while facts := await self.read(stream, seq):
                    seq += _extend(tails[stream], facts, seq)

        await asyncio.gather(*(finish(stream, seq) for stream, seq in open_ended.items()))
        return tails

    async def find(self, stream: str, keys: Sequence[str]) -> dict[str, Fact]:
        """Return the facts of a stream that bear these keys; who asks at a time asks together."""
        found: dict[str, Fact] = {}
        for part in parts(keys, IDS):
            found |= await self._finds((stream, part))
        return found

    async def _find_all(self, asked: Sequence[_Keys]) -> list[dict[str, Fact]]:
        wheres = [{"stream": stream, "key": {"$in": list(keys)}} for stream, keys in asked]
        rows = await self._facts.find({"$or": wheres} if len(wheres) > 1 else wheres[0])
        there = {(row["stream"], row["key"]): row for row in rows}
        return [
            {key: fact_of(there[stream, key]) for key in keys if (stream, key) in there}
            for stream, keys in asked
        ]

    async def input_hashes(self, stream: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the hashes that are kept beside the facts."""
        hashes: dict[str, bytes] = {}
        for part in parts(keys, IDS):
            where = {"stream": stream, "key": {"$in": list(part)}}
            rows = await self._facts.find(where, fields=["key", "hash"])
            hashes.update((row["key"], bytes(row["hash"])) for row in rows)
        return hashes

    async def head(self, stream: str) -> int:
        """Return the seq of the stream's last fact, 0 when it has none."""
        facts = await self.read(stream, limit=1, backwards_from=_LAST_SEQ)
        return facts[0].seq if facts else 0

    async def last_before(self, stream: str, posted_at: int) -> Fact | None:
        """Return the last fact posted then or earlier: the newest, or else probes by id narrow it.

        A probe that is not to be seen lies, with what follows it, in an append under way.
        """
        newest = await self.read(stream, limit=1, backwards_from=_LAST_SEQ)
        if not newest or newest[0].posted_at <= posted_at:
            return newest[0] if newest else None
        low, high = 0, newest[0].seq  # that of ``low`` is early enough, that of ``high`` is not
        while high - low > 1:
            probes = _spread(low, high)
            early = await self._posted_by(stream, probes, posted_at)
            late = next((seq for seq in probes if seq not in early), high)
            low = max((seq for seq in probes if seq < late), default=low)
            high = late
        rows = await self._by_id.load([fact_id(stream, low)]) if low else []
        return fact_of(rows[0]) if rows else None

    async def _posted_by(self, stream: str, seqs: Iterable[int], posted_at: int) -> set[int]:
        """Return those of the places whose facts were posted then or earlier."""
        ids = {"$in": [fact_id(stream, seq) for seq in seqs]}
        rows = await self._facts.find({"_id": ids}, fields=["seq", "posted"])
        return {seq_of(row) for row in rows if row["posted"] <= posted_at}

    async def scan(self, batch: int = 1000) -> AsyncIterator[list[Fact]]:
        """Iterate over the whole journal in the order of ids, which is stream by stream."""
        last = ""
        while rows := await self._facts.find(
            {"_id": {"$gt": last}}, sort=[("_id", ASCENDING)], limit=batch
        ):
            yield [fact_of(row) for row in rows]
            last = rows[-1]["_id"]

    async def unpublished(self, limit: int = 1000) -> list[Fact]:
        """Return unpublished facts, the oldest first, none before its stream's earlier ones."""
        return await self._outbox.unpublished(limit)

    async def mark_published(self, facts: Sequence[Fact]) -> None:
        """Note that ``facts`` are published."""
        await self._outbox.mark_published(facts)

    async def changed(self, timeout: float) -> None:
        """Return when something is unpublished, or this process has appended since it was asked."""
        await self._outbox.changed(timeout)

    async def close(self) -> None:
        """Do nothing: the connections belong to the store."""


_Rivals = dict[tuple[str, str | int], Row]


@dataclass(slots=True)
class _Landing:
    """Drafts, and what has become of them so far; with ``notes``, each one's note."""

    drafts: Sequence[Draft]
    notes: Sequence[str] | None = None
    outcomes: list[Appended] = field(init=False)
    refused: list[int] = field(default_factory=list)
    ours: set[int] = field(default_factory=set)
    unclear: bool = False

    def __post_init__(self) -> None:
        self.outcomes = [_NOT_TRIED] * len(self.drafts)

    def row(self, place: int) -> Row:
        """Return the document of a draft."""
        return row_of(self.drafts[place], self.notes[place] if self.notes else None)

    def learn(self, place: int, rivals: _Rivals) -> bool:
        """Say what became of a refused draft; False when nothing is to be seen in its way yet."""
        draft = self.drafts[place]
        self.outcomes[place] = _outcome(draft, rivals)
        itself = rivals.get((draft.stream, draft.seq), {})
        if self.notes and itself.get("note") == self.notes[place]:
            self.ours.add(place)  # it was in its own way: a command that was sent again
        return bool(_names(draft) & rivals.keys())

    def places(self) -> set[int]:
        """Return the places of the drafts that are in the journal by this append."""
        appended = {place for place, one in enumerate(self.outcomes) if one is _APPENDED}
        return appended | self.ours


def _names(draft: Draft) -> set[tuple[str, str | int]]:
    return {(draft.stream, draft.key), (draft.stream, draft.seq)}


def _outcome(draft: Draft, rivals: _Rivals) -> Appended:
    """Say what was in the way; the key goes first, for a retry is also late for its seq."""
    rival = rivals.get((draft.stream, draft.key))
    if rival is None:
        return _SEQ_CONFLICT
    same = rival["hash"] == draft.input_hash
    return Appended("duplicate" if same else "key_conflict", fact_of(rival))


def _behind(lines: list[list[int]], end: int) -> list[list[int]]:
    """Return the lines behind the one in which place ``end`` of them all is."""
    passed = 0
    for number, line in enumerate(lines):
        passed += len(line)
        if end < passed:
            return lines[number + 1 :]
    return []


def _lines(batches: Iterable[Sequence[Draft]]) -> list[list[int]]:
    """Return the places of each batch's drafts of each stream, in the order of streams."""
    places: dict[tuple[str, int], list[int]] = {}
    place = 0
    for number, batch in enumerate(batches):
        for draft in batch:
            places.setdefault((draft.stream, number), []).append(place)
            place += 1
    return [places[line] for line in sorted(places)]


def _longest(lines: Iterable[Sequence[int]]) -> int:
    return max(map(len, lines), default=0)


def _width(asked: _Keys) -> int:
    """Of 1,000 that are asked for at a time; a stream more costs as much as ten keys more."""
    return max(len(asked[1]), IDS // ALTERNATIVES)


def _spread(low: int, high: int) -> list[int]:
    """Return up to PROBES places strictly between two, evenly spread; all when there are few."""
    width = high - low
    return sorted({low + width * n // (PROBES + 1) for n in range(1, PROBES + 1)} - {low})


def _extend(tail: list[Fact], facts: list[Fact], after: int) -> int:
    """Add the facts that follow ``after`` without a gap; return how many.

    A query that meets writers halfway may return a fact and miss the one before it.
    """
    before = len(tail)
    for fact in sorted(facts, key=lambda fact: fact.seq):
        if fact.seq == after + 1:
            tail.append(fact)
            after = fact.seq
    return len(tail) - before
