"""Giving up dead letters, on every adapter: exactly these, for good, and the owner goes on."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import msgspec
import pytest

from contracts.envelope import Fact, encode_fact
from contracts.topics import DEAD_LETTER_SUFFIX
from kit.bus.consume import Consumer, ConsumerSettings, Envelope
from kit.bus.dead_letters import peek, redrive
from kit.bus.dropped import Place
from kit.bus.dropping import Drop, drop, given_up
from kit.bus.halts import Halts
from kit.bus.port import Bus, Message, Subscription, TopicSpec
from kit.errors import BrokenInvariant, ServiceError, Unavailable
from kit.views.port import Collection, Document, Views
from tests.ports.bus.brokers import Broker, numbered, take, values

WHY = "the till sent nonsense"
NOISE = b"\x00\xffthis is no fact"


def message(topic: str, member: str, seq: int) -> Message:
    fact = Fact(f"t:{member}", seq, f"k{seq}", "Tested", 1, 2, msgspec.Raw(b"{}"))
    return Message(topic, member, encode_fact(fact))


@dataclass
class Till:
    """A consumer of the broker's topic whose handler refuses the seqs that are broken."""

    broker: Broker
    bus: Bus
    views: Views
    broken: set[int] = field(default_factory=set)
    done: list[tuple[str, int]] = field(default_factory=list)
    topics: tuple[str, ...] = ()
    batch: int = 1_000

    def __post_init__(self) -> None:
        settings = ConsumerSettings(self.batch, 0.5, 0.0, 0.005, 0.02)
        self.topics = self.topics or (self.broker.topic,)
        self.worker = Consumer(
            self.bus, self.topics, self.broker.group, self._handle, self.views, settings
        )

    async def _handle(self, batch: list[Envelope]) -> None:
        for envelope in batch:
            if envelope.fact.seq in self.broken:
                raise BrokenInvariant("overdrawn", "the balance would be negative")
            if (envelope.fact.owner, envelope.fact.seq) not in self.done:
                self.done.append((envelope.fact.owner, envelope.fact.seq))

    async def publish(self, *seqs: int, member: str = "M1", topic: str | None = None) -> None:
        topic = topic or self.broker.topic
        await self.bus.publish([message(topic, member, seq) for seq in seqs])

    async def drain(self) -> None:
        """Step until the group has committed everything."""
        for _ in range(200):
            await self.worker.step(0.2)
            if await self.bus.lag(self.topics, self.broker.group) == 0:
                return
        raise AssertionError("the consumer does not get to the end")

    def of(self, member: str = "M1") -> list[int]:
        return [seq for owner, seq in self.done if owner == member]

    async def waiting(self) -> list[tuple[Place, str]]:
        letters = await peek(self.bus, self.broker.topic, self.broker.group)
        return [(it.place, it.reason) for it in letters]

    async def places(self) -> list[Place]:
        return [place for place, _ in await self.waiting()]

    async def halted(self) -> list[str]:
        return sorted(await Halts(self.views, self.broker.group).load())

    async def drop(self, *places: Place, reason: str = WHY, bus: Bus | None = None) -> int:
        wanted = Drop(self.broker.topic, self.broker.group, places, reason, "ops")
        return await drop(bus or self.bus, wanted)

    async def redrive(self) -> int:
        return await redrive(self.bus, self.broker.topic, self.broker.group)

    async def trace(self) -> list[tuple[Place, str]]:
        dropped = await given_up(self.bus, self.broker.topic, self.broker.group)
        return [(it.place, it.reason) for it in dropped]


@pytest.fixture
async def till(broker: Broker, bus: Bus, views: Views) -> Till:
    return Till(broker, bus, views)


async def halting(till: Till, *seqs: int, broken: int = 2) -> list[Place]:
    """Have M1 halted over one of these; return the places put aside."""
    till.broken = {broken}
    await till.publish(*seqs)
    await till.drain()
    assert await till.halted() == ["M1"]
    return await till.places()


