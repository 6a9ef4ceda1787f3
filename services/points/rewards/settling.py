"""What follows from a redemption's end: its stock is settled or goes back, and gifts are given.

Each of these may be done again and by anybody; the account has decided before.
"""

from contextlib import suppress

from msgspec.structs import replace

from kit.errors import ServiceError
from services.points.commands import Outcome, carry_out, digest, ending
from services.points.domain.advancing import end_of_hold
from services.points.domain.errors import AlreadyEnded, NotKnown
from services.points.domain.holding import (
    Cancel,
    Capture,
    Fulfil,
    Release,
    RuleOut,
    end_of_redemption,
    hold_key,
)
from services.points.domain.redemptions import Redemption
from services.points.rewards import queries
from services.points.rewards.redemptions import Redemptions, require
from services.points.rewards.stock import Paid, Shelf

SYSTEM = "system"


async def shelf_for(redemptions: Redemptions, reward_id: str) -> Shelf | None:
    """The stock of a reward; None when there is no limit to it. Slices never change."""
    streams = redemptions.rewards.catalogue
    state = (await streams.heads([reward_id]))[reward_id].state
    defined = state.defined or (await queries.reward(redemptions.rewards, reward_id)).defined
    assert defined is not None
    return Shelf(reward_id, defined.slices) if defined.slices else None


async def delivered(redemptions: Redemptions, known: Redemption) -> Redemption:
    """Give at once what needs no hands; of the rest have the stock settled, for somebody gives it.

    A process that dies before it has settled leaves that to the duty that looks at open takes.
    """
    if known.status != "confirmed":
        return known
    streams = redemptions.rewards.catalogue
    defined = (await streams.heads([known.reward_id]))[known.reward_id].state.defined
    if defined is None or defined.gives in ("donation", "voucher"):
        return await complete(redemptions, known)
    if defined.slices:
        shelf = Shelf(known.reward_id, defined.slices)
        redemptions.rewards.shop.settle_soon(
            Paid(shelf, known.redemption_id, known.member_id, known.quantity)
        )
    return known


async def complete(redemptions: Redemptions, known: Redemption) -> Redemption:
    """What follows from a confirmed redemption: its stock is settled, and what can be given is.

    When that cannot be (a voucher series has run dry), the redemption is cancelled.
    """
    try:
        await _settle(redemptions, known)
        given = known.status == "confirmed" and await _give(redemptions, known)
    except ServiceError as error:
        if error.kind not in ("refused", "missing"):
            raise
        await undo(redemptions, known, SYSTEM, f"not available: {error.code}")
        raise
    if given:
        await hand_over(redemptions, known, SYSTEM)
        return await require(redemptions, known.member_id, known.redemption_id)
    return known


async def _settle(redemptions: Redemptions, known: Redemption) -> None:
    if (shelf := await shelf_for(redemptions, known.reward_id)) is not None:
        await redemptions.rewards.shop.settle(
            shelf, known.redemption_id, known.member_id, known.quantity
        )


async def _give(redemptions: Redemptions, known: Redemption) -> bool:
    """Give what needs no hands, a donation or vouchers; False when it is for somebody to give."""
    defined = (await queries.reward_lately(redemptions.rewards, known.reward_id)).defined
    assert defined is not None
    if defined.gives == "donation":
        return True
    if defined.series is None or redemptions.issue_voucher is None:
        return False
    for place in range(known.quantity):
        key = f"{known.redemption_id}.{place}"
        await redemptions.issue_voucher(defined.series, known.receiver, key)
    return True


async def capture(redemptions: Redemptions, known: Redemption, by: str) -> Redemption:
    """Take the points that are held, unless the hold ended another way meanwhile."""
    asked = Capture(known.member_id, known.redemption_id, redemptions.clock(), by)
    outcome = await _end(redemptions, asked, end_of_hold(known.redemption_id), "hold")
    if outcome is None or outcome.repeated:
        return await require(redemptions, known.member_id, known.redemption_id)
    return replace(known, status="confirmed", confirmed_at=outcome.fact.occurred_at)


async def release(redemptions: Redemptions, known: Redemption, by: str, reason: str) -> None:
    """Let the points go that are held, unless the hold ended another way meanwhile."""
    asked = Release(known.member_id, known.redemption_id, redemptions.clock(), by, reason)
    await _end(redemptions, asked, end_of_hold(known.redemption_id), "hold")


async def rule_out(redemptions: Redemptions, member_id: str, redemption_id: str) -> bool:
    """Have a redemption never begin, so that its stock can go back; False when it has begun."""
    key, policy = hold_key(redemption_id), redemptions.rules.policy
    asked = RuleOut(member_id, redemption_id, redemptions.clock())
    try:
        await carry_out(redemptions.ledger, policy, asked, key, digest("RuleOut", key))
    except ServiceError as error:
        if error.code != "idempotency_key_reused":
            raise
        return False
    return True


async def hand_over(redemptions: Redemptions, known: Redemption, by: str) -> None:
    """Mark a confirmed redemption as fulfilled, unless it ended another way meanwhile."""
    asked = Fulfil(known.member_id, known.redemption_id, redemptions.clock(), by)
    await _end(redemptions, asked, end_of_redemption(known.redemption_id), "redemption")


async def undo(redemptions: Redemptions, known: Redemption, by: str, reason: str) -> None:
    """Give the points of a confirmed redemption back, unless it ended another way meanwhile.

    Then its stock goes back, too: only if the points did.
    """
    asked = Cancel(known.member_id, known.redemption_id, redemptions.clock(), by, reason)
    await _end(redemptions, asked, end_of_redemption(known.redemption_id), "redemption")
    after = await require(redemptions, known.member_id, known.redemption_id)
    if after.status == "cancelled":
        await give_back(redemptions, known.reward_id, known.member_id, known.redemption_id)


async def _end(
    redemptions: Redemptions, asked: Capture | Release | Fulfil | Cancel, key: str, what: str
) -> Outcome | None:
    """One of several ways to end; None when it ended another way, which the account tells."""
    content = ending(type(asked).__name__, key)
    policy = redemptions.rules.policy
    with suppress(NotKnown, AlreadyEnded):
        return await carry_out(redemptions.ledger, policy, asked, key, content, what)
    return None


async def give_back(
    redemptions: Redemptions, reward_id: str, member_id: str, redemption_id: str
) -> None:
    """The stock of a redemption that ended without being kept goes back; again changes nothing."""
    if (shelf := await shelf_for(redemptions, reward_id)) is not None:
        await redemptions.rewards.shop.give_back(shelf, redemption_id, member_id)
