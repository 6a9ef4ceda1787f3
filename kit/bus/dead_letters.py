"""Dead letters: messages a group could not handle, put aside with all it takes to send them back.

A letter is the original key, value and headers, plus ``dead-*`` headers: where it came from, which
group gave up on it, why and when. ``redrive`` publishes a group's letters to their topic again, in
their original order, marked for that group alone. What an operator has dropped (``dropping.py``)
stays on the topic with a marker behind it and is not sent back.
"""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import structlog
from msgspec.structs import replace

from contracts.topics import DEAD_LETTER_SUFFIX
from kit.bus.dropped import Dropped, Place, read_dropped
from kit.bus.port import Bus, Message, Received, Subscription
from kit.errors import Unavailable

_log = structlog.get_logger(__name__)

Reason = Literal["malformed", "failed", "halted"]
ERROR_LIMIT = 2_000
RETRY_KEY = "retry-key"
"""The header that has the key of a re-driven message."""
READ_AT_ONCE = 1_000
PATIENCE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Retry:
    """What a re-driven message says of itself: who asked for it, its first offset, why it died."""

    group: str
    offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A letter that waits to be sent back. ``offset`` is the one the message first had."""

    topic: str
    partition: int
    offset: int
    key: str
    value: bytes
    headers: Mapping[str, bytes]
    group: str
    reason: str
    error: str
    at: str

    @property
    def place(self) -> Place:
        """Where the message first was: what an operator calls it by."""
        return self.partition, self.offset


def retry_of(received: Received) -> Retry | None:
    """Return the mark of a re-driven message; None for any other, and for a mark of nobody's."""
    try:
        group = received.headers["retry-group"].decode()
        offset = int(received.headers["retry-offset"])
        return Retry(group, offset, received.headers["retry-reason"].decode())
    except (KeyError, ValueError):
        return None


def as_first_sent(received: Received) -> Received:
    """Return a re-driven message under the key it first had."""
    key = received.headers.get(RETRY_KEY)
    if key is None:
        return received
    return replace(received, key=key.decode("utf-8", "surrogateescape"))


def first_offset(received: Received) -> int:
    """Return the offset under which the message first came, however often it was re-driven."""
    retry = retry_of(received)
    return received.offset if retry is None else retry.offset


def dead_letter(received: Received, group: str, reason: Reason, error: str) -> Message:
    """Make the letter for a message that ``group`` gives up on."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    marks = {
        "dead-topic": received.topic,
        "dead-partition": str(received.partition),
        "dead-offset": str(first_offset(received)),
        "dead-group": group,
        "dead-reason": reason,
        "dead-error": error[:ERROR_LIMIT],
        "dead-at": at,
    }
    headers = {name: value for name, value in received.headers.items() if _is_original(name)}
    headers.update((name, value.encode()) for name, value in marks.items())
    return Message(received.topic + DEAD_LETTER_SUFFIX, received.key, received.value, headers)


def _is_original(header: str) -> bool:
    return not header.startswith(("dead-", "retry-"))


def read_letter(received: Received) -> DeadLetter | None:
    """Read a letter off a dead-letter topic; None when a stranger put it there."""
    try:
        return _read_letter(received)
    except (KeyError, ValueError) as error:
        _log.warning("not_a_dead_letter", topic=received.topic, offset=received.offset, error=error)
        return None


def _read_letter(received: Received) -> DeadLetter:
    said = {
        name: value.decode() for name, value in received.headers.items() if name.startswith("dead-")
    }
    return DeadLetter(
        topic=said["dead-topic"],
        partition=int(said["dead-partition"]),
        offset=int(said["dead-offset"]),
        key=received.key,
        value=received.value,
        headers={n: v for n, v in received.headers.items() if _is_original(n)},
        group=said["dead-group"],
        reason=said["dead-reason"],
        error=said["dead-error"],
        at=said["dead-at"],
    )


@dataclass
class Waiting:
    """A group's letters since the last re-drive by their place, and those dropped among them."""

    group: str
    letters: dict[Place, DeadLetter] = field(default_factory=dict)
    dropped: dict[Place, Dropped] = field(default_factory=dict)

    def add(self, received: Received) -> None:
        """Take the next message of the dead-letter topic in; the last word on a place holds.

        A letter may die twice before a commit. A marker without a letter is of one that is gone.
        """
        if (dropped := read_dropped(received)) is not None:
            if dropped.group == self.group and self.letters.pop(dropped.place, None) is not None:
                self.dropped[dropped.place] = dropped
        elif (letter := read_letter(received)) is not None and letter.group == self.group:
            self.letters[letter.place] = letter
            self.dropped.pop(letter.place, None)

    def in_order(self) -> list[DeadLetter]:
        """The letters that wait, by their first offset."""
        return [self.letters[place] for place in sorted(self.letters)]

    def to_send(self) -> list[Message]:
        """What a re-drive publishes: the letters, and releases in the place of those dropped.

        The command that dropped them may have died before it had published all its releases.
        """
        messages = {place: _sent_back(letter) for place, letter in self.letters.items()}
        messages |= {place: dropped.release() for place, dropped in self.dropped.items()}
        return [messages[place] for place in sorted(messages)]


