"""Deciding on streams: load the head, decide, append, and decide again when somebody was faster.

A *fold* says what a stream's facts add up to (its state). A *decide* function is pure: from a state
and a command it makes new facts, or refuses with a ServiceError. Everything else is here, once, for
every service: heads are cached, read from a snapshot and caught up from the journal; a batch of
commands becomes one sorted bulk append; a lost race re-runs that stream only; a retry finds the
first result even where deciding again would refuse.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from contracts.envelope import Fact
from kit.clock import Clock
from kit.errors import ServiceError
from kit.journal.drafts import fact_from
from kit.journal.port import Appended, Draft, Journal
from kit.steps import Step, first_missed, is_own
from kit.views.port import Collection, Document, IndexValue, Views

S = TypeVar("S")
C = TypeVar("C")
# Of those who race for the next seq of a stream one wins each time: so many may at once.
ATTEMPTS = 64


class Fold(Protocol[S]):
    """What a stream's facts add up to; pure. The state must be a msgspec-encodable value."""

    state_type: type[S]
    bodies: Mapping[str, type]

    def initial(self, owner: str) -> S:
        """The state before the first fact."""

    def apply(self, state: S, fact: Fact, body: Any) -> S:
        """The state after ``fact``, whose decoded body is ``body``."""


class New(msgspec.Struct, frozen=True):
    """A fact that a decision makes; where it goes in the stream is not its business.

    ``input_hash`` is for facts that several commands may make; the others bear their command's.
    ``after`` is the state after it, when deciding has folded it already: folding once is enough.
    ``follows_on``: it is built on the facts before it in its decision, and left out where one of
    them was there already: the state that it was decided on then has that one twice.
    """

    key: str
    type: str
    occurred_at: int
    body: Any
    input_hash: bytes = b""
    after: Any = None
    follows_on: bool = False


class Command(msgspec.Struct, Generic[C], frozen=True):
    """What is asked of one owner's stream.

    ``key`` is the key of a fact it makes, and that fact bears ``input_hash``: by both a retry is
    told from a misuse of the key.
    """

    owner: str
    key: str
    input_hash: bytes
    payload: C
    trace: str | None = None


class Head(msgspec.Struct, Generic[S], frozen=True):
    """A stream's last seq, its state there, and the snapshot's version it was loaded from."""

    seq: int
    posted_at: int
    state: S
    version: int = 0
    snapshot_seq: int = 0


class Result(msgspec.Struct, frozen=True):
    """What became of a command: the facts it made (or had made before), or the refusal."""

    facts: tuple[Fact, ...] = ()
    repeated: bool = False
    error: ServiceError | None = None


class _Snapshot(msgspec.Struct, frozen=True):
    seq: int
    posted_at: int
    state: msgspec.Raw


class _Run(msgspec.Struct, Generic[C], frozen=True):
    """The commands of one owner on their way, and the facts already known by key."""

    commands: list[tuple[int, Command[C]]]
    known: dict[str, Fact] = {}


class _Decided(msgspec.Struct, Generic[S], frozen=True):
    """What an owner's commands made of a head: the steps, and the head as it is after them."""

    steps: list[Step]
    head: Head[S]
    silent: bool
    refused: bool


