"""The worker process of the events service: decide activities, relay both journals."""

from contracts.envelope import Fact
from contracts.topics import ACTIVITIES, CARDS, REWARDS
from kit.bus.consume import Consumer
from kit.bus.open import open_bus
from kit.bus.port import Bus
from kit.clock import Clock, system_clock
from kit.journal.port import Journal
from kit.relay import Relay
from kit.views.lease import journal_lease
from kit.worker import Duty, Task, Worker
from programmes.model import load_programme
from services.events.campaigns import compiled
from services.events.deciding import Decider
from services.events.settings import WorkerSettings
from services.events.wiring import SERVICE, Wiring, decider, wire

GROUP = SERVICE
LOOK_EVERY_SECONDS = 0.25


def create_worker(settings: WorkerSettings, clock: Clock = system_clock) -> Worker:
    """The worker; it opens store and bus when it runs and closes them when it ends."""
    campaigns = compiled(load_programme(settings.programme))
    wiring = wire(settings.store, clock)
    bus = open_bus(settings.bus)
    deciding = decider(wiring, campaigns)

    async def close() -> None:
        await bus.close()
        await wiring.close()

    tasks: list[Task] = [
        consumer(bus, wiring, deciding),
        relay(bus, wiring, wiring.activities),
        relay(bus, wiring, wiring.decisions),
        Duty("activities that wait", lambda: _look_again(deciding), LOOK_EVERY_SECONDS),
    ]
    return Worker(f"{SERVICE}-worker", tasks, wiring.prepare, close, settings.http)


def consumer(bus: Bus, wiring: Wiring, deciding: Decider) -> Consumer:
    """What brings activities and cards to the decider."""
    topics = [ACTIVITIES.name, CARDS.name]
    views = wiring.store.views
    return Consumer(bus, topics, GROUP, deciding.handle, views, clock=wiring.clock)


def relay(bus: Bus, wiring: Wiring, journal: Journal) -> Relay:
    """What takes a journal's facts to their topic."""
    lease = journal_lease(wiring.store.views, journal.name, wiring.clock)
    return Relay(journal, bus, topic_of, lease)


def topic_of(fact: Fact) -> str:
    """The topic of a fact, by the kind of its stream."""
    return ACTIVITIES.name if fact.stream.startswith("activity:") else REWARDS.name


async def _look_again(deciding: Decider) -> None:
    await deciding.look_again()
