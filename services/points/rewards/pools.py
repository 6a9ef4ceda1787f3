"""Redeeming from a household pool: those who may spend its points redeem with them.

The pool's account pays and decides, as a member's does; what is redeemed is for who asked. Whose
card decides is theirs, too. The brand's staff confirms, hands over and cancels as for a member.
"""

from services.points.commands_pools import pool_as_seen, pool_owner
from services.points.domain.account import Role
from services.points.domain.entries import require_role
from services.points.domain.redemptions import Redemption
from services.points.rewards import redeeming
from services.points.rewards.redeeming import Caller, Redeem
from services.points.rewards.redemptions import Page, Redemptions, find, page, require
from services.points.wiring import Wiring

SPENDERS: tuple[Role, ...] = ("owner", "spender")


async def redeem(wiring: Wiring, pool_id: str, wanted: Redeem) -> tuple[Redemption, bool]:
    """Redeem with a pool's points; the redemption as it is now, and whether this request made it.

    A retry gets its first answer, whatever has become of the asker's role since; only confirming
    what is still reserved needs the role now. Raises what
    ``redeeming.redeem`` does; ServiceError ``forbidden`` for who is not in the pool, and for whose
    role does not spend.
    """
    redemptions = wiring.redemptions
    known = await find(redemptions, wanted.member_id, wanted.redemption_id)
    if known is None or (known.status == "reserved" and wanted.confirm):
        await _require_spender(wiring, pool_id, wanted.caller.by)
    return await redeeming.redeem(redemptions, wanted)


async def confirm(wiring: Wiring, pool_id: str, redemption_id: str, caller: Caller) -> Redemption:
    """Make a reservation final."""
    await _require_hand(wiring, pool_id, caller)
    return await redeeming.confirm(wiring.redemptions, pool_owner(pool_id), redemption_id, caller)


async def cancel(
    wiring: Wiring,
    redemptions: Redemptions,
    pool_id: str,
    redemption_id: str,
    caller: Caller,
    reason: str,
) -> Redemption:
    """Undo what is not fulfilled: the points go back into the pool."""
    await _require_hand(wiring, pool_id, caller)
    owner = pool_owner(pool_id)
    return await redeeming.cancel(redemptions, owner, redemption_id, caller, reason)


async def seen(
    wiring: Wiring, pool_id: str, redemption_id: str, member_id: str | None
) -> Redemption:
    """A redemption, for one of the pool's members, or for staff (None)."""
    await pool_as_seen(wiring, pool_id, member_id)
    return await require(wiring.redemptions, pool_owner(pool_id), redemption_id)


async def listed(
    wiring: Wiring,
    pool_id: str,
    member_id: str | None,
    limit: int,
    after: tuple[int, str] | None,
) -> Page:
    """A pool's redemptions, newest first, for one of its members, or for staff (None)."""
    await pool_as_seen(wiring, pool_id, member_id)
    return await page(wiring.redemptions, pool_owner(pool_id), limit, after)


async def _require_hand(wiring: Wiring, pool_id: str, caller: Caller) -> None:
    """Staff, or somebody who may spend the pool's points."""
    if caller.clerk:
        await pool_as_seen(wiring, pool_id, None)
        return
    await _require_spender(wiring, pool_id, caller.by)


async def _require_spender(wiring: Wiring, pool_id: str, member_id: str) -> None:
    state = await pool_as_seen(wiring, pool_id, member_id)
    require_role(state, pool_owner(pool_id), member_id, SPENDERS)
