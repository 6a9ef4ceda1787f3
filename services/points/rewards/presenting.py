"""Rewards as the API shows them, and as it is told them."""

from collections import Counter
from typing import Any

import msgspec

from contracts.catalogue import (
    EarlyAccess,
    PeriodLimit,
    RewardDefined,
    RewardPrice,
    WriteDownReason,
)
from kit.clock import from_micros, to_micros
from services.points.domain.catalogue import Reason
from services.points.domain.stock import LATELY, Slice, WrittenDown
from services.points.rewards.queries import Shown
from services.points.rewards.schemas import (
    MemberReward,
    ReasonView,
    RewardBody,
    RewardDetail,
    StockView,
    WriteDownView,
)


def content(reward_id: str, body: RewardBody, by: str) -> RewardDefined:
    """A version as its author wrote it; which revision it becomes is decided later."""
    period = body.period_limit
    return RewardDefined(
        reward_id=reward_id,
        revision=0,
        gives=body.gives,
        names=body.names.model_dump(),
        descriptions=body.descriptions.model_dump() if body.descriptions else {},
        prices=tuple(RewardPrice(p.wallet, p.points, p.money) for p in body.prices),
        valid_from=to_micros(body.valid_from),
        valid_until=to_micros(body.valid_until) if body.valid_until else None,
        unit_cost=body.unit_cost,
        hold_minutes=body.hold_minutes,
        by=by,
        early_access=tuple(EarlyAccess(e.tier, e.hours) for e in body.early_access),
        member_limit=body.member_limit,
        period_limit=PeriodLimit(period.count, period.days) if period else None,
        eligibility=body.eligibility,
        series=body.series,
        slices=body.slices if body.limited else 0,
    )


def detail(shown: Shown, *, staff: bool) -> RewardDetail:
    """A reward; what it costs the brand, and who wrote it, is for staff."""
    defined = shown.reward.defined
    assert defined is not None
    more: dict[str, Any] = {}
    if staff:
        more = {
            "series": defined.series,
            "slices": defined.slices or None,
            "unit_cost": defined.unit_cost,
            "hold_minutes": defined.hold_minutes,
            "by": defined.by,
        }
    return RewardDetail.model_validate({**_view(shown), **more})


def member_reward(shown: Shown) -> MemberReward:
    """A reward as one member sees it."""
    return MemberReward.model_validate(
        {
            **_view(shown),
            "redeemable": not shown.reasons,
            "why_not": [reason_view(reason) for reason in shown.reasons],
        }
    )


def reason_view(reason: Reason) -> ReasonView:
    """A reason why not."""
    return ReasonView(code=reason.code, words=dict(reason.words), facts=dict(reason.facts))


def stock_view(reward_id: str, slices: list[Slice]) -> StockView:
    """The stock of a reward. A write-down concerns one slice or several, and is shown once."""
    gone: Counter[WriteDownReason] = Counter()
    for each in slices:
        gone.update(each.written_down)
    lately = {one.write_down_id: one for each in slices for one in each.lately}
    newest = sorted(lately.values(), key=lambda one: (one.at, one.write_down_id), reverse=True)
    return StockView(
        reward_id=reward_id,
        added=sum(each.added for each in slices),
        left=sum(each.left for each in slices),
        reserved=sum(take.quantity for each in slices for take in each.open.values()),
        redeemed=sum(each.settled for each in slices),
        written_down=sum(gone.values()),
        written_down_for=dict(sorted(gone.items())),
        slices=[each.left for each in slices],
        corrections=[_write_down(each) for each in newest[:LATELY]],
    )


def _write_down(each: WrittenDown) -> WriteDownView:
    return WriteDownView(
        at=from_micros(each.at),
        quantity=-each.quantity,
        reason=each.reason,
        note=each.note,
        by=each.by,
    )


def _view(shown: Shown) -> dict[str, Any]:
    defined = shown.reward.defined
    assert defined is not None
    until = defined.valid_until
    return {
        "reward_id": defined.reward_id,
        "revision": defined.revision,
        "phase": shown.phase,
        "names": defined.names,
        "descriptions": defined.descriptions or None,
        "gives": defined.gives,
        "prices": [
            {"wallet": price.wallet, "points": price.points, "money": price.money}
            for price in defined.prices
        ],
        "valid_from": from_micros(defined.valid_from),
        "valid_until": from_micros(until) if until is not None else None,
        "early_access": msgspec.to_builtins(defined.early_access),
        "member_limit": defined.member_limit,
        "period_limit": msgspec.to_builtins(defined.period_limit),
        "eligibility": defined.eligibility,
        "limited": defined.slices > 0,
        "left": shown.left,
    }