async def test_the_others_are_sent_back_in_order_and_the_halt_ends(till: Till) -> None:
    first, *others = await halting(till, 1, 2, 3, 4)
    assert await till.drop(first) == 1
    assert await till.waiting() == [(it, "halted") for it in others]
    await till.publish(5)
    await till.drain()
    assert (till.of(), await till.halted()) == ([1], ["M1"]), "3 and 4 still wait before 5"

    assert await till.redrive() == 3
    await till.drain()
    await till.publish(6)
    await till.drain()
    assert (till.of(), await till.halted()) == ([1, 3, 4, 5, 6], [])
    assert (await till.waiting(), await till.redrive()) == ([], 0)
    await till.worker.close()


async def test_one_from_the_middle_is_passed_over(till: Till) -> None:
    first, middle, last = await halting(till, 2, 3, 4)
    await till.drop(middle)
    till.broken.clear()
    assert await till.places() == [first, last]
    assert await till.redrive() == 2
    await till.drain()
    assert (till.of(), await till.halted()) == ([2, 4], [])
    await till.worker.close()


async def test_when_all_are_dropped_the_owner_goes_on_with_its_next_message(till: Till) -> None:
    places = await halting(till, 1, 2, 3)
    assert await till.drop(*places) == 2
    await till.drain()
    assert (await till.halted(), await till.waiting()) == ([], [])
    await till.publish(4)
    await till.drain()
    assert till.of() == [1, 4]
    assert await till.redrive() == 0
    await till.drain()
    assert (till.of(), await till.trace()) == ([1, 4], [(it, WHY) for it in places])
    await till.worker.close()


async def test_the_next_message_is_handled_in_the_batch_that_brings_the_release(till: Till) -> None:
    places = await halting(till, 2)
    await till.drop(*places)
    await till.publish(3)
    await till.drain()
    assert (till.of(), await till.halted()) == ([3], [])
    await till.worker.close()


async def test_a_halt_over_two_topics_ends_with_the_last_of_both(
    broker: Broker, bus: Bus, views: Views
) -> None:
    other = f"{broker.topic}-b"
    await bus.prepare([TopicSpec(other, 4), TopicSpec(other + DEAD_LETTER_SUFFIX, 4)])
    till = Till(broker, bus, views, {2}, topics=(broker.topic, other))
    await till.publish(2)
    await till.drain()
    await till.publish(3, topic=other)
    await till.drain()
    await till.drop(*await till.places())
    await till.drain()
    assert await till.halted() == ["M1"]
    assert await redrive(bus, other, broker.group) == 1
    await till.drain()
    assert (till.of(), await till.halted()) == ([3], [])
    await till.worker.close()


async def test_noise_is_dropped_and_is_not_put_aside_again(till: Till) -> None:
    await till.bus.publish([Message(till.broker.topic, "M1", NOISE)])
    await till.publish(1)
    await till.drain()
    ((place, reason),) = await till.waiting()
    assert (reason, await till.drop(place)) == ("malformed", 1)
    assert await till.redrive() == 0
    await till.drain()
    await till.publish(2)
    await till.drain()
    assert (await till.waiting(), till.of(), await till.halted()) == ([], [1, 2], [])
    await till.worker.close()


async def test_noise_in_the_line_of_a_halted_owner_does_not_hold_it_up(till: Till) -> None:
    await till.bus.publish([Message(till.broker.topic, "M1", NOISE)])
    await till.drain()
    noise, *_ = await halting(till, 2, 3)
    till.broken.clear()
    for _ in range(2):  # the first puts it at the head of the line
        await till.redrive()
        await till.drain()
    assert till.of() == [2, 3]
    assert (await till.waiting(), await till.halted()) == ([(noise, "malformed")], [])
    await till.drop(noise)
    await till.publish(4)
    await till.drain()
    assert (await till.waiting(), await till.halted(), till.of()) == ([], [], [2, 3, 4])
    await till.worker.close()


