"""What an operator has given up of a group's dead letters, for good and with a reason.

It is said twice, in the same headers. The *marker* follows the letter on the dead-letter topic and
is kept as the letter is: a letter waits unless a marker for its place comes after it. The *release*
goes to the letter's own topic, for the group alone, and lies among the messages of the letter's
owner: the consumer takes the message off the owner's halt, and repeats the marker, so that it also
covers what the consumer put aside of this message on the way to the release.
"""

from dataclasses import dataclass

import structlog

from contracts.topics import DEAD_LETTER_SUFFIX
from kit.bus.port import Message, Received

_log = structlog.get_logger(__name__)

DROPPED = "dead-dropped"
"""The header that tells a marker or a release from a letter; it holds the reason."""

Place = tuple[int, int]
"""The partition and the first offset of a message."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A message that a group is never to handle: ``by`` whom it was given up, and why."""

    topic: str
    partition: int
    offset: int
    key: str
    group: str
    reason: str
    by: str
    at: str

    @property
    def place(self) -> Place:
        """Where the message first was."""
        return self.partition, self.offset

    def marker(self) -> Message:
        """What is kept of it, behind the letter."""
        return Message(self.topic + DEAD_LETTER_SUFFIX, self.key, b"", self._headers())

    def release(self) -> Message:
        """What tells the group's consumer; its own key spares the owner's on a compacted topic."""
        marks = {
            "retry-group": self.group.encode(),
            "retry-offset": str(self.offset).encode(),
            "retry-reason": b"dropped",
        }
        key = f"dropped/{self.group}/{self.partition}:{self.offset}"
        return Message(self.topic, key, b"", {**self._headers(), **marks}, beside=self.key)

    def _headers(self) -> dict[str, bytes]:
        said = {
            "dead-topic": self.topic,
            "dead-partition": str(self.partition),
            "dead-offset": str(self.offset),
            "dead-key": self.key,
            "dead-group": self.group,
            DROPPED: self.reason,
            "dead-by": self.by,
            "dead-at": self.at,
        }
        return {name: value.encode("utf-8", "surrogateescape") for name, value in said.items()}


def read_dropped(received: Received) -> Dropped | None:
    """Read a marker or a release; None for any other message."""
    if DROPPED not in received.headers:
        return None
    said = {
        name: value.decode("utf-8", "surrogateescape")
        for name, value in received.headers.items()
        if name.startswith("dead-")
    }
    try:
        return Dropped(
            said["dead-topic"],
            int(said["dead-partition"]),
            int(said["dead-offset"]),
            said["dead-key"],
            said["dead-group"],
            said[DROPPED],
            said["dead-by"],
            said["dead-at"],
        )
    except (KeyError, ValueError) as error:
        _log.warning("not_a_drop", topic=received.topic, offset=received.offset, error=error)
        return None
