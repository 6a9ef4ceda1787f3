"""The bus port on every adapter: order per key, fair groups, hand-over, fencing, redelivery."""

import asyncio
import time

import pytest

from kit.bus.partitioner import partition_of
from kit.bus.port import Bus, Message, Received, TopicSpec
from kit.errors import ServiceError, Unavailable
from tests.ports.bus.brokers import (
    PARTITIONS,
    Broker,
    by_key,
    complete,
    nothing_comes,
    numbered,
    settle_shares,
    take,
    values,
)

KEYS = [f"M{n}" for n in range(12)]


async def test_messages_of_a_key_come_in_the_order_published(broker: Broker, bus: Bus) -> None:
    for number in range(0, 50, 10):
        batch = [
            Message(broker.topic, k, f"{k}:{n}".encode())
            for n in range(number, number + 10)
            for k in KEYS
        ]
        await bus.publish(batch)
    received = await take(bus.subscribe([broker.topic], broker.group), 50 * len(KEYS))
    assert by_key(received) == complete(KEYS, 50)


async def test_a_key_is_on_the_partition_that_kafka_gives_it(broker: Broker, bus: Bus) -> None:
    await bus.publish(numbered(broker.topic, KEYS, 1))
    received = await take(bus.subscribe([broker.topic], broker.group), len(KEYS))
    assert {it.key: it.partition for it in received} == {
        key: partition_of(key, PARTITIONS) for key in KEYS
    }


async def test_a_message_arrives_as_it_was_sent(broker: Broker, bus: Bus) -> None:
    before = time.time_ns() // 1000
    await bus.publish([Message(broker.topic, "Ü1", b"\x00\xff", {"type": b"T", "trace": b"\x01"})])
    (received,) = await take(bus.subscribe([broker.topic], broker.group), 1)
    assert (received.topic, received.key, received.value) == (broker.topic, "Ü1", b"\x00\xff")
    assert dict(received.headers) == {"type": b"T", "trace": b"\x01"}
    assert received.offset == 0
    assert before - 1000 <= received.timestamp <= time.time_ns() // 1000 + 1000


async def test_offsets_of_a_partition_have_no_gaps(broker: Broker, bus: Bus) -> None:
    await bus.publish(numbered(broker.topic, KEYS, 5))
    await bus.publish(numbered(broker.topic, KEYS, 5))
    offsets: dict[int, list[int]] = {}
    for it in await take(bus.subscribe([broker.topic], broker.group), 120):
        offsets.setdefault(it.partition, []).append(it.offset)
    assert all(found == list(range(len(found))) for found in offsets.values())


async def test_a_poll_returns_no_more_than_asked_and_goes_on_behind_it(
    broker: Broker, bus: Bus
) -> None:
    await bus.publish(numbered(broker.topic, ["M1"], 10))
    subscription = bus.subscribe([broker.topic], broker.group)
    polled: list[list[str]] = []
    while sum(map(len, polled)) < 10:
        polled.append(values(await subscription.poll(4, 5.0)))
    assert max(map(len, polled)) == 4
    assert [value for batch in polled for value in batch] == [f"M1:{n}" for n in range(10)]


async def test_uncommitted_messages_come_again_and_committed_ones_do_not(
    broker: Broker, bus: Bus
) -> None:
    await bus.publish(numbered(broker.topic, KEYS, 2))
    first = bus.subscribe([broker.topic], broker.group)
    await take(first, 24)
    await first.commit()
    await bus.publish([Message(broker.topic, key, b"later") for key in KEYS])
    await take(first, 12)
    await first.close()
    second = broker.open().subscribe([broker.topic], broker.group)
    assert values(await take(second, 12)) == ["later"] * 12
    assert await nothing_comes(broker, second)


async def test_rewinding_returns_what_was_not_committed(broker: Broker, bus: Bus) -> None:
    await bus.publish(numbered(broker.topic, KEYS, 4))
    subscription = bus.subscribe([broker.topic], broker.group)
    done = await take(subscription, 48)
    await subscription.commit()
    await bus.publish([Message(broker.topic, key, f"{key}:4".encode()) for key in KEYS])
    once = await take(subscription, 12)
    await subscription.rewind()
    again = await take(subscription, 12)
    assert by_key(done) == complete(KEYS, 4)
    assert by_key(once) == by_key(again) == {key: [f"{key}:4"] for key in KEYS}
    await subscription.commit()
    await subscription.rewind()
    assert await nothing_comes(broker, subscription)


