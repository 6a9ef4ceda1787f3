"""Facts of the members service: who the member is, and the step of the relationship.

Stream ``member:{member_id}`` holds the member file (written by the API), stream
``relationship:{member_id}`` the tier and stage changes (written by the worker). Both travel on
``members.facts.v1``. The card is a view and travels on the compacted ``members.cards.v1``.
"""

import msgspec


class MemberEnrolled(msgspec.Struct, frozen=True, omit_defaults=True):
    """A member joined, through ``channel``.

    Personal data is not in the journal: it sits in the member file, a document of its own, so
    that erasing it breaks nothing. The fact names the ``fields`` that were filled.
    """

    member_id: str
    channel: str
    fields: tuple[str, ...] = ()
    region: str | None = None


class MemberFileChanged(msgspec.Struct, frozen=True, omit_defaults=True):
    """Fields of the member file were filled or cleared; the values are in the file alone."""

    member_id: str
    filled: tuple[str, ...] = ()
    cleared: tuple[str, ...] = ()
    region: str | None = None


class TierChanged(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tier was reached or lost at the envelope's ``occurred_at``.

    ``after_seq`` is the last activity taken into account; ``spend`` the qualifying spend in minor
    units.
    """

    member_id: str
    previous: str
    tier: str
    after_seq: int
    spend: int


class StageChanged(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step of the five was climbed or lost at the envelope's ``occurred_at``.

    ``evidence`` holds each item of evidence at that moment, ``facts`` what produced it: the
    activity ids (or times, in microseconds) it rests on. ``dwell`` is the time spent on the
    previous stage in microseconds.
    """

    member_id: str
    previous: str
    stage: str
    after_seq: int
    evidence: dict[str, bool]
    facts: dict[str, str | int]
    dwell: int


class CardChange(msgspec.Struct, frozen=True, array_like=True):
    """From ``at`` on, seen after activity ``after_seq``: this tier, stage and value class."""

    after_seq: int
    at: int
    tier: str
    stage: str
    value_class: str | None = None


class MemberCard(msgspec.Struct, frozen=True, omit_defaults=True):
    """What campaign rules see of a member.

    ``absorbed`` is the seq of the last activity the card knows. ``changes`` are the recent changes,
    oldest first, ``at`` never decreasing. ``due`` are the changes that time alone will bring if
    nothing else happens, so that a reader may look past ``absorbed`` to the next activity.
    ``complete_from`` is the activity seq from which on ``changes`` is complete.

    The card as of activity n at time t (``absorbed >= n - 1``): the last of ``changes``, and of
    ``due`` when ``absorbed == n - 1``, with ``after_seq < n`` and ``at <= t``.
    """

    member_id: str
    absorbed: int
    tier: str
    stage: str
    enrolled_at: int
    channel: str
    changes: tuple[CardChange, ...]
    due: tuple[CardChange, ...] = ()
    complete_from: int = 0
    region: str | None = None
    value_class: str | None = None
