"""The worker process of the points service: post decisions, relay entries."""

from contracts.envelope import Fact
from contracts.topics import ENTRIES, REWARDS
from kit.bus.consume import Consumer, Envelope
from kit.bus.open import open_bus
from kit.clock import Clock, system_clock
from kit.relay import Relay
from kit.views.lease import journal_lease
from kit.worker import Worker
from services.points.commands import post_decisions
from services.points.settings import WorkerSettings
from services.points.wiring import SERVICE, wire

GROUP = SERVICE


def create_worker(settings: WorkerSettings, clock: Clock = system_clock) -> Worker:
    """The worker; it opens store and bus when it runs and closes them when it ends."""
    wiring = wire(settings.store, clock)
    bus = open_bus(settings.bus)

    async def post(batch: list[Envelope]) -> None:
        await post_decisions(wiring.accounts, [envelope.fact for envelope in batch])

    async def close() -> None:
        await bus.close()
        await wiring.close()

    views = wiring.store.views
    consumer = Consumer(bus, [REWARDS.name], GROUP, post, views, clock=clock)
    relay = Relay(wiring.entries, bus, _topic_of, journal_lease(views, wiring.entries.name, clock))
    return Worker(f"{SERVICE}-worker", [consumer, relay], wiring.prepare, close, settings.http)


def _topic_of(fact: Fact) -> str:
    return ENTRIES.name
