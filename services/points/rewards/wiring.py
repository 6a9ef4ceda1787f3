"""The parts of rewards, put together on the store of the points service."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from contracts.envelope import Fact
from contracts.topics import CATALOGUE
from kit.bus.port import Bus
from kit.clock import Clock
from kit.journal.port import Journal
from kit.relay import Relay, RelaySettings
from kit.store import Store
from kit.views.lease import journal_lease
from kit.views.port import Views
from kit.worker import Duty
from programmes.model import Programme
from services.points.cards import CARDS
from services.points.domain.account import Account
from services.points.rewards.duties import Status, close_due, sweep
from services.points.rewards.meters import VelocityMeters, daily_limit, limits_of
from services.points.rewards.stock import Shop
from services.points.rewards.terms import Terms, terms_of
from services.points.rewards.views import (
    COLLECTIONS,
    Catalogue,
    catalogue_streams,
    meter_streams,
    stock_streams,
)

AccountOf = Callable[[str, int], Awaitable[Account]]
"""Finds a member's account, with everything posted so far, as it is at a time."""

CATALOGUE_JOURNAL = "points.catalogue"
METERS_JOURNAL = "points.meters"
LOOK_EVERY_SECONDS = 15.0
SWEEP_EVERY_SECONDS = 3_600.0


@dataclass(frozen=True)
class Rewards:
    """What rewards work with; everything in it belongs to the store it was made on.

    ``read_at`` is when each reward was last read fresh (monotonic seconds).
    """

    journal: Journal
    meters_journal: Journal
    views: Views
    catalogue: Catalogue
    shop: Shop
    meters: VelocityMeters
    account_of: AccountOf
    terms: Terms
    clock: Clock
    read_at: dict[str, float] = field(default_factory=dict)

    async def prepare(self) -> None:
        """Create tables, collections and indexes; harmless when they are there."""
        await self.journal.prepare()
        await self.meters_journal.prepare()
        await self.views.prepare([*COLLECTIONS, CARDS])

    def relays(self, bus: Bus, settings: RelaySettings) -> Sequence[Relay]:
        """What takes the catalogue to its topic, and marks the meters, which go nowhere."""
        return [
            Relay(
                journal,
                bus,
                topic_of,
                journal_lease(self.views, journal.name, self.clock),
                settings,
            )
            for journal in (self.journal, self.meters_journal)
        ]

    def duties(self, status: Status) -> Sequence[Duty]:
        """What closes the takes of redemptions that died; ``status`` says what became of them."""

        async def due() -> None:
            await close_due(self.shop, status, self.clock())

        async def everything() -> None:
            await sweep(self.shop, self.catalogue, status, self.clock())

        return [
            Duty("stock that is due", due, LOOK_EVERY_SECONDS),
            Duty("stock, all of it", everything, SWEEP_EVERY_SECONDS),
        ]


def rewards(store: Store, clock: Clock, programme: Programme, account_of: AccountOf) -> Rewards:
    """Rewards on a store. Nothing is connected to yet."""
    journal, meters = store.journal(CATALOGUE_JOURNAL), store.journal(METERS_JOURNAL)
    views, fraud = store.views, programme.points.fraud
    return Rewards(
        journal,
        meters,
        views,
        catalogue_streams(journal, views, clock),
        Shop(stock_streams(journal, views, clock), clock),
        VelocityMeters(
            meter_streams(meters, views, clock),
            clock,
            limits_of(fraud.per_device),
            limits_of(fraud.per_payee),
            daily_limit(programme.points.adjustments.alone_up_to_in_a_day),
        ),
        account_of,
        terms_of(programme),
        clock,
    )


def topic_of(fact: Fact) -> str | None:
    """The topic of a fact; meters concern nobody else."""
    return None if fact.stream.startswith("meter:") else CATALOGUE.name