async def test_what_was_dropped_says_who_when_and_why(till: Till) -> None:
    (place,) = await halting(till, 2)
    await till.drop(place, reason=f"  {WHY}: 坏的\n")
    await till.drain()
    (dropped,) = await given_up(till.bus, till.broker.topic, till.broker.group)
    assert (dropped.topic, dropped.group) == (till.broker.topic, till.broker.group)
    assert (dropped.place, dropped.key) == (place, "M1")
    assert (dropped.reason, dropped.by) == (f"{WHY}: 坏的", "ops")
    assert dropped.at.startswith("20")
    assert dropped.at.endswith("+00:00")
    letters = await take(till.bus.subscribe([till.broker.topic + DEAD_LETTER_SUFFIX], "reader"), 3)
    assert letters[0].value == message(till.broker.topic, "M1", 2).value, "the letter stays"
    assert [it.headers.get("dead-dropped") for it in letters[1:]] == [f"{WHY}: 坏的".encode()] * 2
    await till.worker.close()


@pytest.mark.parametrize("reason", ["", " \n", "x" * 501])
async def test_a_reason_is_1_to_500_characters(till: Till, reason: str) -> None:
    with pytest.raises(ServiceError, match="1 to 500 characters"):
        await till.drop((0, 0), reason=reason)
    assert Drop("t", "g", [], f" {'x' * 500} ", "ops").places == []


async def test_one_letter_that_is_not_there_and_nothing_is_dropped(till: Till) -> None:
    first, second = await halting(till, 2, 3)
    absent = (first[0], 99)
    with pytest.raises(ServiceError) as refused:
        await till.drop(first, absent, second)
    assert (refused.value.kind, refused.value.code) == ("missing", "no_such_letter")
    assert refused.value.message == (
        f"Nothing was dropped: among the dead letters of {till.broker.group} on "
        f"{till.broker.topic}, {absent[0]}:99 is not there"
    )
    assert await till.waiting() == [(first, "failed"), (second, "halted")]
    assert await till.trace() == []
    assert await till.bus.lag([till.broker.topic], till.broker.group) == 0, "no release"
    await till.worker.close()


async def test_a_letter_of_another_group_is_refused_and_says_whose_it_is(till: Till) -> None:
    (place,) = await halting(till, 2)
    stranger = Drop(till.broker.topic, "strangers", [place], WHY, "ops")
    with pytest.raises(ServiceError, match=f"{place[0]}:0 is of {till.broker.group}"):
        await drop(till.bus, stranger)
    assert (await till.places(), await till.halted()) == ([place], ["M1"])
    assert await given_up(till.bus, till.broker.topic, "strangers") == []
    await till.worker.close()


async def test_a_letter_that_was_sent_back_is_refused(till: Till) -> None:
    (place,) = await halting(till, 2)
    till.broken.clear()
    await till.redrive()
    with pytest.raises(ServiceError, match=f"{place[0]}:0 was sent back and waits no more"):
        await till.drop(place)
    await till.drain()
    assert (till.of(), await till.trace()) == ([2], [])
    await till.worker.close()


async def test_a_drop_for_one_group_leaves_the_others_as_they_are(
    till: Till, broker: Broker, bus: Bus, views: Views
) -> None:
    other = Till(
        Broker(broker.adapter, broker.place, broker.topic, broker.group + "-b"), bus, views
    )
    other.broken = {2}
    (place,) = await halting(till, 2)
    await other.drain()
    await till.drop(place)
    await till.drain()
    await other.drain()
    assert (await till.waiting(), await till.halted()) == ([], [])
    assert (await other.places(), await other.halted()) == ([place], ["M1"])
    assert await other.trace() == []
    await till.worker.close()
    await other.worker.close()


