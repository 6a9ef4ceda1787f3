"""Time, as a value that is passed in: microseconds since the epoch, UTC."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], int]
SECOND = 1_000_000
DAY = 86_400 * SECOND


def system_clock() -> int:
    """Return the present, in microseconds since the epoch."""
    return time.time_ns() // 1000


def to_micros(moment: datetime) -> int:
    """Convert an aware datetime; a naive one is an error of the caller."""
    if moment.tzinfo is None:
        raise ValueError("a datetime without a time zone has no place on the time line")
    return round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * SECOND)


def from_micros(micros: int) -> datetime:
    """Convert microseconds since the epoch to an aware UTC datetime."""
    seconds, rest = divmod(micros, SECOND)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)
