"""The journal in MongoDB: a collection, one document for each fact.

``_id`` is ``stream/000000000042``: it makes (stream, seq) unique, and streams readable by range. A
second unique index covers (stream, key). A fact that the relay has not published yet bears the
field ``out``, which alone is in a sparse index; there is no watermark, because here a fact may
become visible after one that was numbered or timed later.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from itertools import islice
from typing import TypeVar

from msgspec import Raw

from contracts.envelope import SEQ_DIGITS, Fact, fact_id
from kit.journal.drafts import require_steps
from kit.journal.outlook import Outlook
from kit.journal.port import Appended, Draft
from kit.mongo.driver import Client, Documents, Index, Row
from kit.mongo.together import Together

T = TypeVar("T")

# A stream's n-th draft goes in round n. Where a stream has many, one ordered insert, which stops
# at the first refusal, keeps it gapless just as well, in one command.
ROUNDS = 4
# Appends of up to so many drafts gather, up to so many of them.
FEW, GATHERED = 32, 256
# Up to so many streams first go in line, whatever they have: a router of shards takes the documents
# of an ordered insert to one shard after the other.
IN_LINE = 8
# One query names so many ids (measured on FerretDB: 10 ms for 1,000) or so many alternatives
# (17 ms for 100; two lists of 1,000 streams and keys instead took three minutes).
IDS, ALTERNATIVES = 1000, 100
TAIL_WINDOWS = (2, 16)
TAIL_READERS = 8
# So many places of a stream are looked at in one query: two of them do for 5,000 facts.
PROBES = 72
# A refused draft whose rival is not to be seen yet waits for the rival's majority.
SIGHTINGS, SIGHTING_SECONDS = 20, 0.01

_Keys = tuple[str, Sequence[str]]
_LAST_SEQ = 10**SEQ_DIGITS - 1
_UNPUBLISHED = {"out": {"$gt": ""}}
_APPENDED = Appended("appended")
_SEQ_CONFLICT = Appended("seq_conflict")
_NOT_TRIED = Appended("not_tried")
_INDEXES = (Index(("stream", "key"), unique=True), Index(("out",), sparse=True))
ASCENDING, DESCENDING = 1, -1


class MongoJournal:
    """A journal in the collection ``NAME.journal``."""

    def __init__(self, client: Client, name: str) -> None:
        self._name = name
        self._facts: Documents = client.documents(f"{name}.journal")
        self._appended = asyncio.Event()
        self._outlook = Outlook()
        self._limit = 1000
        self._appends = Together(self._append, len, GATHERED)
        self._rows_of = Together(self._rows_of_all, len, IDS)
        self._finds = Together(self._find_all, _width, IDS)

    @property
    def name(self) -> str:
        """Its name, e.g. ``events.activities``."""
        return self._name

    async def prepare(self) -> None:
        """Create the indexes, unless they are there."""
        await self._facts.create_indexes(_INDEXES)

    async def append(self, drafts: Sequence[Draft]) -> list[Appended]:
        """Append drafts; what several callers append at a time travels in one command."""
        require_steps(drafts)
        if len(drafts) > FEW:
            return (await self._append([drafts]))[0]
        return await self._appends(drafts)

    async def _append(self, batches: Sequence[Sequence[Draft]]) -> list[list[Appended]]:
        """Append batches, each one's streams apart from another's."""
        drafts = [draft for batch in batches for draft in batch]
        self._outlook.appending(fact_id(draft.stream, draft.seq) for draft in drafts)
        outcomes = [_NOT_TRIED] * len(drafts)
        refused = await self._insert_all(drafts, _lines(batches), outcomes)
        await self._resolve(drafts, refused, outcomes)
        self._outlook.refused(fact_id(drafts[at].stream, drafts[at].seq) for at in refused)
        self._appended.set()
        answers = iter(outcomes)
        return [list(islice(answers, len(batch))) for batch in batches]

    async def _insert_all(
        self, drafts: Sequence[Draft], lines: list[list[int]], outcomes: list[Appended]
    ) -> list[int]:
        """Insert in rounds, each sorted by id, for crossed orders deadlock; return the refused.

        Few streams first go in one ordered insert: as a rule nothing of them is refused.
        """
        refused: list[int] = []
        in_line = len(lines) <= IN_LINE and _longest(lines) > 1
        while lines:
            tried = lines if in_line else [line[:1] for line in lines]
            stopped, behind = await self._insert(drafts, tried, outcomes, ordered=in_line)
            refused += stopped
            rest = [line[1:] for line in lines if line[0] not in stopped and len(line) > 1]
            lines = behind if in_line else rest
            in_line = _longest(lines) > ROUNDS
        return refused

    async def _insert(
        self,
        drafts: Sequence[Draft],
        lines: list[list[int]],
        outcomes: list[Appended],
        *,
        ordered: bool,
    ) -> tuple[set[int], list[list[int]]]:
        """Insert lines of drafts, each of one stream; return the places that were refused.

        And the lines behind them, which ``ordered`` leaves: what follows a refused draft in its
        line must not be inserted.
        """
        order = [place for line in lines for place in line]
        rows = [_row(drafts[place]) for place in order]
        faults = await self._facts.insert(rows, ordered=ordered)
        refused = {order[fault.place] for fault in faults}
        end = faults[0].place if ordered and faults else len(order)
        for place in order[:end]:
            if place not in refused:
                outcomes[place] = _APPENDED
        return refused, _behind(lines, end) if end < len(order) else []

    async def _resolve(
        self, drafts: Sequence[Draft], refused: Sequence[int], outcomes: list[Appended]
    ) -> None:
        """Find out what was in the way of the refused drafts: their key, or else their seq."""
        unseen = list(refused)
        for sighting in range(SIGHTINGS):
            rivals = await self._rivals([drafts[place] for place in unseen])
            for place in unseen:
                outcomes[place] = _outcome(drafts[place], rivals)
            unseen = [place for place in unseen if not _names(drafts[place]) & rivals.keys()]
            if not unseen or sighting == SIGHTINGS - 1:
                return
            await asyncio.sleep(SIGHTING_SECONDS)

    async def _rivals(self, drafts: Sequence[Draft]) -> "_Rivals":
        """Return the facts that have the drafts' seqs or keys, by both (stream, …)."""
        rivals: _Rivals = {}

        def note(rows: Iterable[Row]) -> None:
            for row in rows:
                rivals[row["stream"], row["key"]] = rivals[row["stream"], int(row["seq"])] = row

        note(await self._by_id([fact_id(draft.stream, draft.seq) for draft in drafts]))
        unknown = [draft for draft in drafts if (draft.stream, draft.key) not in rivals]
        for part in _parts(unknown, ALTERNATIVES):
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
        return [_to_fact(row) for row in rows]

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
            for row in await self._by_id(ids):
                met.setdefault(row["stream"], []).append(_to_fact(row))
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
        for part in _parts(keys, IDS):
            found |= await self._finds((stream, part))
        return found

    async def _find_all(self, asked: Sequence[_Keys]) -> list[dict[str, Fact]]:
        wheres = [{"stream": stream, "key": {"$in": list(keys)}} for stream, keys in asked]
        rows = await self._facts.find({"$or": wheres} if len(wheres) > 1 else wheres[0])
        there = {(row["stream"], row["key"]): row for row in rows}
        return [
            {key: _to_fact(there[stream, key]) for key in keys if (stream, key) in there}
            for stream, keys in asked
        ]

    async def input_hashes(self, stream: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the hashes that are kept beside the facts."""
        hashes: dict[str, bytes] = {}
        for part in _parts(keys, IDS):
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
        rows = await self._by_id([fact_id(stream, low)]) if low else []
        return _to_fact(rows[0]) if rows else None

    async def _posted_by(self, stream: str, seqs: Iterable[int], posted_at: int) -> set[int]:
        """Return those of the places whose facts were posted then or earlier."""
        ids = {"$in": [fact_id(stream, seq) for seq in seqs]}
        rows = await self._facts.find({"_id": ids}, fields=["seq", "posted"])
        return {_seq(row) for row in rows if row["posted"] <= posted_at}

    async def scan(self, batch: int = 1000) -> AsyncIterator[list[Fact]]:
        """Iterate over the whole journal in the order of ids, which is stream by stream."""
        last = ""
        while rows := await self._facts.find(
            {"_id": {"$gt": last}}, sort=[("_id", ASCENDING)], limit=batch
        ):
            yield [_to_fact(row) for row in rows]
            last = rows[-1]["_id"]

    async def unpublished(self, limit: int = 1000) -> list[Fact]:
        """Return unpublished facts, the oldest first, none before its stream's earlier ones.

        ``out`` orders by the writers' clocks, so that no stream waits for ever behind busier ones.
        But clocks differ, and a query that meets a writer halfway may see the later fact alone.
        So of each stream the fact before the first one found is looked at: when it is unpublished
        too, the stream's earlier facts are fetched.
        """
        rows = self._outlook.glimpse(limit)
        if rows is None or (self._appended.is_set() and not rows):
            since = self._outlook.since() if self._appended.is_set() else 0
            self._appended.clear()
            rows = await self._unpublished(limit, since)
            if since and not rows:
                rows = await self._unpublished(limit)
        self._limit = limit
        streams: dict[str, list[Row]] = {}
        for row in rows:
            streams.setdefault(row["stream"], []).append(row)
        for line in streams.values():
            line.sort(key=_seq)
        for stream in await self._late(streams):
            ids = {"$gt": fact_id(stream, 0), "$lt": streams[stream][0]["_id"]}
            earlier = await self._facts.find({"_id": ids, **_UNPUBLISHED}, sort=[("_id", 1)])
            streams[stream] = [*earlier, *streams[stream]]
        facts = (_to_fact(row) for line in streams.values() for row in _gapless(line))
        return list(islice(facts, limit))

    async def _unpublished(self, limit: int, since: int = 0) -> list[Row]:
        where = {"out": {"$gt": f"{since:020d}"}} if since else _UNPUBLISHED
        rows = await self._facts.find(where, sort=[("out", ASCENDING)], limit=limit)
        self._outlook.found(rows)
        return rows

    async def _late(self, streams: dict[str, list[Row]]) -> list[str]:
        """Return the streams of which a fact before the first one found is unpublished."""
        before = {
            fact_id(stream, _seq(line[0]) - 1): stream
            for stream, line in streams.items()
            if not self._outlook.published(stream, _seq(line[0]) - 1)
        }
        late: list[str] = []
        for part in _parts(list(before), IDS):
            where = {"_id": {"$in": list(part)}, **_UNPUBLISHED}
            late += [before[row["_id"]] for row in await self._facts.find(where, fields=["_id"])]
        return late

    async def mark_published(self, facts: Sequence[Fact]) -> None:
        """Take the mark off ``facts``."""
        for part in _parts(sorted(fact.id for fact in facts), IDS):
            await self._facts.unset({"_id": {"$in": list(part)}}, "out")
        self._outlook.marked(facts)

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
            rows = await self._unpublished(self._limit, 0 if last else self._outlook.since())
            if rows or last:
                self._outlook.glimpsed(self._limit, rows)
                return
            pause = self._outlook.pause(loop.time() - asked)

    async def _appended_within(self, seconds: float) -> bool:
        if seconds > 0 and not self._appended.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._appended.wait(), seconds)
        return self._appended.is_set()

    async def close(self) -> None:
        """Do nothing: the connections belong to the store."""

    async def _by_id(self, ids: Sequence[str]) -> list[Row]:
        """Return the rows of these ids; who asks at a time asks together."""
        rows: list[Row] = []
        for part in _parts(ids, IDS):
            rows += await self._rows_of(part)
        return rows

    async def _rows_of_all(self, asked: Sequence[Sequence[str]]) -> list[list[Row]]:
        ids = list(dict.fromkeys(id_ for each in asked for id_ in each))
        there = {row["_id"]: row for row in await self._facts.find({"_id": {"$in": ids}})}
        return [[there[id_] for id_ in each if id_ in there] for each in asked]


_Rivals = dict[tuple[str, str | int], Row]


def _names(draft: Draft) -> set[tuple[str, str | int]]:
    return {(draft.stream, draft.key), (draft.stream, draft.seq)}


def _outcome(draft: Draft, rivals: _Rivals) -> Appended:
    """Say what was in the way; the key goes first, for a retry is also late for its seq."""
    rival = rivals.get((draft.stream, draft.key))
    if rival is None:
        return _SEQ_CONFLICT
    same = rival["hash"] == draft.input_hash
    return Appended("duplicate" if same else "key_conflict", _to_fact(rival))


def _parts(values: Sequence[T], size: int) -> Iterable[Sequence[T]]:
    return (values[start : start + size] for start in range(0, len(values), size))


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


def _gapless(line: list[Row]) -> Iterable[Row]:
    """Yield rows of a stream, in seq order, up to the first gap."""
    expected = _seq(line[0])
    for row in line:
        if _seq(row) != expected:
            return
        yield row
        expected += 1


def _seq(row: Row) -> int:
    seq: int = row["seq"]
    return seq


def _row(draft: Draft) -> Row:
    id_ = fact_id(draft.stream, draft.seq)
    row: Row = {
        "_id": id_,
        "stream": draft.stream,
        "seq": draft.seq,
        "key": draft.key,
        "hash": draft.input_hash,
        "type": draft.type,
        "version": draft.version,
        "occurred": draft.occurred_at,
        "posted": draft.posted_at,
        "body": draft.body.decode(),  # as text, so that an operator can read it
        "out": f"{draft.posted_at:020d}/{id_}",
    }
    if draft.trace is not None:
        row["trace"] = draft.trace
    return row


def _to_fact(row: Row) -> Fact:
    return Fact(
        row["stream"],
        int(row["seq"]),  # the driver's 64-bit integers are a subclass, which msgspec refuses
        row["key"],
        row["type"],
        int(row["occurred"]),
        int(row["posted"]),
        Raw(row["body"].encode()),
        int(row["version"]),
        row.get("trace"),
    )
