"""The worker process of the points service: post decisions, follow entries, relay, daily duties."""

from contracts.topics import CARDS, ENTRIES, MEMBER_FACTS, REWARDS, VOUCHERS
from kit.bus.consume import Consumer, ConsumerSettings, Envelope
from kit.bus.open import open_bus
from kit.bus.port import Bus
from kit.clock import Clock, system_clock
from kit.relay import Relay, RelaySettings
from kit.views.lease import journal_lease
from kit.worker import Duty, Task, Worker
from services.points import cards
from services.points.commands import note_contacts, post_decisions
from services.points.rewards.following import follow as follow_redemptions
from services.points.rewards.following import status_of
from services.points.settings import WorkerSettings
from services.points.vouchers.duties import duties as voucher_duties
from services.points.vouchers.duties import refresh as refresh_vouchers
from services.points.vouchers.wiring import topic_of as topic_of_voucher
from services.points.wiring import SERVICE, Wiring, wire

GROUP = SERVICE
FOLLOWING = f"{SERVICE}-follow"
"""Apart from posting, so that a backlog of the one never holds up the other."""
REST_SECONDS = 0.25
"""Who reads what is posted is not waited for: rounds for some dozens, and the cores for others."""


def create_worker(settings: WorkerSettings, clock: Clock = system_clock) -> Worker:
    """The worker; it opens store and bus when it runs and closes them when it ends."""
    wiring = wire(settings.store, clock, settings.programme)
    bus = open_bus(settings.bus)

    async def close() -> None:
        await bus.close()
        await wiring.close()

    tasks: list[Task] = [
        posting(bus, wiring),
        following(bus, wiring),
        wiring.chain.task(bus),
        wiring.reports.task(),
        *relays(bus, wiring),
    ]
    if settings.duties_every_seconds:
        tasks.append(Duty("due accounts", wiring.duties.some, settings.duties_every_seconds))
        tasks += wiring.rewards.duties(status_of(wiring.redemptions))
        tasks += voucher_duties(wiring.vouchers)
    return Worker(f"{SERVICE}-worker", tasks, wiring.prepare, close, settings.http)


def posting(bus: Bus, wiring: Wiring) -> Consumer:
    """What brings decisions, and changes of contact details, to the ledger."""

    async def post(batch: list[Envelope]) -> None:
        facts = [envelope.fact for envelope in batch]
        await note_contacts(wiring.ledger, wiring.rules, facts)
        await post_decisions(wiring.ledger, wiring.rules, facts)

    topics = [REWARDS.name, MEMBER_FACTS.name]
    return Consumer(bus, topics, GROUP, post, wiring.store.views, clock=wiring.clock)


def following(bus: Bus, wiring: Wiring) -> Consumer:
    """What carries on with the service's own entries, and copies member cards."""

    async def follow(batch: list[Envelope]) -> None:
        facts = [envelope.fact for envelope in batch]
        await cards.absorb(wiring.store.views, facts)
        ours = [fact for fact in facts if fact.stream.startswith("account:")]
        if ours:
            await wiring.follower.handle(ours)
            await follow_redemptions(wiring.redemptions, ours)
        await refresh_vouchers(wiring.vouchers, batch)

    topics = [ENTRIES.name, CARDS.name, VOUCHERS.name]
    settings = ConsumerSettings(rest_seconds=REST_SECONDS)
    return Consumer(
        bus, topics, FOLLOWING, follow, wiring.store.views, settings, clock=wiring.clock
    )


def relays(bus: Bus, wiring: Wiring) -> list[Relay]:
    """What takes each journal's facts to its topic."""
    views, clock, settings = (
        wiring.store.views,
        wiring.clock,
        RelaySettings(rest_seconds=REST_SECONDS),
    )
    own = (
        (wiring.entries, lambda fact: ENTRIES.name),
        (wiring.vouchers.journal, topic_of_voucher),
    )
    return [
        *(
            Relay(each, bus, to, journal_lease(views, each.name, clock), settings)
            for each, to in own
        ),
        *wiring.rewards.relays(bus, settings),
        wiring.chain.relay(bus),
    ]
