"""From settings to adapters: the only module of the service that chooses them."""

from dataclasses import dataclass
from pathlib import Path

import programmes
from kit.bus.halts import HALTED
from kit.clock import Clock, system_clock
from kit.journal.port import Journal
from kit.settings import StoreSettings
from kit.store import Store, open_store
from kit.views.lease import LEASES
from programmes.model import load_programme
from services.points.cards import CARDS
from services.points.duties import Duties
from services.points.following import Follower
from services.points.listing import COLLECTIONS as LISTS
from services.points.policy import Rules, rules_of
from services.points.rewards.meters import VelocityMeters, limits_of
from services.points.rewards.views import METERS, meter_streams
from services.points.rewards.wiring import METERS_JOURNAL
from services.points.views import ACCOUNTS, DUE, Ledger, ledger

SERVICE = "points"
ENTRIES_JOURNAL = "points.entries"
DEFAULT_PROGRAMME = Path(programmes.__file__).with_name("five_star.yaml")


@dataclass(frozen=True)
class Wiring:
    """What the points service works with; close it when done."""

    store: Store
    entries: Journal
    ledger: Ledger
    rules: Rules
    follower: Follower
    duties: Duties
    meters_journal: Journal
    meters: VelocityMeters
    clock: Clock

    async def prepare(self) -> None:
        """Create tables, collections and indexes; harmless when they are there."""
        await self.entries.prepare()
        await self.meters_journal.prepare()
        await self.store.views.prepare([ACCOUNTS, DUE, CARDS, *LISTS, METERS, HALTED, LEASES])

    async def close(self) -> None:
        """Release the store."""
        await self.store.close()


def wire(
    settings: StoreSettings, clock: Clock = system_clock, programme: Path = DEFAULT_PROGRAMME
) -> Wiring:
    """Open the service's store and read the programme. Nothing is connected to yet."""
    loaded = load_programme(programme)
    rules, fraud = rules_of(loaded), loaded.points.fraud
    store = open_store(settings.url, SERVICE, settings.driver)
    entries = store.journal(ENTRIES_JOURNAL)
    accounts = ledger(entries, store.views, clock)
    follower = Follower(accounts, store.views, rules, clock)
    duties = Duties(accounts, store.views, rules, clock, follower)
    meters_journal = store.journal(METERS_JOURNAL)
    meters = VelocityMeters(
        meter_streams(meters_journal, store.views, clock),
        clock,
        limits_of(fraud.per_device),
        limits_of(fraud.per_payee),
    )
    return Wiring(store, entries, accounts, rules, follower, duties, meters_journal, meters, clock)
