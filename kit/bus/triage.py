"""Sorting a batch before it is handled: what to run, what to put aside, what to skip.

Pure: it looks at copies of the halts and lets them run ahead as if all that is run succeeded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from contracts.envelope import Fact, decode_fact
from kit.bus.dead_letters import Reason, as_first_sent, first_offset, retry_of
from kit.bus.dropped import DROPPED, Dropped, read_dropped
from kit.bus.halts import Halt
from kit.bus.port import Received


class Envelope(msgspec.Struct, frozen=True):
    """A message as a handler gets it: the fact, and how it came."""

    fact: Fact
    received: Received


class Aside(msgspec.Struct, frozen=True):
    """A message that goes to the dead letters."""

    received: Received
    reason: Reason
    error: str


@dataclass
class Sorted:
    """The verdict on a batch, each list in the order of the batch."""

    run: list[Envelope] = field(default_factory=list)
    aside: list[Aside] = field(default_factory=list)
    skipped: list[Received] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)


def sort_batch(received: Sequence[Received], halts: Mapping[str, Halt], group: str) -> Sorted:
    """Decode and sort a batch."""
    result = Sorted()
    ahead = {key: halt.copy() for key, halt in halts.items()}
    for sent in received:
        message = sent
        if not ahead and "retry-group" not in message.headers:
            verdict: Literal["run", "park", "skip"] = "run"
        elif (dropped := _dropped_by(message, group)) is not None:
            result.dropped.append(dropped)
            if dropped.key in ahead:
                ahead[dropped.key].settle(dropped.topic, dropped.offset)
            continue
        else:
            message = as_first_sent(sent)
            verdict = _verdict(message, ahead.get(message.key), group)
        if verdict == "skip":
            result.skipped.append(message)
        elif verdict == "park":
            error = halts[message.key].error
            ahead[message.key].park(*place_of(message))
            result.aside.append(Aside(message, "halted", error))
        else:
            _decode_into(result, message)
    return result


def _dropped_by(message: Received, group: str) -> Dropped | None:
    """What this message releases the group from; a release of another group's is skipped later."""
    if DROPPED not in message.headers or "retry-group" not in message.headers:
        return None
    dropped = read_dropped(message)
    if dropped is None or (dropped.group, dropped.topic) != (group, message.topic):
        return None
    return dropped


def _verdict(message: Received, halt: Halt | None, group: str) -> Literal["run", "park", "skip"]:
    retry = retry_of(message)
    if retry is not None and retry.group != group:
        return "skip"
    if halt is None or halt.over:
        return "run"
    if retry is None or not halt.is_parked(message.topic, retry.offset):
        return "park" if retry is None or retry.reason == "malformed" else "skip"
    if not halt.is_next(message.topic, retry.offset):
        return "park"
    halt.settle(message.topic, retry.offset)
    return "run"


def _decode_into(result: Sorted, message: Received) -> None:
    try:
        if not message.key.isascii():
            message.key.encode()  # no owner has a key that is no text
        result.run.append(Envelope(decode_fact(message.value), message))
    except (msgspec.DecodeError, UnicodeError) as error:
        result.aside.append(Aside(message, "malformed", f"not an envelope: {error}"))


def place_of(message: Received) -> tuple[str, int]:
    """The topic and the first offset of a message: what the list of a halt knows it by."""
    return message.topic, first_offset(message)
