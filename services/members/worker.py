"""The worker process of the members service: take in activities and files, relay, say the cards."""

from contracts.envelope import Fact
from contracts.topics import ACTIVITIES, MEMBER_FACTS
from kit.bus.consume import Consumer, ConsumerSettings
from kit.bus.open import open_bus
from kit.bus.port import Bus
from kit.clock import Clock, system_clock
from kit.journal.port import Journal
from kit.relay import Relay, RelaySettings
from kit.views.lease import journal_lease
from kit.worker import Task, Worker
from services.members.absorbing import Absorber
from services.members.settings import WorkerSettings
from services.members.wiring import SERVICE, Wiring, wire

GROUP = SERVICE
REST_SECONDS = 0.05
"""No purchase waits for its member's card: a round for some dozens, and the cores for others."""


def create_worker(settings: WorkerSettings, clock: Clock = system_clock) -> Worker:
    """The worker; it opens store and bus when it runs and closes them when it ends."""
    wiring = wire(settings.store, clock, settings.programme)
    bus = open_bus(settings.bus)

    async def close() -> None:
        await bus.close()
        await wiring.close()

    journals = (wiring.files, wiring.relationships)
    tasks: list[Task] = [consumer(wiring, bus), *(relay(wiring, bus, each) for each in journals)]
    return Worker(f"{SERVICE}-worker", tasks, wiring.prepare, close, settings.http)


def consumer(wiring: Wiring, bus: Bus) -> Consumer:
    """Activities and the service's own member facts, in one group: one owner, one line."""
    handler = Absorber(wiring.keeper, bus).handle
    topics = [ACTIVITIES.name, MEMBER_FACTS.name]
    settings = ConsumerSettings(rest_seconds=REST_SECONDS)
    return Consumer(bus, topics, GROUP, handler, wiring.views, settings, clock=wiring.clock)


def relay(wiring: Wiring, bus: Bus, journal: Journal) -> Relay:
    """A journal's way to the bus."""
    lease = journal_lease(wiring.views, journal.name, wiring.clock)
    return Relay(journal, bus, _topic_of, lease, RelaySettings(rest_seconds=REST_SECONDS))


def _topic_of(fact: Fact) -> str:
    return MEMBER_FACTS.name
