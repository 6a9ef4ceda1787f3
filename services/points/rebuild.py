"""Drop the views and fold them again from the journal."""

from services.points.views import ACCOUNTS, DUE
from services.points.wiring import Wiring

PAGE = 500


async def rebuild(wiring: Wiring) -> int:
    """Rebuild every account's snapshot and due time; return how many accounts there are.

    Stop the service's processes first: they hold heads in memory.
    """
    await wiring.store.views.drop(ACCOUNTS)
    await wiring.store.views.drop(DUE)
    wiring.ledger.forget()
    count = await wiring.ledger.rebuild()
    await _note_due(wiring)
    return count


async def _note_due(wiring: Wiring) -> None:
    last = ""
    async for facts in wiring.entries.scan():
        owners = [owner for owner in dict.fromkeys(f.owner for f in facts) if owner != last]
        for start in range(0, len(owners), PAGE):
            await wiring.follower.note_due(owners[start : start + PAGE])
        last = owners[-1] if owners else last
