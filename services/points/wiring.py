"""From settings to adapters: the only module of the service that chooses them."""

from dataclasses import dataclass

from kit.bus.halts import HALTED
from kit.clock import Clock, system_clock
from kit.journal.port import Journal
from kit.settings import StoreSettings
from kit.store import Store, open_store
from kit.views.lease import LEASES
from services.points.views import ACCOUNTS, Accounts, accounts

SERVICE = "points"
ENTRIES_JOURNAL = "points.entries"


@dataclass(frozen=True)
class Wiring:
    """What the points service works with; close it when done."""

    store: Store
    entries: Journal
    accounts: Accounts
    clock: Clock

    async def prepare(self) -> None:
        """Create tables, collections and indexes; harmless when they are there."""
        await self.entries.prepare()
        await self.store.views.prepare([ACCOUNTS, HALTED, LEASES])

    async def close(self) -> None:
        """Release the store."""
        await self.store.close()


def wire(settings: StoreSettings, clock: Clock = system_clock) -> Wiring:
    """Open the service's store. Nothing is connected to yet."""
    store = open_store(settings.url, SERVICE, settings.driver)
    entries = store.journal(ENTRIES_JOURNAL)
    return Wiring(store, entries, accounts(entries, store.views, clock), clock)
