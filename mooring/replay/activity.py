"""An activity as the public API takes it, and where activities come from."""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec


class ReplayError(Exception):
    """The input cannot be replayed, and why."""


class Line(msgspec.Struct, omit_defaults=True):
    """A purchase line; the amount is in minor units."""

    line: int
    amount: int
    sku: str | None = None
    quantity: int = 1
    category: str | None = None


class Activity(msgspec.Struct, omit_defaults=True):
    """One activity, as ``POST /v1/activities`` takes it."""

    member_id: str
    source: str
    external_id: str
    type: str
    channel: str
    occurred_at: datetime
    amount: int | None = None
    lines: list[Line] | None = None
    store: str | None = None


class Recorded(msgspec.Struct, frozen=True):
    """The part of a recorded activity that a replay must know; the rest is passed on untouched."""

    member_id: str
    occurred_at: datetime


Item = tuple[str, datetime, bytes]
"""A member, when it happened, and the whole activity as JSON."""


def from_file(path: Path, until: date | None = None) -> Iterator[Item]:
    """Yield each line of a JSON Lines file, in the order of the file.

    Raises ReplayError, naming the line, when one is not an activity.
    """
    decoder = msgspec.json.Decoder(Recorded)
    limit = _midnight(until)
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not (text := line.strip()):
                continue
            try:
                recorded = decoder.decode(text)
            except msgspec.DecodeError as error:
                raise ReplayError(f"{path}:{number}: {error}") from error
            if limit is None or recorded.occurred_at < limit:
                yield recorded.member_id, recorded.occurred_at, text


def encoded(activities: Iterable[Activity]) -> Iterator[Item]:
    """Yield each activity as an item."""
    encoder = msgspec.json.Encoder()
    return ((a.member_id, a.occurred_at, encoder.encode(a)) for a in activities)


def _midnight(day: date | None) -> datetime | None:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) if day else None