async def peek(
    bus: Bus, topic: str, group: str, within_seconds: float = PATIENCE_SECONDS
) -> list[DeadLetter]:
    """Return what ``redrive`` would send back, in order, and leave it there."""
    async with reading_waiting(bus, topic, group, within_seconds) as (_, waiting):
        return waiting.in_order()


async def redrive(
    bus: Bus, topic: str, group: str, within_seconds: float = PATIENCE_SECONDS
) -> int:
    """Send a group's dead letters back to their topic; return how many.

    The owner's halt ends when its consumer has handled all of them. A crash half-way means that
    some are sent twice; the consumer knows which it still needs.
    """
    async with reading_waiting(bus, topic, group, within_seconds) as (subscription, waiting):
        await bus.publish(waiting.to_send())
        await subscription.commit()
        return len(waiting.letters)


@asynccontextmanager
async def reading_waiting(
    bus: Bus, topic: str, group: str, within_seconds: float
) -> AsyncIterator[tuple[Subscription, Waiting]]:
    """Read what has come since the group's last re-drive; a commit ends what waits.

    Each group reads the dead letters at its own pace, past those of other groups.
    """
    waiting = Waiting(group)
    name, reader = topic + DEAD_LETTER_SUFFIX, f"redrive.{group}"
    subscription = bus.subscribe([name], reader)
    try:
        async for received in read_all(bus, subscription, name, reader, within_seconds):
            waiting.add(received)
        yield subscription, waiting
    finally:
        await subscription.close()


async def read_all(
    bus: Bus, subscription: Subscription, topic: str, reader: str, within_seconds: float
) -> AsyncIterator[Received]:
    """Yield all that ``reader`` has not committed of a topic. Raises Unavailable unless it is all.

    A part would not do: the marker of a letter may be in the rest. Joining a group takes a
    distributed broker some seconds; ``within_seconds`` is how long nothing may come.
    """
    count, deadline = 0, time.monotonic() + within_seconds
    while count < await bus.lag([topic], reader):
        left = deadline - time.monotonic()
        if left <= 0:
            raise Unavailable(topic, "not all could be read; does another command read it, too?")
        for received in await subscription.poll(READ_AT_ONCE, left):
            count += 1
            deadline = time.monotonic() + within_seconds
            yield received


def _sent_back(letter: DeadLetter) -> Message:
    """A message for the group alone. Its own key spares the owner's on a compacted topic, where an
    old message would else take the place of the newest.
    """
    marks = {
        RETRY_KEY: letter.key.encode("utf-8", "surrogateescape"),
        "retry-group": letter.group.encode(),
        "retry-offset": str(letter.offset).encode(),
        "retry-reason": letter.reason.encode(),
    }
    key = f"retry/{letter.group}/{letter.partition}:{letter.offset}"
    headers = {**letter.headers, **marks}
    return Message(letter.topic, key, letter.value, headers, beside=letter.key)
