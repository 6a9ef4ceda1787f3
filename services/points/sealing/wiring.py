"""The audit chain of a points store: its journal, its streams, its task and its relay."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from contracts.envelope import Fact
from contracts.topics import SEALS
from kit.bus.halts import HALTED
from kit.bus.port import Bus
from kit.clock import Clock, system_clock
from kit.journal.port import Journal
from kit.relay import Relay
from kit.settings import StoreSettings
from kit.store import Store, open_store
from kit.views.lease import LEASES, journal_lease
from services.points.domain.seals import Heads
from services.points.sealing.catching_up import seal_missing
from services.points.sealing.chains import CHAINS, Chains, chains, heads
from services.points.sealing.exporting import export_lines
from services.points.sealing.sealer import SealingTask, sealing_task

SEALS_JOURNAL = "points.seals"
# The service whose store this is, and the journal that is sealed: as its wiring names them.
SERVICE = "points"
ENTRIES_JOURNAL = "points.entries"


@dataclass(frozen=True)
class Sealing:
    """The audit chain over ``entries``; the store is whoever opened it to close."""

    store: Store
    entries: Journal
    seals: Journal
    chains: Chains
    clock: Clock

    async def prepare(self) -> None:
        """Create tables, collections and indexes; harmless when they are there."""
        await self.seals.prepare()
        await self.store.views.prepare([CHAINS, HALTED, LEASES])

    def task(self, bus: Bus) -> SealingTask:
        """The worker's task that seals what the entries topic brings."""
        return sealing_task(bus, self.chains, self.store.views, self.clock)

    def relay(self, bus: Bus) -> Relay:
        """The seals' way to the bus, where outsiders may anchor them as they are made."""
        lease = journal_lease(self.store.views, self.seals.name, self.clock)
        return Relay(self.seals, bus, _topic_of, lease)

    async def heads(self) -> Heads:
        """The last seal of each partition."""
        return await heads(self.seals)

    def export(self) -> AsyncIterator[bytes]:
        """The lines of an export."""
        return export_lines(self.entries, self.seals, self.clock)

    async def seal_missing(self) -> int:
        """Seal what no seal covers, which no process does by itself; return how many entries."""
        return await seal_missing(self.entries, self.seals, self.chains, self.clock)

    async def rebuild(self) -> int:
        """Drop the chains' snapshots and fold them again; return how many there are."""
        await self.store.views.drop(CHAINS)
        self.chains.forget()
        return await self.chains.rebuild()


def sealing(store: Store, clock: Clock = system_clock) -> Sealing:
    """Return the audit chain of a points store."""
    seals = store.journal(SEALS_JOURNAL)
    entries = store.journal(ENTRIES_JOURNAL)
    return Sealing(store, entries, seals, chains(seals, store.views, clock), clock)


def open_sealing(settings: StoreSettings, clock: Clock = system_clock) -> Sealing:
    """Open a points store for its audit chain alone; close ``store`` when done."""
    return sealing(open_store(settings.url, SERVICE, settings.driver), clock)


def _topic_of(fact: Fact) -> str:
    return SEALS.name
