"""Facts of the events service: what members do, and what was decided about it.

Stream ``activity:{member_id}`` numbers a member's activities. Stream ``decision:{member_id}`` has
exactly one fact for each of them, **with the same seq**: decision n decides activity n, so an
activity can be decided once only.

Money is in minor units of the programme's currency; points are integers.
"""

from typing import Literal

import msgspec

ActivityType = Literal[
    "purchase",
    "return",
    "visit",
    "app_open",
    "content_view",
    "wish",
    "share",
    "review",
    "custom",
]
Channel = Literal["store", "voice", "club", "publication", "app", "web", "partner"]


class PurchaseLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a basket; ``amount`` is what was paid for the line, in minor units."""

    line: int
    amount: int
    sku: str | None = None
    quantity: int = 1
    category: str | None = None


class ReturnedLine(msgspec.Struct, frozen=True):
    """How much of a purchase line has come back, in minor units.

    ``amount`` is the line's original amount; this return moved the returned total from ``before``
    to ``after``. A consumer takes back ``f(after) - f(before)`` and needs no memory of its own.
    """

    line: int
    amount: int
    before: int
    after: int


class ReturnedPurchase(msgspec.Struct, frozen=True):
    """The purchase that a return takes back, resolved against the member's activities.

    ``seq`` is the purchase's place in the activity stream, ``amount`` the money this return gives
    back, ``full`` whether nothing of the purchase is kept any more.
    """

    activity_id: str
    seq: int
    occurred_at: int
    amount: int
    full: bool
    lines: tuple[ReturnedLine, ...]


class ReturnRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the client asked to return: the purchase by its activity id, and how much of each line.

    No lines: all that is left. An amount of None: all that is left of that line.
    """

    activity_id: str
    lines: tuple[tuple[int, int | None], ...] = ()


class ActivityRecorded(msgspec.Struct, frozen=True, omit_defaults=True):
    """A member did something. The envelope's ``occurred_at`` is when.

    ``activity_id`` follows from (source, external_id). ``amount`` and ``lines`` are a purchase's.
    A return carries ``requested``, and ``returned`` unless it arrived before its purchase; then a
    ``ReturnMatched`` follows once the purchase is there.
    """

    activity_id: str
    member_id: str
    source: str
    external_id: str
    type: ActivityType
    channel: Channel
    amount: int = 0
    lines: tuple[PurchaseLine, ...] = ()
    store: str | None = None
    rating: int | None = None
    subject: str | None = None
    requested: ReturnRequest | None = None
    returned: ReturnedPurchase | None = None
    attributes: dict[str, str | int | bool] = msgspec.field(default_factory=dict)


class ReturnMatched(msgspec.Struct, frozen=True):
    """A return that had arrived before its purchase has found it (same activity stream)."""

    activity_id: str
    member_id: str
    returned: ReturnedPurchase


class AsOf(msgspec.Struct, frozen=True, omit_defaults=True):
    """The member as the decision saw them: the card as of this activity.

    ``waited`` is False when the decision could not wait for the card (members was out for longer
    than ``decide_within``) and was made with the newest card there was.
    """

    tier: str
    stage: str
    value_class: str | None = None
    card_seq: int = 0
    waited: bool = True


class Considered(msgspec.Struct, frozen=True, omit_defaults=True):
    """One campaign that was looked at: did it match, and if not, which condition failed."""

    campaign_id: str
    matched: bool
    failed: str | None = None


class Grant(msgspec.Struct, frozen=True, omit_defaults=True):
    """Points one campaign grants into one wallet.

    ``lines`` shares ``points`` out over the purchase's lines as (line, amount, points); the
    shares sum to ``points`` exactly, so a return by line takes back exactly what the line earned.
    """

    campaign_id: str
    wallet: str
    points: int
    lines: tuple[tuple[int, int, int], ...] = ()


class Done(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the activity was, for those who keep count; only where the programme watches for it.

    ``activity`` is its type, or the subject of a custom one; ``amount`` a purchase's, in minor
    units; ``about`` the activity id of the purchase it concerns.
    """

    activity: str
    amount: int = 0
    about: str | None = None


class RewardGranted(msgspec.Struct, frozen=True, omit_defaults=True):
    """The decision on an activity that earned something."""

    activity_id: str
    member_id: str
    revision: str
    as_of: AsOf
    considered: tuple[Considered, ...]
    grants: tuple[Grant, ...]
    done: Done | None = None


class RewardWithheld(msgspec.Struct, frozen=True, omit_defaults=True):
    """The decision on an activity that earned nothing, and why."""

    activity_id: str
    member_id: str
    revision: str
    as_of: AsOf
    considered: tuple[Considered, ...] = ()
    reason: str | None = None
    done: Done | None = None


class RewardReturned(msgspec.Struct, frozen=True):
    """A return has been matched: take back what the purchase earned, line by line."""

    activity_id: str
    member_id: str
    returned: ReturnedPurchase
