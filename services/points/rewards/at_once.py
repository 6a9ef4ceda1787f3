"""Beginning a redemption: the hold alone, or all of it at once.

At once means: first the stock, then the hold and its capture as two facts of one append. So what is
sold out leaves no trace in the ledger, and the redemption is on disk after two writes.

Stock that was taken goes back only when its points can no longer be taken: when the hold has ended
without a capture, or when the account says that this redemption never begins (``RuleOut``), under
the very key the hold would bear. However late a process wakes up that took the stock, it finds
that key taken: nobody's points are taken for what somebody else may have got by then.
"""

from msgspec.structs import replace

from kit.errors import ServiceError
from services.points.commands import carry_out
from services.points.domain.advancing import end_of_hold
from services.points.domain.holding import PlaceHold
from services.points.domain.redemptions import Redemption, told
from services.points.domain.stock import TakeClosed
from services.points.rewards.redemptions import Redemptions, find, require
from services.points.rewards.settling import rule_out
from services.points.rewards.stock import Shelf

Made = tuple[Redemption, bool]
"""A redemption, and whether it was not there before."""


async def place(redemptions: Redemptions, hold: PlaceHold, asked: bytes) -> Made:
    """Place a hold, and capture it if it says so. Raises TakeClosed where it was ruled out."""
    policy, whose = redemptions.rules.policy, (hold.owner, hold.hold_id)
    try:
        outcome = await carry_out(redemptions.ledger, policy, hold, hold.key, asked)
    except ServiceError as error:
        if error.code == "idempotency_key_reused" and await find(redemptions, *whose) is None:
            raise TakeClosed(hold.hold_id) from error
        raise
    if outcome.repeated:
        return await require(redemptions, *whose), False
    began = {hold.key: (outcome.fact.occurred_at, outcome.body)}
    made = told(hold.hold_id, began, hold.at)
    assert made is not None
    if outcome.facts[-1].key == end_of_hold(hold.hold_id):
        made = replace(made, status="confirmed", confirmed_at=outcome.facts[-1].occurred_at)
    return made, True


async def at_once(redemptions: Redemptions, shelf: Shelf, hold: PlaceHold, asked: bytes) -> Made:
    """Take the stock, if it is limited, then the points. Raises what either of them does.

    What was known before is returned as it stands, its stock taken if it is only reserved.
    """
    if not shelf.slices:
        return await place(redemptions, hold, asked)
    shop = redemptions.rewards.shop
    await shop.take(shelf, hold.hold_id, hold.owner, hold.until, hold.quantity)
    try:
        made, is_new = await place(redemptions, hold, asked)
    except ServiceError as error:
        if error.kind not in ("unavailable", "timeout") and error.code != "contended":
            await _refused(redemptions, shelf, hold)
        raise  # what became of it is told by a retry, or looked up when the take falls due
    if made.ended_at is not None and made.status in ("cancelled", "expired"):
        await shop.give_back(shelf, hold.hold_id, hold.owner)
    return made, is_new


async def _refused(redemptions: Redemptions, shelf: Shelf, hold: PlaceHold) -> None:
    """The account said no: the stock goes back, unless the same request came through meanwhile."""
    if await rule_out(redemptions, hold.owner, hold.hold_id):
        await redemptions.rewards.shop.give_back(shelf, hold.hold_id, hold.owner)
        return
    known = await require(redemptions, hold.owner, hold.hold_id)
    if known.reward_id != hold.reward_id:  # its stock is another one
        await redemptions.rewards.shop.give_back(shelf, hold.hold_id, hold.owner)
