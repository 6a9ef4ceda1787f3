"""Dead letters: messages a group could not handle, put aside with all it takes to send them back.

A letter is the original key, value and headers, plus ``dead-*`` headers: where it came from, which
group gave up on it, why and when. ``redrive`` publishes a group's letters to their topic again, in
their original order, marked for that group alone.
"""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import structlog

from contracts.topics import DEAD_LETTER_SUFFIX
from kit.bus.port import Bus, Message, Received, Subscription

_log = structlog.get_logger(__name__)

Reason = Literal["malformed", "failed", "halted"]
ERROR_LIMIT = 2_000
READ_AT_ONCE = 1_000


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


def retry_of(received: Received) -> Retry | None:
    """Return the mark of a re-driven message; None for any other, and for a mark of nobody's."""
    try:
        group = received.headers["retry-group"].decode()
        offset = int(received.headers["retry-offset"])
        return Retry(group, offset, received.headers["retry-reason"].decode())
    except (KeyError, ValueError):
        return None


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


async def peek(bus: Bus, topic: str, group: str, within_seconds: float = 15.0) -> list[DeadLetter]:
    """Return what ``redrive`` would send back, in order, and leave it there."""
    async with _reading(bus, topic, group) as subscription:
        return await _read_waiting(bus, subscription, topic, group, within_seconds)


async def redrive(bus: Bus, topic: str, group: str, within_seconds: float = 15.0) -> int:
    """Send a group's dead letters back to their topic; return how many.

    The owner's halt ends when its consumer has handled all of them. A crash half-way means that
    some are sent twice; the consumer knows which it still needs.
    """
    async with _reading(bus, topic, group) as subscription:
        letters = await _read_waiting(bus, subscription, topic, group, within_seconds)
        await bus.publish([_sent_back(letter) for letter in letters])
        await subscription.commit()
        return len(letters)


@asynccontextmanager
async def _reading(bus: Bus, topic: str, group: str) -> AsyncIterator[Subscription]:
    subscription = bus.subscribe([topic + DEAD_LETTER_SUFFIX], _reader(group))
    try:
        yield subscription
    finally:
        await subscription.close()


async def _read_waiting(
    bus: Bus, subscription: Subscription, topic: str, group: str, within_seconds: float
) -> list[DeadLetter]:
    """Read what is there now; joining a group takes a distributed broker some seconds."""
    waiting = await bus.lag([topic + DEAD_LETTER_SUFFIX], _reader(group))
    letters: list[DeadLetter] = []
    deadline = time.monotonic() + within_seconds
    while waiting > 0 and (left := deadline - time.monotonic()) > 0:
        received = await subscription.poll(READ_AT_ONCE, left)
        waiting -= len(received)
        letters += [letter for it in received if (letter := read_letter(it)) is not None]
    return _in_order(letters, group)


def _reader(group: str) -> str:
    """Each group reads the dead letters at its own pace, past those of other groups."""
    return f"redrive.{group}"


def _in_order(letters: Sequence[DeadLetter], group: str) -> list[DeadLetter]:
    """Sort by first offset and drop doubles: a letter may die twice before a commit."""
    own = {(it.partition, it.offset): it for it in letters if it.group == group}
    return [own[place] for place in sorted(own)]


def _sent_back(letter: DeadLetter) -> Message:
    marks = {
        "retry-group": letter.group.encode(),
        "retry-offset": str(letter.offset).encode(),
        "retry-reason": letter.reason.encode(),
    }
    return Message(letter.topic, letter.key, letter.value, {**letter.headers, **marks})