async def test_groups_do_not_disturb_each_other(broker: Broker, bus: Bus) -> None:
    await bus.publish(numbered(broker.topic, KEYS, 1))
    for group in (broker.group, broker.group + "-b"):
        subscription = bus.subscribe([broker.topic], group)
        assert by_key(await take(subscription, 12)) == complete(KEYS, 1)
        await subscription.commit()


async def test_two_consumers_share_a_topic_evenly_and_hand_over_without_loss_or_doubles(
    broker: Broker, bus: Bus
) -> None:
    await bus.publish(numbered(broker.topic, KEYS, 20))
    one = bus.subscribe([broker.topic], broker.group)
    received = await take(one, 240)
    await one.commit()
    two = broker.open().subscribe([broker.topic], broker.group)
    await settle_shares([one, two])
    assert len(one.owned()) == len(two.owned()) == PARTITIONS // 2  # type: ignore[attr-defined]
    await bus.publish(
        [Message(broker.topic, key, f"{key}:{n}".encode()) for n in range(20, 40) for key in KEYS]
    )
    both: list[list[str]] = [[], []]
    for _ in range(60):
        polled = await asyncio.gather(one.poll(7, 0.2), two.poll(7, 0.2))
        for seen, batch in zip(both, polled, strict=True):
            seen += {it.key for it in batch}
            received += batch
        await asyncio.gather(one.commit(), two.commit())
        if len(received) >= 480:
            break
    await one.close()
    assert by_key(received) == complete(KEYS, 40)
    assert not set(both[0]) & set(both[1]), "each key is handled by one consumer"
    await bus.publish([Message(broker.topic, key, b"after") for key in KEYS])
    assert values(await take(two, 12)) == ["after"] * 12


async def test_the_lag_counts_what_the_group_has_not_committed(broker: Broker, bus: Bus) -> None:
    assert await bus.lag([broker.topic], broker.group) == 0
    await bus.publish(numbered(broker.topic, KEYS, 3))
    assert await bus.lag([broker.topic], broker.group) == 36
    subscription = bus.subscribe([broker.topic], broker.group)
    await take(subscription, 36)
    assert (await bus.lag([broker.topic], broker.group), await subscription.lag()) == (36, 36)
    await subscription.commit()
    async with asyncio.timeout(5):  # a broker may take a commit some milliseconds later
        while await subscription.lag():
            await asyncio.sleep(0.01)
    assert await bus.lag([broker.topic], broker.group) == 0


async def test_preparing_again_is_harmless_and_other_partitions_are_refused(
    broker: Broker, bus: Bus
) -> None:
    await bus.publish(numbered(broker.topic, KEYS, 1))
    await bus.prepare([TopicSpec(broker.topic, PARTITIONS)])
    with pytest.raises(ServiceError) as caught:
        await bus.prepare([TopicSpec(broker.topic, PARTITIONS + 1)])
    assert caught.value.code == "topic_partitions_differ"
    assert caught.value.facts == {"topic": broker.topic, "wanted": 5, "found": 4}
    received = await take(bus.subscribe([broker.topic], broker.group), 12)
    assert by_key(received) == complete(KEYS, 1)


async def test_a_waiting_poll_returns_when_another_process_publishes(
    broker: Broker, bus: Bus
) -> None:
    subscription = bus.subscribe([broker.topic], broker.group)
    waiting = asyncio.create_task(subscription.poll(10, 15.0))
    await asyncio.sleep(broker.patience)
    await broker.open().publish([Message(broker.topic, "M1", b"now")])
    assert values(await asyncio.wait_for(waiting, 15.0)) == ["now"]


async def test_an_empty_publish_does_nothing(broker: Broker, bus: Bus) -> None:
    await bus.publish([])
    assert await bus.lag([broker.topic], broker.group) == 0


async def test_polls_shorter_than_a_join_still_end_with_partitions(
    broker: Broker, bus: Bus
) -> None:
    await bus.publish(numbered(broker.topic, KEYS, 1))
    subscription = bus.subscribe([broker.topic], broker.group)
    received: list[Received] = []
    deadline = time.monotonic() + 20
    while len(received) < len(KEYS) and time.monotonic() < deadline:
        received += await subscription.poll(100, 0.002)
    assert by_key(received) == complete(KEYS, 1)


async def test_a_topic_that_is_not_there_yet_is_an_outage(broker: Broker, bus: Bus) -> None:
    subscription = bus.subscribe([broker.topic + "-later"], broker.group)
    with pytest.raises(Unavailable, match=r"topic .*-later cannot be reached"):
        await subscription.poll(1, 0.1)
    await bus.prepare([TopicSpec(broker.topic + "-later", 2)])
    await bus.publish([Message(broker.topic + "-later", "M1", b"here")])
    assert values(await take(subscription, 1)) == ["here"]