class Streams(Generic[S, C]):
    """The streams of one kind in one journal, folded by one fold.

    ``snapshot_every``: a head is written to ``collection`` each time it has moved that many facts,
    so that a cold start reads few; 1 keeps the collection current for queries on it.
    ``lost_races`` counts the passes that had to be made again: somebody else writes here, too.
    """

    def __init__(
        self,
        kind: str,
        journal: Journal,
        views: Views,
        collection: Collection,
        fold: Fold[S],
        clock: Clock,
        *,
        snapshot_every: int = 64,
        capacity: int = 50_000,
        index: Callable[[str, S], Mapping[str, IndexValue]] | None = None,
    ) -> None:
        self.kind, self.journal, self.views, self.collection = kind, journal, views, collection
        self._fold, self._clock = fold, clock
        self._every, self._capacity, self._index = snapshot_every, capacity, index
        self._cache: OrderedDict[str, Head[S]] = OrderedDict()
        self._behind: set[str] = set()  # in the cache, and known to be behind the journal
        self.lost_races = 0
        self._encoder = msgspec.json.Encoder()
        self._state = msgspec.json.Decoder(fold.state_type)
        self._bodies: dict[str, msgspec.json.Decoder[Any]] = {
            name: msgspec.json.Decoder(kind_) for name, kind_ in fold.bodies.items()
        }

    def stream(self, owner: str) -> str:
        """Return the owner's stream."""
        return f"{self.kind}:{owner}"

    def body(self, fact: Fact) -> Any:
        """Decode a fact's body by its type."""
        return self._bodies[fact.type].decode(fact.body)

    async def heads(self, owners: Iterable[str], *, fresh: bool = False) -> dict[str, Head[S]]:
        """Return the head of each owner's stream.

        A cached head may be behind what another process wrote; that is right for deciding, since
        an append on a stale head conflicts. A query asks for ``fresh`` heads.
        """
        heads: dict[str, Head[S]] = {}
        cold: list[str] = []
        behind: list[str] = []
        for owner in dict.fromkeys(owners):
            if (head := self._cache.get(owner)) is None:
                cold.append(owner)
            else:
                heads[owner] = head
                if fresh or owner in self._behind:
                    behind.append(owner)
        if cold:
            heads.update(await self._snapshots(cold))
        if behind := [*cold, *behind]:
            self._behind.difference_update(behind)
            heads.update(await self._caught_up({o: heads[o] for o in behind}))
            self._remember({o: heads[o] for o in behind})
        return heads

    def outdated(self, reached: Mapping[str, int]) -> list[str]:
        """Have the cached heads read again, when next asked for, that are behind a known seq.

        Returns whose they are. Those that are not cached are read anyway.
        """
        behind = [
            owner
            for owner, seq in reached.items()
            if (head := self._cache.get(owner)) is not None and head.seq < seq
        ]
        self._behind.update(behind)
        return behind

    async def execute(
        self,
        commands: Sequence[Command[C]],
        decide: Callable[[S, C], Sequence[New]],
    ) -> list[Result]:
        """Carry out commands, in order for each owner; a result for each, in the order given.

        A refusal is a result too. Raises Unavailable when the store is out, and ServiceError
        ``conflict`` when a stream stays contended through many attempts.
        """
        results: list[Result] = [Result()] * len(commands)
        runs: dict[str, _Run[C]] = {}
        for place, command in enumerate(commands):
            if (run := runs.get(command.owner)) is None:
                run = runs[command.owner] = _Run([])
            run.commands.append((place, command))
        for _ in range(ATTEMPTS):
            if not runs:
                return results
            runs = await self._pass(runs, decide, results)
            self.lost_races += bool(runs)
        if runs:
            raise ServiceError("conflict", "contended", "Too many writers on one stream; try again")
        return results

    async def _pass(
        self,
        runs: dict[str, _Run[C]],
        decide: Callable[[S, C], Sequence[New]],
        results: list[Result],
    ) -> dict[str, _Run[C]]:
        """Decide and append once; settle what landed, and return what must be run again."""
        heads = await self.heads(runs)
        drafts, decided = self._decide_all(runs, heads, decide)
        if silent := [owner for owner, each in decided.items() if each.silent]:
            fresh = await self.heads(silent, fresh=True)
            if any(fresh[owner].seq != heads[owner].seq for owner in silent):
                heads |= fresh
                drafts, decided = self._decide_all(runs, heads, decide)
        outcomes = await self.journal.append(drafts) if drafts else []
        missed = [outcome for outcome in outcomes if outcome.outcome != "appended"]
        again: dict[str, _Run[C]] = {}
        landed: dict[str, Head[S]] = {}
        for owner, each in decided.items():
            if not missed and not each.refused:
                for step in each.steps:
                    results[step.place] = Result(step.facts, step.repeated)
            else:
                run = runs[owner]
                rest = await self._settle(run, each.steps, outcomes, results, each.head.seq)
                if rest:
                    again[owner] = _Run(rest, run.known)
                if rest or any(first_missed(step, outcomes) for step in each.steps):
                    self._behind.add(owner)
                    continue
            if each.head is not heads[owner]:
                landed[owner] = each.head
        self._remember(landed)
        await self._save(landed)
        return again

    def _decide_all(
        self,
        runs: dict[str, _Run[C]],
        heads: dict[str, Head[S]],
        decide: Callable[[S, C], Sequence[New]],
    ) -> tuple[list[Draft], dict[str, _Decided[S]]]:
        """Decide for every owner: the drafts of all, and what each one's commands made."""
        drafts: list[Draft] = []
        now = self._clock()
        decided = {
            owner: self._decide(runs[owner], heads[owner], decide, drafts, now)
            for owner in sorted(runs)
        }
        return drafts, decided

    def _decide(
        self,
        run: _Run[C],
        head: Head[S],
        decide: Callable[[S, C], Sequence[New]],
        drafts: list[Draft],
        now: int,
    ) -> _Decided[S]:
        """Decide an owner's commands one after the other, adding their drafts to the batch."""
        stream, state, seq = self.stream(run.commands[0][1].owner), head.state, head.seq
        posted_at = now if now > head.posted_at else head.posted_at
        steps: list[Step] = []
        silent = refused = False
        for place, command in run.commands:
            try:
                news = decide(state, command.payload)
            except ServiceError as error:
                steps.append(Step(place, error=error))
                refused = True
                continue
            facts: list[Fact] = []
            places: list[int | None] = []
            folded = True
            for new in news:
                if new.follows_on and not folded:
                    break
                if (known := run.known.get(new.key)) is not None:
                    facts.append(known)
                    places.append(None)
                    folded = False  # the state has it already, ``after`` would have it twice
                    continue
                seq += 1
                draft = self._draft(stream, seq, posted_at, new, command)
                fact = fact_from(draft)
                if folded and new.after is not None:
                    state = new.after
                else:
                    state = self._fold.apply(state, fact, new.body)
                facts.append(fact)
                places.append(len(drafts))
                drafts.append(draft)
            steps.append(Step(place, tuple(facts), tuple(places)))
            silent = silent or not facts
        if seq != head.seq:
            head = Head(seq, posted_at, state, head.version, head.snapshot_seq)
        return _Decided(steps, head, silent, refused)

    def _draft(self, stream: str, seq: int, posted_at: int, new: New, command: Command[C]) -> Draft:
        return Draft(
            stream,
            seq,
            new.key,
            new.input_hash or command.input_hash,
            new.type,
            new.occurred_at,
            posted_at,
            self._encoder.encode(new.body),
            1,
            command.trace,
        )

    async def _settle(
        self,
        run: _Run[C],
        steps: list[Step],
        outcomes: list[Appended],
        results: list[Result],
        head: int,
    ) -> list[tuple[int, Command[C]]]:
        """Note the results of an owner's commands; return those to run again.

        Everything before the first draft that did not land is settled. A refusal is settled only
        when it was decided on the true head, ``head`` being the one it was decided on.
        """
        refused: list[int] = []
        for at, step in enumerate(steps):
            if step.error is not None:
                refused.append(at)
            elif (missed := first_missed(step, outcomes)) is None:
                results[step.place] = Result(step.facts, step.repeated)
            else:
                self._learn(run, step, outcomes)
                again = [run.commands[r] for r in refused] + run.commands[at:]
                key = run.commands[at][1].key
                if missed.outcome == "key_conflict" and is_own(step, outcomes, key):
                    results[step.place] = Result(error=key_conflict(missed.existing))
                    again.remove(run.commands[at])
                return again
        stream = self.stream(run.commands[0][1].owner)
        if refused and (await self.journal.read_many({stream: head}))[stream]:
            return [run.commands[at] for at in refused]
        for at in refused:
            results[steps[at].place] = await self._refusal(run.commands[at][1], steps[at].error)
        return []

    def _learn(self, run: _Run[C], step: Step, outcomes: list[Appended]) -> None:
        """Remember the facts of a half-landed command, so that they are not drafted again."""
        for fact, place in zip(step.facts, step.places, strict=True):
            if place is None or outcomes[place].outcome == "appended":
                run.known[fact.key] = fact
            elif (existing := outcomes[place].existing) and outcomes[place].outcome == "duplicate":
                run.known[existing.key] = existing

    async def _refusal(self, command: Command[C], error: ServiceError | None) -> Result:
        """A refused command may be the retry of one that was carried out: then that result.

        With another input it is a misuse of the key, whatever deciding says of that input.
        """
        stream, key = self.stream(command.owner), command.key
        found = (await self.journal.find(stream, [key])).get(key)
        if found is None:
            return Result(error=error)
        if (await self.journal.input_hashes(stream, [key]))[key] != command.input_hash:
            return Result(error=key_conflict(found))
        return Result((found,), repeated=True)

    async def _snapshots(self, owners: list[str]) -> dict[str, Head[S]]:
        documents = await self.views.load(self.collection, owners)
        heads: dict[str, Head[S]] = {}
        for owner in owners:
            if (document := documents.get(owner)) is None:
                heads[owner] = Head(0, 0, self._fold.initial(owner))
                continue
            kept = msgspec.json.decode(document.body, type=_Snapshot)
            state = self._state.decode(kept.state)
            heads[owner] = Head(kept.seq, kept.posted_at, state, document.version, kept.seq)
        return heads

    async def _caught_up(self, heads: dict[str, Head[S]]) -> dict[str, Head[S]]:
        """Apply what the journal has beyond each head."""
        after = {self.stream(owner): head.seq for owner, head in heads.items()}
        facts = await self.journal.read_many(after)
        caught: dict[str, Head[S]] = {}
        for owner, head in heads.items():
            state, seq, posted_at = head.state, head.seq, head.posted_at
            for fact in facts.get(self.stream(owner), ()):
                state = self._fold.apply(state, fact, self.body(fact))
                seq, posted_at = fact.seq, fact.posted_at
            caught[owner] = replace(head, seq=seq, posted_at=posted_at, state=state)
        return caught

    def _remember(self, heads: Mapping[str, Head[S]]) -> None:
        for owner, head in heads.items():
            self._cache[owner] = head
            self._cache.move_to_end(owner)
        while len(self._cache) > self._capacity:
            self._behind.discard(self._cache.popitem(last=False)[0])

    async def _save(self, heads: Mapping[str, Head[S]]) -> None:
        """Write snapshots that are due. Losing is harmless: somebody wrote a newer one."""
        await self._write({o: h for o, h in heads.items() if h.seq - h.snapshot_seq >= self._every})

    async def _write(self, due: Mapping[str, Head[S]]) -> None:
        if not due:
            return
        documents = [self._document(owner, head) for owner, head in due.items()]
        lost = set(await self.views.save(self.collection, documents))
        for owner in lost:
            self._cache.pop(owner, None)
            self._behind.discard(owner)
        self._remember(
            {
                owner: replace(head, version=head.version + 1, snapshot_seq=head.seq)
                for owner, head in due.items()
                if owner not in lost
            }
        )

    async def keep(self, owners: Iterable[str]) -> dict[str, Head[S]]:
        """Write the snapshots that are behind (after a crash, a lost race); return fresh heads."""
        wanted = list(owners)
        heads = await self.heads(wanted, fresh=True)
        for _ in range(ATTEMPTS):
            behind = {o: h for o, h in heads.items() if h.seq > h.snapshot_seq}
            if not behind:
                break
            await self._write(behind)
            heads |= await self.heads(behind, fresh=True)
        return heads

    def _document(self, owner: str, head: Head[S]) -> Document:
        body = self._encoder.encode(
            _Snapshot(head.seq, head.posted_at, msgspec.Raw(self._encoder.encode(head.state)))
        )
        index = self._index(owner, head.state) if self._index else {}
        return Document(owner, head.version, body, index)

    async def snapshot(self, owner: str) -> Head[S] | None:
        """Return the head as it is kept in the collection; None when it has none."""
        head = (await self._snapshots([owner]))[owner]
        return head if head.version else None

    async def rebuild(self) -> int:
        """Write the snapshot of every stream of this kind; return how many there are."""
        count = 0
        owner: str | None = None
        async for facts in self.journal.scan():
            ours = [fact.owner for fact in facts if fact.stream.startswith(f"{self.kind}:")]
            owners = [o for o in dict.fromkeys(ours) if o != owner]
            if not owners:
                continue
            owner = owners[-1]
            heads = await self._caught_up(await self._snapshots(owners))
            await self.views.save(
                self.collection, [self._document(o, head) for o, head in heads.items()]
            )
            count += len(owners)
        return count

    def forget(self) -> None:
        """Drop the cache (after a rebuild)."""
        self._cache.clear()
        self._behind.clear()


def key_conflict(existing: Fact | None) -> ServiceError:
    """The same idempotency key came with another input."""
    return ServiceError(
        "conflict",
        "idempotency_key_reused",
        "This key was used before with another content; use a new key, or send the same content",
        first_used_at=existing.posted_at if existing else None,
    )
