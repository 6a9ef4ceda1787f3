"""From settings to adapters: the only module of the service that chooses them."""

from dataclasses import dataclass

from kit.bus.halts import HALTED
from kit.clock import Clock, system_clock
from kit.journal.port import Journal
from kit.settings import StoreSettings
from kit.store import Store, open_store
from kit.views.lease import LEASES
from services.events.campaigns import Campaigns
from services.events.deciding import Decider
from services.events.views import COLLECTIONS, Recording, recording

SERVICE = "events"
ACTIVITIES_JOURNAL = "events.activities"
DECISIONS_JOURNAL = "events.decisions"


@dataclass(frozen=True)
class Wiring:
    """What the events service works with; close it when done."""

    store: Store
    activities: Journal
    decisions: Journal
    recording: Recording
    clock: Clock

    async def prepare(self) -> None:
        """Create tables, collections and indexes; harmless when they are there."""
        await self.activities.prepare()
        await self.decisions.prepare()
        await self.store.views.prepare([*COLLECTIONS, HALTED, LEASES])

    async def close(self) -> None:
        """Release the store."""
        await self.store.close()


def wire(settings: StoreSettings, clock: Clock = system_clock) -> Wiring:
    """Open the service's store. Nothing is connected to yet."""
    store = open_store(settings.url, SERVICE, settings.driver)
    activities = store.journal(ACTIVITIES_JOURNAL)
    decisions = store.journal(DECISIONS_JOURNAL)
    streams = recording(activities, store.views, clock)
    return Wiring(store, activities, decisions, streams, clock)


def decider(wiring: Wiring, campaigns: Campaigns) -> Decider:
    """What decides activities, in the worker."""
    return Decider(wiring.activities, wiring.decisions, wiring.store.views, campaigns, wiring.clock)
