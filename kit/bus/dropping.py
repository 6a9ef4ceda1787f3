"""Giving up dead letters that can never be handled, and telling what was given up.

A drop publishes the markers first and the releases last (``dropped.py``). Whatever dies between,
the letters count as dropped from the first marker on, and the same drop again, or the next
re-drive, publishes the releases that are missing. Twice is harmless.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from contracts.topics import DEAD_LETTER_SUFFIX
from kit.bus.dead_letters import (
    PATIENCE_SECONDS,
    DeadLetter,
    Waiting,
    read_all,
    read_letter,
    reading_waiting,
)
from kit.bus.dropped import Dropped, Place, read_dropped
from kit.bus.port import Bus, Received
from kit.errors import ServiceError

REASON_LIMIT = 500


@dataclass(frozen=True)
class Drop:
    """What an operator asks for: these letters, for this reason; ``by`` is whoever asks."""

    topic: str
    group: str
    places: Sequence[Place]
    reason: str
    by: str

    def __post_init__(self) -> None:
        if not 1 <= len(self.reason.strip()) <= REASON_LIMIT:
            raise ServiceError(
                "invalid", "reason", f"A reason is 1 to {REASON_LIMIT} characters, not blank"
            )

    def of(self, letter: DeadLetter, at: str) -> Dropped:
        """Say of a letter that it is dropped."""
        return Dropped(
            letter.topic,
            letter.partition,
            letter.offset,
            letter.key,
            letter.group,
            self.reason.strip(),
            self.by,
            at,
        )


async def drop(bus: Bus, wanted: Drop, within_seconds: float = PATIENCE_SECONDS) -> int:
    """Give up exactly these letters; return how many were not given up before.

    Raises ServiceError, and has changed nothing, when one of them is not among those that wait.
    """
    places = sorted(set(wanted.places))
    async with reading_waiting(bus, wanted.topic, wanted.group, within_seconds) as (_, waiting):
        gone = [it for it in places if it not in waiting.letters and it not in waiting.dropped]
        if gone:
            await _refuse_unless_dropped(bus, wanted, gone, within_seconds)
        fresh = _fresh(waiting, wanted, places)
        before = [waiting.dropped[it] for it in places if it in waiting.dropped]
        await bus.publish([it.marker() for it in fresh])
        await bus.publish([it.release() for it in sorted([*fresh, *before], key=_place)])
        return len(fresh)


def _fresh(waiting: Waiting, wanted: Drop, places: Iterable[Place]) -> list[Dropped]:
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    return [wanted.of(waiting.letters[it], at) for it in places if it in waiting.letters]


def _place(dropped: Dropped) -> Place:
    return dropped.place


@dataclass
class Past:
    """All that is on a dead-letter topic: who put what aside, and what of ``group`` was dropped."""

    group: str
    dropped: dict[tuple[Place, str], Dropped] = field(default_factory=dict)
    over: set[Place] = field(default_factory=set)
    owners: dict[Place, set[str]] = field(default_factory=dict)

    def add(self, received: Received) -> None:
        """Take the next message in. The consumer repeats a marker, with the time of the first."""
        if (dropped := read_dropped(received)) is not None:
            if dropped.group == self.group:
                self.dropped.setdefault((dropped.place, dropped.at), dropped)
                self.over.add(dropped.place)
        elif (letter := read_letter(received)) is not None:
            self.owners.setdefault(letter.place, set()).add(letter.group)
            if letter.group == self.group:
                self.over.discard(letter.place)

    def why_not(self, place: Place) -> str:
        """Why a letter of this place cannot be dropped."""
        owners = self.owners.get(place, set())
        if self.group in owners:
            return "was sent back and waits no more"
        if owners:
            return f"is of {', '.join(sorted(owners))}"
        return "is not there"


async def given_up(
    bus: Bus, topic: str, group: str, within_seconds: float = PATIENCE_SECONDS
) -> list[Dropped]:
    """Return all that a group's operators ever gave up of a topic, oldest first."""
    past = await _past(bus, topic, group, within_seconds)
    return sorted(past.dropped.values(), key=lambda it: (it.at, it.place))


async def _past(bus: Bus, topic: str, group: str, within_seconds: float) -> Past:
    """Read the topic from its beginning, by a group that never commits."""
    past = Past(group)
    name, reader = topic + DEAD_LETTER_SUFFIX, f"dropped.{group}"
    subscription = bus.subscribe([name], reader)
    try:
        async for received in read_all(bus, subscription, name, reader, within_seconds):
            past.add(received)
        return past
    finally:
        await subscription.close()


async def _refuse_unless_dropped(
    bus: Bus, wanted: Drop, places: Sequence[Place], within_seconds: float
) -> None:
    """A drop that a re-drive has followed may be asked for again; anything else is a mistake."""
    past = await _past(bus, wanted.topic, wanted.group, within_seconds)
    wrong = [it for it in places if it not in past.over]
    if wrong:
        said = "; ".join(f"{it[0]}:{it[1]} {past.why_not(it)}" for it in wrong)
        whose = f"the dead letters of {wanted.group} on {wanted.topic}"
        message = f"Nothing was dropped: among {whose}, {said}"
        raise ServiceError("missing", "no_such_letter", message)