async def test_twice_is_as_once_and_the_first_reason_stays(till: Till) -> None:
    places = await halting(till, 2, 3)
    assert await till.drop(places[0], places[0]) == 1
    assert await till.drop(*places, reason="once more") == 1
    assert await till.drop(*places, reason="once more") == 0
    await till.drain()
    assert await till.redrive() == 0
    await till.drain()
    assert await till.drop(*places, reason="after the re-drive") == 0
    await till.drain()
    assert await till.trace() == [(places[0], WHY), (places[1], "once more")]
    assert (await till.halted(), await till.redrive(), till.of()) == ([], 0, [])
    await till.worker.close()


@dataclass
class DyingBus:
    """Dies in its ``alive``th publication, when one message of it has got through."""

    inner: Bus
    alive: int

    async def publish(self, messages: Sequence[Message]) -> None:
        self.alive -= 1
        if self.alive < 0:
            await self.inner.publish(messages[:1])
            raise asyncio.CancelledError
        await self.inner.publish(messages)

    def subscribe(self, topics: Sequence[str], group: str) -> Subscription:
        return self.inner.subscribe(topics, group)

    async def lag(self, topics: Sequence[str], group: str) -> int:
        return await self.inner.lag(topics, group)

    async def prepare(self, topics: Sequence[TopicSpec]) -> None: ...
    async def close(self) -> None: ...


async def again(till: Till, places: Sequence[Place]) -> None:
    await till.drop(*places)


async def sent_back(till: Till, places: Sequence[Place]) -> None:
    till.broken.discard(3)
    await till.redrive()


MENDING: list[Callable[[Till, Sequence[Place]], Awaitable[None]]] = [again, sent_back]


@pytest.mark.parametrize("alive", [0, 1])
@pytest.mark.parametrize("mend", MENDING)
async def test_a_drop_that_died_half_way_is_finished_by_the_same_or_by_a_redrive(
    till: Till, alive: int, mend: Callable[[Till, Sequence[Place]], Awaitable[None]]
) -> None:
    places = await halting(till, 2, 3)
    with pytest.raises(asyncio.CancelledError):
        await till.drop(*places, bus=DyingBus(till.bus, alive))
    await till.drain()
    assert await till.places() == places[1:][alive:], "what has its marker waits no more"
    await mend(till, places)
    await till.drain()
    assert (await till.halted(), await till.places()) == ([], [])
    assert till.of() == ([3] if mend is sent_back and not alive else [])
    await till.worker.close()


async def test_a_redrive_that_died_half_way_drops_what_was_dropped(till: Till) -> None:
    first, _ = await halting(till, 2, 3)
    await till.drop(first)
    with pytest.raises(asyncio.CancelledError):
        await redrive(DyingBus(till.bus, 0), till.broker.topic, till.broker.group)
    await till.drain()
    assert await till.redrive() == 1
    await till.drain()
    assert (till.of(), await till.halted(), await till.waiting()) == ([3], [], [])
    await till.worker.close()


@dataclass
class FailingViews:
    """Views that are out for some saves and removals of halts."""

    inner: Views
    outages: int = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def _out(self) -> None:
        if self.outages:
            self.outages -= 1
            raise Unavailable("the store", "it is being restarted")

    async def save(self, collection: Collection, documents: Sequence[Document]) -> list[str]:
        self._out()
        return await self.inner.save(collection, documents)

    async def delete(self, collection: Collection, ids: Sequence[str]) -> None:
        self._out()
        await self.inner.delete(collection, ids)


@pytest.mark.parametrize("batch", [1, 1_000])
async def test_what_was_put_aside_without_its_halt_on_record_is_dropped_for_good(
    broker: Broker, bus: Bus, views: Views, batch: int
) -> None:
    out = FailingViews(views, outages=1)
    till = Till(broker, bus, out, {2}, batch=batch)  # type: ignore[arg-type]
    await till.publish(2)
    while not await till.places():
        await till.worker.step(0.2)
    (place,) = await till.places()
    assert await till.halted() == []
    await till.drop(place)
    await till.publish(3)
    await till.drain()  # the message comes first, and dies again; then its release comes
    assert await till.redrive() == (0 if batch == 1 else 1), "3 was held up in the batch of 2"
    await till.drain()
    assert (await till.waiting(), await till.halted(), till.of()) == ([], [], [3])
    await till.worker.close()


