"""Drop the views and fold them again from the journal."""

from services.points import listing
from services.points.rewards.rebuild import rebuild as rebuild_rewards
from services.points.rewards.redemptions import rebuild as rebuild_redemptions
from services.points.views import ACCOUNTS, DUE
from services.points.vouchers.audit import rebuild as rebuild_vouchers
from services.points.wiring import Wiring

PAGE = 500


async def rebuild(wiring: Wiring) -> int:
    """Rebuild every account's snapshot, due time and lists; return how many accounts there are.

    Stop the service's processes first: they hold heads in memory.
    """
    await wiring.store.views.drop(ACCOUNTS)
    for collection in (DUE, *listing.COLLECTIONS):
        await wiring.store.views.drop(collection)
    wiring.ledger.forget()
    count = await wiring.ledger.rebuild()
    await _fold_lists(wiring)
    await rebuild_rewards(wiring.rewards)
    await rebuild_redemptions(wiring.redemptions)
    await rebuild_vouchers(wiring.vouchers)
    await wiring.chain.rebuild()
    return count


async def _fold_lists(wiring: Wiring) -> None:
    last = ""
    async for facts in wiring.entries.scan():
        await listing.absorb(wiring.store.views, facts)
        owners = [owner for owner in dict.fromkeys(f.owner for f in facts) if owner != last]
        wiring.follower.forget(owners)
        for start in range(0, len(owners), PAGE):
            await wiring.follower.note_due(owners[start : start + PAGE])
        last = owners[-1] if owners else last
