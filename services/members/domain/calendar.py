"""The days of the programme's time zone, as ordinals, and the instants at which they begin.

A day is the programme's, not the member's, so that "keeps Gold until 31 March" means one instant.
"""

from datetime import date, datetime, time
from zoneinfo import ZoneInfo

SECOND = 1_000_000


class Calendar:
    """Days of one time zone. Days are proleptic ordinals, instants microseconds since the epoch."""

    def __init__(self, zone: str) -> None:
        self._zone = ZoneInfo(zone)
        self._starts: dict[int, int] = {}

    def start(self, day: int) -> int:
        """The first instant of a day: midnight, or what comes after it where clocks skip it."""
        start = self._starts.get(day)
        if start is None:
            midnight = datetime.combine(date.fromordinal(day), time.min, self._zone)
            start = self._starts[day] = int(midnight.timestamp()) * SECOND
        return start

    def day(self, at: int) -> int:
        """The day of an instant: the last that has begun, even where clocks go back at midnight."""
        day = datetime.fromtimestamp(at // SECOND, self._zone).toordinal()
        return day + 1 if self.start(day + 1) <= at else day