async def test_a_release_comes_again_when_the_store_is_out(
    broker: Broker, bus: Bus, views: Views
) -> None:
    out = FailingViews(views)
    till = Till(broker, bus, out, {2})  # type: ignore[arg-type]
    places = await halting(till, 2, 3)
    await till.drop(*places)
    out.outages = 3
    await till.drain()
    await till.publish(4)
    await till.drain()
    assert (await till.halted(), await till.waiting(), till.of()) == ([], [], [4])
    assert await till.trace() == [(it, WHY) for it in places]
    await till.worker.close()


async def test_a_message_that_dies_once_more_behind_its_release_waits_again(till: Till) -> None:
    (place,) = await halting(till, 2)
    with pytest.raises(asyncio.CancelledError):
        await redrive(DyingBus(till.bus, 0), till.broker.topic, till.broker.group)
    await till.drop(place)
    await till.drain()
    copy = (await take(till.bus.subscribe([till.broker.topic], "reader"), 2))[1]
    assert (await till.waiting(), await till.halted()) == ([], [])
    assert (copy.key, copy.partition) == (
        f"retry/{till.broker.group}/{place[0]}:{place[1]}",
        place[0],
    ), "a key of its own, beside the owner's messages"
    again = Message(copy.topic, copy.key, copy.value, copy.headers, beside="M1")
    await till.bus.publish([again])
    await till.drain()
    assert (await till.waiting(), await till.halted()) == ([(place, "failed")], ["M1"])
    assert await till.drop(place, reason="and again") == 1
    await till.drain()
    assert (await till.waiting(), await till.halted()) == ([], [])
    assert await till.trace() == [(place, WHY), (place, "and again")]
    await till.worker.close()


async def test_letters_put_aside_after_a_redrive_wait_whatever_markers_lie_between(
    till: Till,
) -> None:
    first, second = await halting(till, 2, 3)
    await till.drop(first)
    till.broken = {3}
    await till.redrive()
    await till.drain()
    assert await till.waiting() == [(second, "failed")]
    await till.publish(4)
    await till.drain()
    till.broken.clear()
    assert await till.redrive() == 2
    await till.drain()
    assert (till.of(), await till.halted(), await till.redrive()) == ([3, 4], [], 0)
    await till.worker.close()


async def test_a_redrive_that_cannot_read_all_sends_nothing(till: Till, broker: Broker) -> None:
    (place,) = await halting(till, 2)
    name = broker.topic + DEAD_LETTER_SUFFIX
    other = broker.open().subscribe([name], f"redrive.{broker.group}")
    await take(other, 1)
    with pytest.raises(Unavailable, match="does another command read it"):
        await redrive(till.bus, broker.topic, broker.group, broker.patience)
    await other.close()
    assert await till.places() == [place]
    assert await till.bus.lag([broker.topic], broker.group) == 0
    await till.worker.close()


async def test_a_message_goes_beside_another_key_in_its_partition_and_order(
    broker: Broker, bus: Bus
) -> None:
    keys = [f"M{n}" for n in range(8)]
    mixed: list[Message] = []
    for it in numbered(broker.topic, keys, 1):
        mixed += [it, Message(it.topic, f"own/{it.key}", it.value + b"'", {}, it.key)]
    await bus.publish(mixed)
    received = await take(bus.subscribe([broker.topic], broker.group), 16)
    place = {it.value: it.partition for it in received}
    assert [place[f"{key}:0'".encode()] for key in keys] == [
        place[f"{key}:0".encode()] for key in keys
    ]
    for key in keys:
        own = [it for it in values(received) if it.startswith(f"{key}:")]
        assert own == [f"{key}:0", f"{key}:0'"]
