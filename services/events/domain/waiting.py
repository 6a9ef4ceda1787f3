"""Whether an activity can be decided now, and if not, how long it waits.

* A return needs no card. Everything else needs one that has absorbed the activities before it.
* A fresh activity waits for it until ``decide_within`` after it was accepted, then it is decided
  with the newest card. A historic one (older than that when accepted) waits without limit, and so
  does one that was accepted before the member's first card: its member had not been enrolled.
* The order of a member's activities is kept: whoever is behind one that waits, waits with it.
"""

import msgspec

from contracts.events import AsOf
from services.events.domain.as_of import NOBODY, Progress, as_of, newest, suffices


class Pending(msgspec.Struct, frozen=True):
    """An activity to be decided; times in microseconds."""

    seq: int
    occurred_at: int
    posted_at: int
    is_return: bool


def standing(
    progress: Progress, pending: Pending, now: int, within: int, *, due: bool
) -> AsOf | None:
    """What to decide with; None: it waits. ``due``: who has waited long enough waits no more."""
    if pending.is_return:
        return NOBODY
    card = progress.card
    if card is None:
        return None
    if suffices(card, pending.seq):
        return as_of(card, pending.seq, pending.occurred_at)
    limit = _limit(progress, pending, within)
    if due and limit is not None and limit <= now:
        return newest(card, pending.occurred_at)
    return None


def waits_until(progress: Progress, pending: Pending, now: int, within: int) -> int | None:
    """When an activity that waits is looked at again; None: when its card has come.

    One that arrives here after its limit (this worker was down) gets the time anew, for the card
    that it waits for may be in the same backlog.
    """
    limit = _limit(progress, pending, within)
    if limit is None or limit > now:
        return limit
    return progress.waiting_until or now + within


def _limit(progress: Progress, pending: Pending, within: int) -> int | None:
    historic = pending.occurred_at < pending.posted_at - within
    parked = progress.card is None or pending.posted_at < progress.carded_at
    return None if historic or parked or pending.is_return else pending.posted_at + within
