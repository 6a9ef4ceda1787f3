"""The as-of card: the member as they were when an activity happened.

Activity n is decided with what follows from activities 1 … n−1 at the time of n, so that the answer
depends on the activities alone: a card that is far ahead and one that has absorbed n−1 and no more
give the same. A card lists recent changes only; ``absorb`` keeps the older ones that activities
still undecided may need.
"""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from contracts.events import AsOf
from contracts.members import CardChange, MemberCard

NOBODY = AsOf(tier="", stage="")
"""Decisions that need no card are made without one, however far it is."""


class Progress(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """How far the decisions on a member's activities have come.

    ``decided`` is the last activity decided, ``seen`` the last one known of. ``card`` is the newest
    card, with older changes where they may be needed, ``card_version`` tells newer from older, and
    ``carded_at`` is when there first was one. ``waiting_until`` is when activity ``decided + 1``
    is decided whether the card has come or not.
    """

    decided: int = 0
    seen: int = 0
    waiting_until: int | None = None
    carded_at: int = 0
    card_version: int = 0
    card: MemberCard | None = None


def absorb(progress: Progress, card: MemberCard, version: int, now: int) -> Progress:
    """Take in a card; an older one than is known changes nothing."""
    known = progress.card
    if known is None:
        return replace(progress, card=card, card_version=version, carded_at=now)
    if version < progress.card_version:
        return progress
    if version == progress.card_version and card.complete_from >= known.complete_from:
        return progress
    if card.absorbed > progress.decided:
        card = _with_older_changes(card, known)
    return replace(progress, card=card, card_version=version)


def _with_older_changes(card: MemberCard, known: MemberCard) -> MemberCard:
    if not card.changes:
        return card
    first = (card.changes[0].after_seq, card.changes[0].at)
    older = tuple(c for c in known.changes if (c.after_seq, c.at) < first)
    if not older:
        return card
    touching = card.complete_from <= known.absorbed + 1
    return replace(
        card,
        changes=older + card.changes,
        complete_from=known.complete_from if touching else card.complete_from,
    )


def suffices(card: MemberCard, seq: int) -> bool:
    """Whether the card can say how things stood before activity ``seq``."""
    return card.absorbed >= seq - 1


def as_of(card: MemberCard, seq: int, at: int) -> AsOf:
    """The member as of activity ``seq`` at time ``at``; the card must suffice.

    Before the first change known, the first one holds: the member had not been enrolled yet.
    """
    change = _last(card.due, seq, at) if card.absorbed == seq - 1 else None
    change = change or _last(card.changes, seq, at) or _first(card)
    return AsOf(change.tier, change.stage, change.value_class, seq - 1, seq >= card.complete_from)


def newest(card: MemberCard, at: int) -> AsOf:
    """The member as of the newest card, for an activity that can wait no longer for a better."""
    beyond = card.absorbed + 1
    change = _last(card.due, beyond, at) or _last(card.changes, beyond, at) or _first(card)
    return AsOf(change.tier, change.stage, change.value_class, card.absorbed, False)


def _last(changes: Sequence[CardChange], seq: int, at: int) -> CardChange | None:
    for change in reversed(changes):
        if change.after_seq < seq and change.at <= at:
            return change
    return None


def _first(card: MemberCard) -> CardChange:
    if card.changes:
        return card.changes[0]
    return CardChange(0, card.enrolled_at, card.tier, card.stage, card.value_class)
