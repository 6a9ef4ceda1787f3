"""The catalogue: versions of a reward, and who may redeem it.

Invariants:

* a version, once defined, never changes; the same content again makes no new one;
* a retired reward stays retired; the number of slices of its stock stays what it was;
* every reason why a member may not redeem is named, with the figures it rests on.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec
from msgspec.structs import replace

from contracts.catalogue import PeriodLimit, RewardDefined, RewardPrice, RewardRetired
from kit.clock import DAY, SECOND, from_micros
from kit.errors import ServiceError
from services.points.domain.account import Redeemed

HOUR = 3_600 * SECOND
Phase = Literal["upcoming", "live", "ended", "retired"]
ReasonCode = Literal[
    "retired",
    "not_yet",
    "ended",
    "no_card",
    "not_eligible",
    "member_limit",
    "period_limit",
    "not_from_pools",
    "sold_out",
    "points_missing",
]


class Reward(msgspec.Struct, frozen=True):
    """A reward's newest version, and when it was retired (0: it was not)."""

    defined: RewardDefined | None = None
    retired_at: int = 0

    @property
    def revision(self) -> int:
        """The newest version's number; 0 before there is one."""
        return self.defined.revision if self.defined else 0


@dataclass(frozen=True, slots=True)
class Define:
    """Define a version; ``replaces`` is the one its author looked at, where they say so."""

    content: RewardDefined
    replaces: int | None = None


@dataclass(frozen=True, slots=True)
class Retire:
    """Offer a reward no more."""

    reward_id: str
    reason: str
    by: str


def decide(state: Reward, command: Define | Retire) -> RewardDefined | RewardRetired | None:
    """The fact a command makes; None when things are so already. Raises ServiceError."""
    if isinstance(command, Define):
        return _defined(state, command)
    if state.defined is None:
        raise no_such_reward(command.reward_id)
    if state.retired_at:
        return None
    return RewardRetired(command.reward_id, command.reason, command.by)


def _defined(state: Reward, command: Define) -> RewardDefined | None:
    known, content = state.defined, command.content
    if known is not None:
        if replace(content, revision=known.revision, by=known.by) == known and not state.retired_at:
            return None
        if content.slices != known.slices:
            raise _slices_fixed(known)
    if state.retired_at:
        raise ServiceError(
            "refused",
            "reward_retired",
            "A retired reward stays retired; define a new one under another id",
            retired_at=from_micros(state.retired_at).isoformat(),
        )
    if command.replaces is not None and command.replaces != state.revision:
        raise ServiceError(
            "conflict",
            "revision_conflict",
            f"Revision {state.revision} is the newest; read it and change that one",
            revision=state.revision,
        )
    return replace(content, revision=state.revision + 1)


def apply(state: Reward, fact: RewardDefined | RewardRetired, at: int) -> Reward:
    """The reward after a fact of time ``at``."""
    if isinstance(fact, RewardDefined):
        return replace(state, defined=fact)
    return replace(state, retired_at=at)


def no_such_reward(reward_id: str) -> ServiceError:
    """There is no reward of this id."""
    return ServiceError(
        "missing", "no_such_reward", f"There is no reward {reward_id}", reward_id=reward_id
    )


def _slices_fixed(known: RewardDefined) -> ServiceError:
    kept = f"{known.slices} slices" if known.slices else "without limit"
    return ServiceError(
        "refused",
        "stock_fixed",
        f"The stock of this reward is {kept} and stays so; define another reward",
        slices=known.slices,
    )


def opens_at(defined: RewardDefined, tier: str | None) -> int:
    """When members of ``tier`` may first redeem it."""
    hours = (early.hours for early in defined.early_access if early.tier == tier)
    return defined.valid_from - max(hours, default=0) * HOUR


