"""The consumer loop on every adapter: nothing lost, owners in order, the line goes on."""

import asyncio
from dataclasses import dataclass, field

import msgspec
import pytest

from contracts.envelope import Fact, encode_fact
from contracts.topics import DEAD_LETTER_SUFFIX
from kit.bus.consume import Consumer, ConsumerSettings, Envelope
from kit.bus.dead_letters import peek, redrive
from kit.bus.halts import Halts
from kit.bus.port import Bus, Message
from kit.errors import BrokenInvariant, ServiceError, Unavailable
from kit.views.port import Views
from tests.ports.bus.brokers import Broker

QUICK = ConsumerSettings(first_backoff_seconds=0.005, longest_backoff_seconds=0.02)


@dataclass
class Ledger:
    """A handler that is idempotent by (stream, seq), as real ones are, and can be told to fail."""

    broken: set[str] = field(default_factory=set)
    done: list[str] = field(default_factory=list)
    outages: int = 0
    calls: int = 0

    async def __call__(self, batch: list[Envelope]) -> None:
        self.calls += 1
        if self.outages:
            self.outages -= 1
            raise Unavailable("the store", "it is being restarted")
        for envelope in batch:
            if envelope.fact.id in self.broken:
                raise BrokenInvariant("overdrawn", "the balance would be negative")
            if envelope.fact.id not in self.done:
                self.done.append(envelope.fact.id)

    def of(self, member: str) -> list[int]:
        """The seqs that took effect for a member, in order."""
        return [int(it.partition("/")[2]) for it in self.done if it.startswith(f"t:{member}/")]


def fact(member: str, seq: int) -> Fact:
    return Fact(f"t:{member}", seq, f"k{seq}", "Tested", 1, 2, msgspec.Raw(b"{}"))


def message(topic: str, member: str, seq: int) -> Message:
    return Message(topic, member, encode_fact(fact(member, seq)), {"type": b"Tested"})


def fid(member: str, seq: int) -> str:
    return fact(member, seq).id


def consumer(broker: Broker, bus: Bus, views: Views, ledger: Ledger, batch: int = 1000) -> Consumer:
    settings = ConsumerSettings(
        batch=batch, first_backoff_seconds=0.005, longest_backoff_seconds=0.02
    )
    return Consumer(bus, [broker.topic], broker.group, ledger, views, settings)


async def drain(worker: Consumer, bus: Bus) -> None:
    """Step until the group has committed everything."""
    for _ in range(200):
        await worker.step(0.2)
        if await bus.lag(worker.topics, worker.group) == 0:
            return
    raise AssertionError("the consumer does not get to the end")


async def halted_keys(views: Views, group: str) -> list[str]:
    return sorted(await Halts(views, group).load())


async def test_each_fact_reaches_the_handler_decoded_and_is_committed(
    broker: Broker, bus: Bus, views: Views
) -> None:
    await bus.publish([message(broker.topic, "M1", seq) for seq in (1, 2, 3)])
    seen: list[Envelope] = []

    async def handler(batch: list[Envelope]) -> None:
        seen.extend(batch)

    worker = Consumer(bus, [broker.topic], broker.group, handler, views, QUICK)
    await drain(worker, bus)
    assert [it.fact for it in seen] == [fact("M1", seq) for seq in (1, 2, 3)]
    assert [it.received.offset for it in seen] == [0, 1, 2]
    assert seen[0].received.headers["type"] == b"Tested"
    await worker.close()


async def test_a_fact_comes_again_when_the_process_dies_between_effect_and_commit(
    broker: Broker, bus: Bus, views: Views
) -> None:
    await bus.publish([message(broker.topic, "M1", 1)])
    seen: list[str] = []

    async def dies(batch: list[Envelope]) -> None:
        seen.extend(it.fact.id for it in batch)
        raise asyncio.CancelledError

    first = Consumer(bus, [broker.topic], broker.group, dies, views, QUICK)
    with pytest.raises(asyncio.CancelledError):
        await drain(first, bus)
    await first.close()
    ledger = Ledger()
    second = consumer(broker, bus, views, ledger)
    await drain(second, bus)
    assert seen == [fid("M1", 1)]
    assert ledger.of("M1") == [1]
    await second.close()


