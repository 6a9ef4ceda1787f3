"""One pass over the ledger, account by account, from which every report is made.

Memory holds one account and the sums, whatever the length of the journal: rows grow with days,
wallets and months of expiry, not with members.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import msgspec

from contracts.envelope import Fact
from contracts.points import LotTerms
from kit.clock import DAY
from kit.journal.port import Journal
from services.points.domain.liability import Outstanding
from services.points.domain.movement import Entry, Movement
from services.points.domain.terms import local_day, start_of

Pace = Callable[[], Awaitable[bool]]
"""Called after every batch; False ends the pass without a result."""


class Mark(msgspec.Struct, gc=False):
    """What a report reads of AccountMarked."""

    terms: tuple[LotTerms, ...] = ()


_ONE_DAY = timedelta(days=1)
_entry = msgspec.json.Decoder(Entry)
_mark = msgspec.json.Decoder(Mark)


class Days:
    """The programme's days. A time zone is asked once for each day in UTC, not for each entry.

    A day begins when the clock first strikes midnight, as it does for lots that expire; an hour of
    the day before that a change of clocks brings again belongs to the new day.
    """

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._known: dict[int, list[tuple[int, int]]] = {}

    def ordinal(self, at: int) -> int:
        """The day (its ordinal) that a time in microseconds falls on."""
        number = at // DAY
        if (parts := self._known.get(number)) is None:
            parts = self._known[number] = self._parts(number * DAY, (number + 1) * DAY)
        for end, day in parts:
            if at < end:
                return day
        return parts[-1][1]

    def month(self, at: int) -> str:
        """The month that a time falls into, ``YYYY-MM``."""
        return date.fromordinal(self.ordinal(at)).isoformat()[:7]

    def _parts(self, begin: int, stop: int) -> list[tuple[int, int]]:
        """The local days of a day in UTC, each with its end: two as a rule, three where one has
        less than 24 hours."""
        parts = []
        while begin < stop:
            day = local_day(self._zone, begin)
            if (end := start_of(self._zone, day + _ONE_DAY)) <= begin:
                # No zone has done that since 1972; if one does, the loop must still come to an end.
                day += _ONE_DAY
                end = start_of(self._zone, day + _ONE_DAY)
            parts.append((end, day.toordinal()))
            begin = end
        return parts


@dataclass
class Walk:
    """What a pass has found up to ``as_of`` (booking time): what was booked later is left out."""

    as_of: int
    days: Days
    movement: Movement
    outstanding: Outstanding
    entries: int = 0
    _stream: str = ""

    def take(self, facts: Sequence[Fact]) -> None:
        """Count facts, in the order of the journal."""
        ordinal, movement, outstanding = self.days.ordinal, self.movement, self.outstanding
        for fact in facts:
            if fact.stream != self._stream:
                self.end()
                self._stream = fact.stream
            if fact.posted_at > self.as_of:
                continue
            if fact.type == "PointsPosted":
                entry = _entry.decode(fact.body)
                movement.add(entry, ordinal(fact.occurred_at), ordinal(fact.posted_at))
                outstanding.add(entry)
                self.entries += 1
            elif fact.type == "AccountMarked":
                outstanding.extend(_mark.decode(fact.body).terms)

    def end(self) -> None:
        """The present account has no more facts."""
        self.movement.begin()
        self.outstanding.end()


def new_walk(zone: ZoneInfo, as_of: int) -> Walk:
    """A pass that has not begun."""
    days = Days(zone)
    return Walk(as_of, days, Movement(), Outstanding(as_of, days.month))


async def walk(
    journal: Journal, zone: ZoneInfo, as_of: int, pace: Pace | None = None
) -> Walk | None:
    """Pass over the whole ledger; None when ``pace`` ended it."""
    found = new_walk(zone, as_of)
    async for facts in journal.scan():
        found.take(facts)
        if pace is not None and not await pace():
            return None
    found.end()
    return found
