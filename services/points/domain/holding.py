"""Holds and redemptions: points are set aside, then captured or released, once.

Invariants: a hold ends once, by capture, release or time, since each of them is the one fact that
bears ``hold-end:{id}``; what is captured was held; a redemption is reserved (held), confirmed
(captured), and then fulfilled or cancelled, once, by the one fact ``redemption-end:{id}``. One
whose stock was taken, but not its points, is ruled out by a mark that bears the key of its hold.
Cancelled points go back into the lots they came from; those past their expiry come back expired.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.points import HoldTerms, LotTerms, Posting
from kit.clock import DAY
from kit.errors import ServiceError
from services.points.domain.account import Account, Hold, Redeemed
from services.points.domain.advancing import advance, end_of_hold, release, told
from services.points.domain.entries import (
    Course,
    Policy,
    between,
    given_back,
    opening,
    parcels_of,
    require_role,
    take,
)
from services.points.domain.errors import (
    AmountOutOfBounds,
    CoolingOff,
    LimitReached,
    NotKnown,
)

MOST_HOLDS = 50
MOST_REDEMPTIONS = 200


@dataclass(frozen=True, slots=True)
class Velocity:
    """At most ``points`` and ``times`` out of an account within ``window`` microseconds."""

    window: int
    points: int | None = None
    times: int | None = None


@dataclass(frozen=True, slots=True)
class RewardLimits:
    """How often one account may take a reward: ``most`` ever, ``per_period`` in ``days``."""

    most: int | None = None
    per_period: int | None = None
    days: int = 0


@dataclass(frozen=True, slots=True)
class PlaceHold:
    """Set points aside. The key is the request's; the hold's id follows from it.

    ``capture``: and take them at once, as a Capture that came right behind would.
    """

    owner: str
    key: str
    hold_id: str
    wallet: str
    points: int
    at: int
    until: int
    purpose: str
    by: str
    reward_id: str | None = None
    quantity: int = 1
    money: int = 0
    limits: RewardLimits = RewardLimits()
    velocity: tuple[Velocity, ...] = ()
    cooling: int = 0
    capture: bool = False


@dataclass(frozen=True, slots=True)
class Capture:
    """Take what is held, all of it or ``points``; the rest is released."""

    owner: str
    hold_id: str
    at: int
    by: str
    points: int | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """Give back what is held."""

    owner: str
    hold_id: str
    at: int
    by: str
    reason: str = "released"


@dataclass(frozen=True, slots=True)
class RuleOut:
    """A redemption that has not begun never will: its stock can go back."""

    owner: str
    redemption_id: str
    at: int


@dataclass(frozen=True, slots=True)
class Fulfil:
    """A confirmed redemption has been handed over: it can no longer be cancelled."""

    owner: str
    redemption_id: str
    at: int
    by: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """Undo a confirmed redemption."""

    owner: str
    redemption_id: str
    at: int
    by: str
    reason: str


def hold_key(redemption_id: str) -> str:
    """The key of the fact that a redemption begins with, or is ruled out by: there is only one."""
    return f"redeem:{redemption_id}"


def end_of_redemption(redemption_id: str) -> str:
    """The key of the fact that ends a redemption: there can be only one."""
    return f"redemption-end:{redemption_id}"


def place_hold(course: Course, command: PlaceHold, policy: Policy) -> None:
    """Add a hold. Raises InsufficientPoints, LimitReached, CoolingOff, AmountOutOfBounds."""
    now = advance(course, command.at, policy)
    parts = _parts(course.account, command, now)
    postings: list[Posting] = []
    for lot, points in parts:
        postings += between("member", "held", command.wallet, lot, points)
    terms = HoldTerms(
        command.hold_id,
        later(command.until, command.at, now),
        command.purpose,
        command.reward_id,
        command.quantity,
        command.money,
    )
    course.post("hold", command.key, now, postings, hold=terms, by=command.by)
    if command.capture:
        _take_held(course, Capture(command.owner, command.hold_id, now, command.by), now)
        course.last_follows_on()


def allows(account: Account, command: PlaceHold) -> bool:
    """Whether a hold could be placed on an account as it is here; no, if its time must pass first.

    The account itself decides later, and on what it is then.
    """
    now = max(command.at, account.at)
    if 0 < account.due <= now:
        return False
    try:
        _parts(account, command, now)
    except ServiceError:
        return False
    return True


def _parts(account: Account, command: PlaceHold, now: int) -> list[tuple[str, int]]:
    """The lots that a hold takes from, if it may. Raises what ``place_hold`` does."""
    if command.owner.startswith("@"):
        require_role(account, command.owner, command.by, ("owner", "spender"))
    parts = take(account, command.wallet, command.points)
    require_slow(account, command.points, now, command.velocity)
    require_cooled(account, now, command.cooling)
    require_within(account, command, now)
    if len(account.holds) >= MOST_HOLDS or len(account.redemptions) >= MOST_REDEMPTIONS:
        raise LimitReached(
            "open_holds", f"At most {MOST_HOLDS} holds and {MOST_REDEMPTIONS} redemptions are open"
        )
    return parts


def later(until: int, at: int, now: int) -> int:
    """The end of a term that was asked for at ``at``, on the account's clock.

    A clock that was set back does not shorten it.
    """
    return until + now - at


def require_slow(account: Account, points: int, at: int, limits: Sequence[Velocity]) -> None:
    """Raise LimitReached when this would be too much or too often within a window."""
    for limit in limits:
        inside = [one for one in account.recent if at - one[0] < limit.window]
        spent = sum(each for _, each in inside)
        hours = limit.window // (DAY // 24)
        again = inside[0][0] + limit.window if inside else None
        if limit.points is not None and spent + points > limit.points:
            raise LimitReached(
                "velocity_points",
                f"At most {limit.points} points may leave an account in {hours} hours",
                allowed=max(0, limit.points - spent),
                again_at=again,
            )
        if limit.times is not None and len(inside) >= limit.times:
            raise LimitReached(
                "velocity_times",
                f"At most {limit.times} times in {hours} hours may points leave an account",
                again_at=again,
            )


def require_cooled(account: Account, at: int, cooling: int) -> None:
    """Raise CoolingOff within ``cooling`` microseconds of a change of contact details."""
    if cooling and account.contact_changed and at < account.contact_changed + cooling:
        raise CoolingOff(account.contact_changed + cooling)


def require_within(account: Account, command: PlaceHold, now: int) -> None:
    """Raise LimitReached when the reward was taken as often as one account may."""
    if command.reward_id is None:
        return
    taken, limits = account.redeemed.get(command.reward_id, Redeemed()), command.limits
    if limits.most is not None and taken.total + command.quantity > limits.most:
        raise LimitReached(
            "per_member", f"At most {limits.most} of this reward for each member", taken=taken.total
        )
    if limits.per_period is None:
        return
    period = limits.days * DAY
    inside = [one for one in taken.latest if now - one[1] < period]
    count = sum(one[2] for one in inside)
    if count + command.quantity > limits.per_period:
        raise LimitReached(
            "per_period",
            f"At most {limits.per_period} of this reward in {limits.days} days",
            taken=count,
            again_at=inside[0][1] + period if inside else None,
        )


def capture(course: Course, command: Capture, policy: Policy) -> None:
    """Add the capture of a hold. Raises NotKnown, AmountOutOfBounds."""
    _take_held(course, command, advance(course, command.at, policy))


def _take_held(course: Course, command: Capture, now: int) -> None:
    hold = _hold(course.account, command.hold_id)
    points = hold.points if command.points is None else command.points
    if not 1 <= points <= hold.points:
        raise AmountOutOfBounds("points", points)
    postings: list[Posting] = []
    rest: list[tuple[str, int]] = []
    for lot, part in hold.parts:
        paid = min(part, points)
        points -= paid
        if paid:
            postings += between("held", "redemption", hold.wallet, lot, paid)
        if part > paid:
            rest.append((lot, part - paid))
    back = parcels_of(course.account, hold.wallet, rest)
    postings += given_back(course.account, back, now, source="held")
    course.post(
        "capture",
        end_of_hold(command.hold_id),
        now,
        postings,
        hold=told(command.hold_id, hold),
        by=command.by,
    )


def release_hold(course: Course, command: Release, policy: Policy) -> None:
    """Add the release of a hold. Raises NotKnown."""
    now = advance(course, command.at, policy)
    hold = _hold(course.account, command.hold_id)
    release(course, command.hold_id, hold, now, command.reason)


def rule_out(course: Course, command: RuleOut, policy: Policy) -> None:
    """Mark a redemption as never to begin: whoever writes its key first, hold or mark, wins."""
    now = advance(course, command.at, policy)
    key = hold_key(command.redemption_id)
    course.mark("redemption_ruled_out", key, now, command.redemption_id)


def fulfil(course: Course, command: Fulfil, policy: Policy) -> None:
    """Mark a redemption as handed over. Raises NotKnown."""
    now = advance(course, command.at, policy)
    if command.redemption_id not in course.account.redemptions:
        raise NotKnown("redemption", command.redemption_id)
    key = end_of_redemption(command.redemption_id)
    course.mark("fulfilled", key, now, command.redemption_id, by=command.by)


def cancel(course: Course, command: Cancel, policy: Policy) -> None:
    """Give a redemption's points back, the expired ones expired. Raises NotKnown."""
    now = advance(course, command.at, policy)
    account = course.account
    if (redemption := account.redemptions.get(command.redemption_id)) is None:
        raise NotKnown("redemption", command.redemption_id)
    postings = given_back(account, redemption.parcels, now, source="redemption")
    terms = [LotTerms(p.lot, p.wallet, 0, p.expires) for p in redemption.parcels]
    hold = HoldTerms(
        command.redemption_id, 0, "redemption", redemption.reward_id, redemption.quantity
    )
    course.post(
        "cancel",
        end_of_redemption(command.redemption_id),
        now,
        postings,
        terms=opening(account, terms),
        hold=hold,
        reason=command.reason,
        by=command.by,
    )


def _hold(account: Account, hold_id: str) -> Hold:
    if (hold := account.holds.get(hold_id)) is None:
        raise NotKnown("hold", hold_id)
    return hold