async def test_an_outage_of_the_store_delays_and_loses_nothing(
    broker: Broker, bus: Bus, views: Views
) -> None:
    await bus.publish([message(broker.topic, f"M{n}", 1) for n in range(10)])
    ledger = Ledger(outages=3)
    worker = consumer(broker, bus, views, ledger)
    await drain(worker, bus)
    assert sorted(ledger.done) == sorted(fid(f"M{n}", 1) for n in range(10))
    assert await peek(bus, broker.topic, broker.group) == []
    assert await halted_keys(views, broker.group) == []
    await worker.close()


@pytest.mark.parametrize(
    "poison", [b"", b"\xff\xfe\x00", b"{", b"[]", b"null", b'{"stream": 7}', b"{}" * 1000]
)
async def test_a_message_that_is_no_envelope_is_put_aside_and_halts_nobody(
    broker: Broker, bus: Bus, views: Views, poison: bytes
) -> None:
    await bus.publish(
        [
            message(broker.topic, "M1", 1),
            Message(broker.topic, "M1", poison, {"origin": b"a till"}),
            message(broker.topic, "M1", 2),
        ]
    )
    ledger = Ledger()
    worker = consumer(broker, bus, views, ledger)
    await drain(worker, bus)
    assert ledger.of("M1") == [1, 2]
    (letter,) = await peek(bus, broker.topic, broker.group)
    assert (letter.key, letter.value, letter.offset) == ("M1", poison, 1)
    assert (letter.topic, letter.group, letter.reason) == (broker.topic, broker.group, "malformed")
    assert dict(letter.headers) == {"origin": b"a till"}
    assert letter.error.startswith("not an envelope: ")
    assert await halted_keys(views, broker.group) == []
    await worker.close()


@pytest.mark.parametrize("batch", [1, 3, 1000])
async def test_a_failing_message_halts_its_owner_and_nobody_else(
    broker: Broker, bus: Bus, views: Views, batch: int
) -> None:
    await bus.publish(
        [message(broker.topic, f"M{n}", seq) for seq in (1, 2, 3, 4) for n in range(6)]
    )
    ledger = Ledger(broken={fid("M3", 2)})
    worker = consumer(broker, bus, views, ledger, batch)
    await drain(worker, bus)
    assert ledger.of("M3") == [1]
    for n in (0, 1, 2, 4, 5):
        assert ledger.of(f"M{n}") == [1, 2, 3, 4]
    assert await halted_keys(views, broker.group) == ["M3"]
    letters = await peek(bus, broker.topic, broker.group)
    assert [it.value for it in letters] == [encode_fact(fact("M3", s)) for s in (2, 3, 4)]
    assert [it.reason for it in letters] == ["failed", "halted", "halted"]
    assert "overdrawn" in letters[0].error
    await worker.close()


async def test_a_redrive_brings_an_owner_back_in_order(
    broker: Broker, bus: Bus, views: Views
) -> None:
    await bus.publish([message(broker.topic, "M1", seq) for seq in (1, 2, 3)])
    ledger = Ledger(broken={fid("M1", 2)})
    worker = consumer(broker, bus, views, ledger)
    await drain(worker, bus)
    ledger.broken.clear()
    await bus.publish([message(broker.topic, "M1", 4)])
    assert await redrive(bus, broker.topic, broker.group) == 2
    await bus.publish([message(broker.topic, "M1", 5)])
    await drain(worker, bus)
    assert ledger.of("M1") == [1, 2, 3], "4 came while 2 and 3 were still aside, and 5 follows 4"
    assert await redrive(bus, broker.topic, broker.group) == 2
    await bus.publish([message(broker.topic, "M1", 6)])
    await drain(worker, bus)
    assert ledger.of("M1") == [1, 2, 3, 4, 5, 6]
    assert await halted_keys(views, broker.group) == []
    assert await redrive(bus, broker.topic, broker.group) == 0
    await worker.close()


