"""Drop the views and fold them again from the journal."""

from services.points.views import ACCOUNTS
from services.points.wiring import Wiring


async def rebuild(wiring: Wiring) -> int:
    """Rebuild every account's snapshot; return how many accounts there are.

    Stop the service's processes first: they hold heads in memory.
    """
    await wiring.store.views.drop(ACCOUNTS)
    wiring.accounts.forget()
    return await wiring.accounts.rebuild()
