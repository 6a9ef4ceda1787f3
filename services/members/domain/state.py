"""What is remembered of a member's relationship: bounded, whatever the member's history.

Arrays on the wire, because a state is read and written with every batch.
"""

import msgspec

from contracts.members import CardChange

NEVER = -1


class Review(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """A rating given; the id breaks ties, so that the order of arrival cannot matter."""

    at: int
    activity_id: str
    rating: int


class Known(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What stage evidence rests on.

    ``contact_at`` is the last contact other than a purchase. ``times`` and ``seqs`` are when the
    last kept purchases were and where they stand among the activities, in order of time; ``kept``
    counts all that are kept. A purchase returned in full leaves no trace here.

    Two columns of integers, and no activity ids: a state of 64 purchases is read in a third of the
    time that a list of them takes.
    """

    contact_at: int = NEVER
    share_at: int = NEVER
    review: Review | None = None
    kept: int = 0
    first_kept: int = NEVER
    times: tuple[int, ...] = ()
    seqs: tuple[int, ...] = ()


class Spend(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Spend in minor units per day of the tier window, days ascending, and its total."""

    days: tuple[int, ...] = ()
    amounts: tuple[int, ...] = ()
    total: int = 0


class Enrolment(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """When and where the member joined."""

    at: int
    channel: str
    region: str | None = None


class Relationship(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A member's tier and stage at ``clock``, and what they follow from.

    ``absorbed`` is the last activity taken in and ``clock`` the newest time seen; it never goes
    back. ``changes`` are the recent changes, oldest first, complete for activities from
    ``complete_from`` on; ``due`` are those that time alone will bring.
    """

    absorbed: int
    clock: int
    tier: str
    stage: str
    stage_since: int
    known: Known
    spend: Spend
    changes: tuple[CardChange, ...]
    complete_from: int = 0
    due: tuple[CardChange, ...] = ()
    enrolment: Enrolment | None = None
    file_seq: int = 0


class Returned(msgspec.Struct, frozen=True, gc=False):
    """What a matched return takes back; see contracts.events.ReturnedPurchase."""

    activity_id: str
    seq: int
    occurred_at: int
    amount: int
    full: bool


class Activity(msgspec.Struct, frozen=True, gc=False):
    """The part of an activity fact that matters here (a ReturnMatched bears no type)."""

    activity_id: str
    member_id: str
    type: str = "return"
    amount: int = 0
    rating: int | None = None
    returned: Returned | None = None