async def test_a_redrive_that_fails_again_keeps_the_order_for_the_next(
    broker: Broker, bus: Bus, views: Views
) -> None:
    await bus.publish([message(broker.topic, "M1", seq) for seq in (1, 2, 3)])
    ledger = Ledger(broken={fid("M1", 1)})
    worker = consumer(broker, bus, views, ledger, batch=1)
    await drain(worker, bus)
    assert await redrive(bus, broker.topic, broker.group) == 3
    await drain(worker, bus)
    assert ledger.done == []
    letters = await peek(bus, broker.topic, broker.group)
    assert [(it.offset, it.reason) for it in letters] == [
        (0, "failed"),
        (1, "halted"),
        (2, "halted"),
    ]
    ledger.broken.clear()
    assert await redrive(bus, broker.topic, broker.group) == 3
    await drain(worker, bus)
    assert ledger.of("M1") == [1, 2, 3]
    await worker.close()


async def test_a_redrive_for_one_group_is_not_handled_by_another(
    broker: Broker, bus: Bus, views: Views
) -> None:
    await bus.publish([message(broker.topic, "M1", 1)])
    ledger, other = Ledger(broken={fid("M1", 1)}), Ledger()
    worker = consumer(broker, bus, views, ledger)
    bystander = Consumer(bus, [broker.topic], broker.group + "-b", other, views, QUICK)
    await drain(worker, bus)
    ledger.broken.clear()
    await redrive(bus, broker.topic, broker.group)
    await drain(worker, bus)
    await drain(bystander, bus)
    assert ledger.of("M1") == [1]
    assert (other.of("M1"), other.calls) == ([1], 1)
    await worker.close()
    await bystander.close()


async def test_two_groups_that_gave_up_on_a_message_are_redriven_apart(
    broker: Broker, bus: Bus, views: Views
) -> None:
    await bus.publish([message(broker.topic, "M1", 1)])
    groups = (broker.group, broker.group + "-b")
    for group in groups:
        worker = Consumer(bus, [broker.topic], group, Ledger({fid("M1", 1)}), views, QUICK)
        await drain(worker, bus)
        await worker.close()
    assert await redrive(bus, broker.topic, groups[0]) == 1
    assert await peek(bus, broker.topic, groups[0]) == []
    (left,) = await peek(bus, broker.topic, groups[1])
    assert (left.group, left.key) == (groups[1], "M1")
    mended = Ledger()
    worker = consumer(broker, bus, views, mended)
    await drain(worker, bus)
    assert mended.of("M1") == [1]
    await worker.close()


async def test_a_halt_is_kept_by_whoever_takes_the_partition_over(
    broker: Broker, bus: Bus, views: Views
) -> None:
    await bus.publish([message(broker.topic, "M1", 1)])
    first = consumer(broker, bus, views, Ledger(broken={fid("M1", 1)}))
    await drain(first, bus)
    await first.close()
    ledger = Ledger()
    second = consumer(broker, bus, views, ledger)
    await bus.publish([message(broker.topic, "M1", 2), message(broker.topic, "M2", 1)])
    await drain(second, bus)
    assert (ledger.of("M1"), ledger.of("M2")) == ([], [1])
    await second.close()


async def test_an_error_of_the_bus_itself_that_does_not_pass_stops_the_consumer(
    broker: Broker, bus: Bus, views: Views
) -> None:
    async def handler(batch: list[Envelope]) -> None:
        raise AssertionError("nothing was published")

    worker = Consumer(bus, [broker.topic], broker.group, handler, views, QUICK)

    class Refusing:
        async def poll(self, limit: int, timeout: float) -> list[object]:
            raise ServiceError("forbidden", "no_access", "this user may not read the topic")

        async def close(self) -> None: ...

    await worker.close()
    worker._subscription = Refusing()  # type: ignore[assignment]
    with pytest.raises(ServiceError) as caught:
        await worker.step()
    assert caught.value.code == "no_access"


async def test_letters_of_strangers_do_not_stop_a_redrive(
    broker: Broker, bus: Bus, views: Views
) -> None:
    await bus.publish([Message(broker.topic + DEAD_LETTER_SUFFIX, "M1", b"who put this here?")])
    assert await redrive(bus, broker.topic, broker.group) == 0