def phase(state: Reward, now: int, tier: str | None = None) -> Phase:
    """Where a reward stands at ``now``, for a member of ``tier``."""
    assert state.defined is not None
    if state.retired_at:
        return "retired"
    if now < opens_at(state.defined, tier):
        return "upcoming"
    until = state.defined.valid_until
    return "ended" if until is not None and now >= until else "live"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A member who would redeem: what is known of them.

    ``tier`` is None without a card. ``redeemed`` is how often they took this reward. ``left`` is
    the stock, None without a limit; ``failed`` the part of the condition that does not hold.
    ``pool``: a household pool would pay, which has no limits of its own.
    """

    tier: str | None
    spendable: Mapping[str, int] = field(default_factory=dict)
    redeemed: Redeemed = field(default_factory=Redeemed)
    left: int | None = None
    failed: str | None = None
    pool: bool = False


@dataclass(frozen=True, slots=True)
class Reason:
    """Why not, in words by language, and the figures."""

    code: ReasonCode
    words: Mapping[str, str]
    facts: Mapping[str, int | str]


def reasons(state: Reward, who: Candidate, now: int, quantity: int = 1) -> list[Reason]:
    """Everything that stands between a member and ``quantity`` of a reward; empty: they may."""
    defined = state.defined
    assert defined is not None
    return [
        *_of_time(state, defined, who, now),
        *_of_member(defined, who),
        *_of_limits(defined, who, now, quantity),
        *_of_stock(who, quantity),
        *_of_points(defined, who, quantity),
    ]


def _of_time(state: Reward, defined: RewardDefined, who: Candidate, now: int) -> Iterator[Reason]:
    match phase(state, now, who.tier):
        case "retired":
            yield _reason("retired", "It is offered no more.", "该奖品已下架。")
        case "ended":
            at = _when(defined.valid_until or 0)
            yield _reason(
                "ended", f"It could be redeemed until {at}.", f"兑换已于 {at} 截止。", at=at
            )
        case "upcoming":
            at = _when(opens_at(defined, who.tier))
            yield _reason("not_yet", f"You may redeem it from {at}.", f"自 {at} 起可兑换。", at=at)


def _of_member(defined: RewardDefined, who: Candidate) -> Iterator[Reason]:
    if who.tier is None and (defined.eligibility or defined.early_access):
        yield _reason(
            "no_card",
            "We do not know you as a member yet; try again shortly.",
            "尚未取得您的会员信息，请稍后再试。",
        )
    elif who.failed is not None:
        yield _reason(
            "not_eligible",
            f"It is for members with: {who.failed}",
            f"仅限符合条件的会员：{who.failed}",
            condition=who.failed,
        )


def _of_limits(defined: RewardDefined, who: Candidate, now: int, quantity: int) -> Iterator[Reason]:
    if who.pool:
        if defined.member_limit is not None or defined.period_limit is not None:
            yield _reason(
                "not_from_pools",
                "So many are for each member: move points to yourself, and redeem it alone.",
                "该奖品按会员限兑：请先将积分转给自己，再以个人名义兑换。",
            )
        return
    had, most = who.redeemed.total, defined.member_limit
    if most is not None and had + quantity > most:
        yield _reason(
            "member_limit",
            f"At most {most} for each member; you have had {had}.",
            f"每位会员限兑 {most} 份，您已兑换 {had} 份。",
            limit=most,
            used=had,
        )
    if (limit := defined.period_limit) is None:
        return
    window = limit.days * DAY
    recent = [(at, each) for _, at, each in who.redeemed.latest if now - at < window]
    had = sum(each for _, each in recent)
    if had + quantity > limit.count:
        yield _period(limit, had, _again(recent, had + quantity - limit.count))


def _again(recent: Sequence[tuple[int, int]], excess: int) -> int | None:
    """When the redemption was with whose leaving the window the wish fits; None: it never does."""
    for at, quantity in recent:
        excess -= quantity
        if excess <= 0:
            return at
    return None


def _period(limit: PeriodLimit, had: int, freed: int | None) -> Reason:
    most, days = limit.count, limit.days
    english = f"At most {most} within {days} days; you have had {had}."
    chinese = f"每 {days} 天限兑 {most} 份，您已兑换 {had} 份。"
    if freed is None:
        return _reason("period_limit", english, chinese, limit=most, days=days, used=had)
    at = _when(freed + days * DAY)
    english, chinese = f"{english} Possible again from {at}.", f"{chinese}{at} 起可再次兑换。"
    return _reason("period_limit", english, chinese, limit=most, days=days, used=had, at=at)


def _of_stock(who: Candidate, quantity: int) -> Iterator[Reason]:
    if who.left is not None and who.left < quantity:
        if who.left:
            words = f"Only {who.left} are left.", f"仅剩 {who.left} 份。"
        else:
            words = "It is sold out.", "已兑完。"
        yield _reason("sold_out", *words, left=who.left)


def _of_points(defined: RewardDefined, who: Candidate, quantity: int) -> Iterator[Reason]:
    """One price that can be paid is enough; else the one that lacks least is named."""
    missing = {price: _missing(price, who, quantity) for price in defined.prices}
    price, lack = min(missing.items(), key=lambda pair: pair[1])
    if lack:
        yield _reason(
            "points_missing",
            f"{lack} more points are needed.",
            f"还差 {lack} 积分。",
            wallet=price.wallet,
            needed=price.points * quantity,
            available=max(0, who.spendable.get(price.wallet, 0)),
            missing=lack,
        )


def _missing(price: RewardPrice, who: Candidate, quantity: int) -> int:
    return max(0, price.points * quantity - max(0, who.spendable.get(price.wallet, 0)))


def _reason(code: ReasonCode, english: str, chinese: str, **facts: int | str) -> Reason:
    return Reason(code, {"en": english, "zh": chinese}, facts)


def _when(micros: int) -> str:
    return from_micros(micros).strftime("%Y-%m-%dT%H:%M:%SZ")
