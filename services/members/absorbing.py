"""Taking in activities and member facts, a batch at a time: the handler of the worker.

Each member's messages are folded in order, one load and one save for the batch. A message seen
before changes nothing, but the card is published again: the crash may have come before it was. A
message that leaves a gap halts its member: its forerunner is lost, and going on would hide it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from contracts.envelope import Fact
from contracts.members import (
    CardChange,
    MemberEnrolled,
    MemberFileChanged,
    StageChanged,
    TierChanged,
)
from kit.bus.consume import Envelope
from kit.bus.port import Message
from kit.errors import BrokenInvariant, Unavailable
from services.members.domain.relationship import advance, changes_of, enrolled, fold
from services.members.domain.rules import Rules
from services.members.domain.state import Activity, Enrolment, Relationship
from services.members.keeping import Held, Keeper, Publisher
from services.members.views import Kept, Owed, card_message, owed, relationship_stream

ATTEMPTS = 20
_BODIES: dict[str, msgspec.json.Decoder[Any]] = {
    "ActivityRecorded": msgspec.json.Decoder(Activity),
    "ReturnMatched": msgspec.json.Decoder(Activity),
    "MemberEnrolled": msgspec.json.Decoder(MemberEnrolled),
    "MemberFileChanged": msgspec.json.Decoder(MemberFileChanged),
}
_CHANGES: dict[str, msgspec.json.Decoder[Any]] = {
    "TierChanged": msgspec.json.Decoder(TierChanged),
    "StageChanged": msgspec.json.Decoder(StageChanged),
}


@dataclass(frozen=True, slots=True)
class Realised:
    """A change on record (met in a rebuild): time had brought it before the next activity."""

    after_seq: int


Body = Activity | MemberEnrolled | MemberFileChanged | Realised
Input = tuple[Fact, Body]


def input_of(fact: Fact) -> Input | None:
    """A fact with its body, or None where a relationship has no use for it."""
    decoder = _BODIES.get(fact.type)
    return None if decoder is None else (fact, decoder.decode(fact.body))


def change_of(fact: Fact) -> tuple[int, TierChanged | StageChanged]:
    """A fact of the relationship stream as (time, body)."""
    return fact.occurred_at, _CHANGES[fact.type].decode(fact.body)


class Absorber:
    """What the worker does with what it consumes. Without a publisher no cards are said."""

    def __init__(self, keeper: Keeper, publisher: Publisher | None) -> None:
        self._keeper = keeper
        self._publisher = publisher

    async def handle(self, batch: Sequence[Envelope]) -> None:
        """Take in a batch from the bus."""
        await self.take_in(envelope.fact for envelope in batch)

    async def take_in(self, facts: Iterable[Fact]) -> None:
        """Take in facts of any members; each member's in order."""
        inputs: dict[str, list[Input]] = {}
        for fact in facts:
            if (read := input_of(fact)) is not None:
                inputs.setdefault(fact.owner, []).append(read)
        await self.absorb(inputs)

    async def absorb(self, inputs: dict[str, list[Input]]) -> None:
        """Take in what happened, by member, and publish the card of each of them."""
        now, cards, open_ = self._keeper.clock(), [], inputs
        for _ in range(ATTEMPTS):
            done = await self._pass(open_, now)
            cards += await self._cards(done, inputs, now)
            open_ = {m: each for m, each in open_.items() if m not in done}
            if not open_:
                if self._publisher is not None and cards:
                    await self._publisher.publish(cards)
                return
        raise Unavailable("relationships", "other writers keep being faster")

    async def _pass(self, inputs: dict[str, list[Input]], now: int) -> dict[str, Held]:
        """Fold and save once; return the members that are done, whether they moved or not."""
        keeper = self._keeper
        done: dict[str, Held] = {}
        moved: dict[str, Held] = {}
        for member_id, held in (await keeper.held(inputs)).items():
            try:
                kept = taken_in(held.kept, member_id, inputs[member_id], keeper.rules, now)
            except MissingFacts:
                if held.fresh:
                    raise
                keeper.forget([member_id])  # another process may have taken in what is missing
                continue
            if kept is held.kept:
                done[member_id] = held
            else:
                moved[member_id] = Held(held.version, kept)
        return done | await keeper.save(moved) if moved else done

    async def _cards(
        self, done: dict[str, Held], inputs: dict[str, list[Input]], now: int
    ) -> list[Message]:
        if self._publisher is None:
            return []
        cards: list[Message] = []
        for member_id, held in done.items():
            older = None
            if complete_from := held.kept.state.complete_from:
                first = _first_activity(inputs[member_id])
                if complete_from > first:
                    older = await self._changes_from(member_id, first)
            message = card_message(member_id, held.kept, now, older)
            if message is not None:
                cards.append(message)
        return cards

    async def _changes_from(self, member_id: str, first: int) -> tuple[CardChange, ...]:
        """The changes as far back as activity ``first`` may ask for: more than the state keeps."""
        stream = relationship_stream(member_id)
        facts = (await self._keeper.journal.read_many({stream: 0}))[stream]
        changes = changes_of(map(change_of, facts), self._keeper.rules)
        start = max(n for n, change in enumerate(changes) if change.after_seq < first)
        return tuple(changes[start:])


def _first_activity(inputs: Sequence[Input]) -> int:
    """The first activity that these inputs let be decided: of a new member, all that waited."""
    if any(isinstance(body, MemberEnrolled) for _, body in inputs):
        return 1
    seqs = (fact.seq for fact, body in inputs if isinstance(body, Activity))
    return next(seqs, 1 << 62)


class MissingFacts(BrokenInvariant):
    """The next fact of a member is not the one that follows: one in between was lost."""

    def __init__(self, stream: str, expected: int, found: int) -> None:
        super().__init__(
            "gap",
            "Facts of this member are missing: rebuild from the journals, then re-drive them",
            stream=stream,
            expected=expected,
            found=found,
        )


def taken_in(kept: Kept, member_id: str, inputs: Sequence[Input], rules: Rules, now: int) -> Kept:
    """A relationship after these inputs; the same object when all of them were known. Pure."""
    state, facts = kept.state, kept.facts
    new: list[Owed] = []
    for fact, body in inputs:
        if isinstance(body, Activity):
            if fact.seq <= state.absorbed:
                continue
            _require_next(fact, state.absorbed)
            step = fold(state, body, fact.seq, fact.occurred_at, rules)
        elif isinstance(body, Realised):
            if body.after_seq != state.absorbed:
                continue
            step = advance(state, member_id, fact.occurred_at, rules)
        else:
            state = _filed(state, fact, body)
            continue
        state = step.state
        for transition in step.transitions:
            facts += 1
            new.append(owed(facts, now, transition, fact.trace))
    return kept if state is kept.state else Kept(state, facts, tuple(new))


def _filed(
    state: Relationship, fact: Fact, body: MemberEnrolled | MemberFileChanged
) -> Relationship:
    if fact.seq <= state.file_seq:
        return state
    _require_next(fact, state.file_seq)
    if isinstance(body, MemberEnrolled):
        joined = Enrolment(fact.occurred_at, body.channel, body.region)
    elif state.enrolment is None:
        raise BrokenInvariant("not_enrolled", "A file changed before its member enrolled")
    else:
        joined = state.enrolment
        if "region" in body.filled or "region" in body.cleared:
            joined = Enrolment(joined.at, joined.channel, body.region)
    return enrolled(state, joined, fact.seq)


def _require_next(fact: Fact, absorbed: int) -> None:
    if fact.seq != absorbed + 1:
        raise MissingFacts(fact.stream, absorbed + 1, fact.seq)
