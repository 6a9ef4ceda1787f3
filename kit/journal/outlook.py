"""What a process knows of a journal's unpublished facts without asking the store.

A store that cannot call has to be asked, and asking keeps it busy. So the relay asks often only
where others append: where this process alone does, the append itself wakes the relay, and the
asking is for the day when another process appends, too.
"""

import time
from collections.abc import Callable, Iterable, Sequence

from contracts.envelope import Fact
from kit.mongo.driver import Row

POLL_SECONDS, IDLE_POLL_SECONDS = 0.005, 0.025
IDLE_AFTER_SECONDS = 1.0
# A store that answers slowly is busy, and the asking must not be what keeps it so.
ANSWERS_BETWEEN_POLLS, IDLE_ANSWERS_BETWEEN_POLLS = 4, 20
ALONE_POLL_SECONDS = 0.25
ALONE_AFTER_SECONDS = 10.0
# A journal of which nothing has been heard for so long, whoever appends to it, is asked less, too.
QUIET_POLL_SECONDS, QUIET_AFTER_SECONDS = 0.25, 10.0
# The marks that were taken off stay in the way of a query until the store clears them up: behind
# 5,000 of them FerretDB's took ten times as long. So most questions begin shortly before the last
# fact that is known to be published; what was appended late, or under a slow clock, is found by
# those that do not.
LOOK_BACK_MICROSECONDS, WHOLE_EVERY_SECONDS = 1_000_000, 1.0
# Notes of other processes are asked for less: so often after one was found, and else each second.
NOTES_POLL_SECONDS, NOTES_AFTER_SECONDS = 0.05, 2.0
MOST_REMEMBERED = 20_000
GLIMPSE_SECONDS = 0.05


class Outlook:
    """Of one journal. Forgetting is harmless: it costs a question."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._own: dict[str, None] = {}
        self._published: dict[str, int] = {}
        self._appends = False
        self._others_at = self._now()
        self._glimpse: tuple[float, int, list[Row]] = (0.0, 0, [])
        self._published_at = 0
        self._whole_at = 0.0
        self._noted_at = self._now() - NOTES_AFTER_SECONDS
        self._notes_asked_at = self._now() - WHOLE_EVERY_SECONDS

    def appending(self, ids: Iterable[str]) -> None:
        """This process is about to write these facts, or these notes."""
        self._appends = True
        self._own.update(dict.fromkeys(ids))
        _bound(self._own)

    def refused(self, ids: Iterable[str]) -> None:
        """These are another's, or were there before."""
        for id_ in ids:
            self._own.pop(id_, None)

    def found(self, rows: Sequence[Row]) -> None:
        """These are unpublished; is one of them another's?"""
        if any(row["_id"] not in self._own for row in rows):
            self._others_at = self._now()

    def noted(self, names: Sequence[str]) -> None:
        """Notes were asked for, and these are new; is one of them another's?"""
        self._notes_asked_at = self._now()
        if any(name not in self._own for name in names):
            self._others_at = self._noted_at = self._now()

    def notes_due(self) -> bool:
        """Whether it is time to ask for notes, too."""
        heard = self._now() - self._noted_at < NOTES_AFTER_SECONDS
        pause = NOTES_POLL_SECONDS if heard else WHOLE_EVERY_SECONDS
        return self._now() - self._notes_asked_at >= pause

    def marked(self, facts: Sequence[Fact]) -> None:
        """The marks of these were taken off: they are published, and all before them."""
        self.published_all(facts)
        posted = (fact.posted_at for fact in facts)
        self._published_at = max(self._published_at, max(posted, default=0))

    def published_all(self, facts: Iterable[Fact]) -> None:
        """These are published, and all before them."""
        for fact in facts:
            before = self._published.pop(fact.stream, 0)
            self._published[fact.stream] = max(before, fact.seq)
        self._glimpse = (0.0, 0, [])
        _bound(self._published)

    def published(self, stream: str, seq: int) -> bool:
        """Whether this fact is known to be published."""
        return seq == 0 or self._published.get(stream, 0) >= seq

    def since(self) -> int:
        """Return the time of posting from which on to ask; every second 0, which means: for all."""
        if self._now() - self._whole_at >= WHOLE_EVERY_SECONDS:
            self._whole_at = self._now()
            return 0
        return max(1, self._published_at - LOOK_BACK_MICROSECONDS)

    @property
    def alone(self) -> bool:
        """Whether it seems that only this process appends."""
        return self._appends and self._now() - self._others_at > ALONE_AFTER_SECONDS

    def first_pause(self) -> float:
        """Return how long to wait before the first question: where others were just heard, not."""
        heard = self._now() - self._others_at < IDLE_AFTER_SECONDS
        return 0.0 if heard else self.pause(0.0)

    def pause(self, answer_seconds: float) -> float:
        """Return how long to wait before the next question; the last answer took so long."""
        if self.alone:
            return max(ALONE_POLL_SECONDS, IDLE_ANSWERS_BETWEEN_POLLS * answer_seconds)
        if self._now() - self._others_at < IDLE_AFTER_SECONDS:
            return max(POLL_SECONDS, ANSWERS_BETWEEN_POLLS * answer_seconds)
        quiet = self._now() - self._others_at > QUIET_AFTER_SECONDS
        least = QUIET_POLL_SECONDS if quiet else IDLE_POLL_SECONDS
        return max(least, IDLE_ANSWERS_BETWEEN_POLLS * answer_seconds)

    def glimpsed(self, limit: int, rows: list[Row]) -> None:
        """A poll has found these, if any: the answer to the question that follows it at once."""
        self._glimpse = (self._now(), limit, rows)

    def glimpse(self, limit: int) -> list[Row] | None:
        """Return what a poll has just found, once; None when there was none."""
        at, least, rows = self._glimpse
        self._glimpse = (0.0, 0, [])
        return rows if least == limit and self._now() - at < GLIMPSE_SECONDS else None


def _bound(memory: dict[str, None] | dict[str, int]) -> None:
    while len(memory) > MOST_REMEMBERED:
        del memory[next(iter(memory))]
