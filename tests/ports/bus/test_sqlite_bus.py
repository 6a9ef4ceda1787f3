"""What only the embedded bus promises: leases, fencing, several processes on one file, trimming."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kit.bus.port import Message, Received, Subscription, TopicSpec
from kit.bus.sqlite import SqliteBus
from kit.bus.sqlite_group import GroupFile
from kit.bus.sqlite_subscription import share_out
from kit.sqlite.watch import LOOK_SECONDS
from tests.ports.bus.brokers import by_key, complete, numbered, take, values

TOPIC = "tests.v1"
KEYS = [f"M{n}" for n in range(12)]
LEASE_SECONDS = 0.4


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[SqliteBus]:
    bus = SqliteBus(tmp_path, LEASE_SECONDS)
    await bus.prepare([TopicSpec(TOPIC, 8)])
    yield bus
    await bus.close()


class Other:
    """A second process; see ``other_process``."""

    def __init__(self, directory: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.ports.bus.other_process", directory, str(LEASE_SECONDS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def order(self, *words: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()

    async def answer(self) -> list[str]:
        assert self._process.stdout is not None
        return (await asyncio.to_thread(self._process.stdout.readline)).split()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


async def test_a_killed_consumer_is_taken_over_when_its_lease_has_run_out(
    bus: SqliteBus, tmp_path: Path
) -> None:
    await bus.publish(numbered(TOPIC, KEYS, 3))
    other = Other(tmp_path)
    try:
        other.order("poll", TOPIC, "g", 100)
        assert len(await other.answer()) == 36
        other.signal(signal.SIGKILL)
        start = time.monotonic()
        received = await take(bus.subscribe([TOPIC], "g"), 36)
        assert by_key(received) == complete(KEYS, 3)
        assert time.monotonic() - start < LEASE_SECONDS + 1.5
    finally:
        other.end()


async def test_a_consumer_that_slept_through_its_lease_cannot_commit(
    bus: SqliteBus, tmp_path: Path
) -> None:
    await bus.publish(numbered(TOPIC, KEYS, 3))
    other = Other(tmp_path)
    try:
        other.order("poll", TOPIC, "g", 100)
        assert len(await other.answer()) == 36
        other.signal(signal.SIGSTOP)
        mine = bus.subscribe([TOPIC], "g")
        assert len(await take(mine, 36)) == 36
        other.order("commit")
        other.signal(signal.SIGCONT)
        assert await other.answer() == ["committed"]
        assert await bus.lag([TOPIC], "g") == 36
        await mine.commit()
        assert await bus.lag([TOPIC], "g") == 0
    finally:
        other.end()


async def test_two_processes_publish_to_one_topic_in_order_and_without_gaps(
    bus: SqliteBus, tmp_path: Path
) -> None:
    others = [Other(tmp_path), Other(tmp_path)]
    try:
        for key, other in zip(("M1", "M2"), others, strict=True):
            other.order("publish", TOPIC, key, 100)
        for other in others:
            assert await other.answer() == ["published"]
    finally:
        for other in others:
            other.end()
    received = await take(bus.subscribe([TOPIC], "g"), 200)
    assert by_key(received) == complete(["M1", "M2"], 100)
    offsets: dict[int, list[int]] = {}
    for it in received:
        offsets.setdefault(it.partition, []).append(it.offset)
    assert all(found == list(range(len(found))) for found in offsets.values())


async def test_a_poll_hears_of_another_process_within_milliseconds(
    bus: SqliteBus, tmp_path: Path
) -> None:
    other = Other(tmp_path)
    try:
        other.order("publish", TOPIC, "M1", 1)
        await other.answer()
        subscription = bus.subscribe([TOPIC], "g")
        await take(subscription, 1)
        waiting = asyncio.create_task(subscription.poll(10, 5.0))
        await asyncio.sleep(0.05)
        other.order("publish", TOPIC, "M1", 1)
        await other.answer()
        heard = time.monotonic()
        assert values(await waiting) == ["M1:0"]
        assert time.monotonic() - heard < 0.25
    finally:
        other.end()


async def test_a_poll_is_woken_by_the_bell_of_the_topic(bus: SqliteBus, tmp_path: Path) -> None:
    there, took = SqliteBus(tmp_path, LEASE_SECONDS), []
    subscription = bus.subscribe([TOPIC], "g")
    await subscription.poll(10, 0)
    for publisher in (bus, there) * 4:
        waiting = asyncio.create_task(subscription.poll(10, 5.0))
        await asyncio.sleep(0.01)
        await publisher.publish(numbered(TOPIC, ["M1"], 1))
        start = time.monotonic()
        assert values(await waiting) == ["M1:0"]
        took.append(time.monotonic() - start)
    await there.close()
    assert min(took[0::2]) < LOOK_SECONDS / 4
    assert min(took[1::2]) < LOOK_SECONDS / 4


async def test_messages_in_hand_when_another_joins_are_not_handed_out_twice(
    bus: SqliteBus,
) -> None:
    await bus.publish(numbered(TOPIC, KEYS, 10))
    one = bus.subscribe([TOPIC], "g")
    in_hand = await take(one, 120)
    two = bus.subscribe([TOPIC], "g")
    joining = asyncio.create_task(_take_for(two, 0.4))
    for _ in range(5):
        in_hand += await one.poll(100, 0.02)
    await one.commit()
    await bus.publish([Message(TOPIC, key, f"{key}:10".encode()) for key in KEYS])
    in_hand += await _take_for(one, 0.3)
    theirs = await joining
    assert by_key(in_hand + theirs) == complete(KEYS, 11)
    assert {it.value for it in theirs} == {f"{it.key}:10".encode() for it in theirs}
    assert theirs


async def _take_for(subscription: Subscription, seconds: float) -> list[Received]:
    received: list[Received] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        received += await subscription.poll(100, 0.05)
    return received


async def test_three_consumers_share_eight_partitions_three_three_two(bus: SqliteBus) -> None:
    members = [bus.subscribe([TOPIC], "g") for _ in range(3)]
    for _ in range(4):
        await asyncio.gather(*(it.poll(1, 0.02) for it in members))
    owned = [it.owned() for it in members]
    assert sorted(map(len, owned)) == [2, 3, 3]
    assert len(set.union(*owned)) == 8


def test_a_commit_under_an_old_epoch_changes_nothing(tmp_path: Path) -> None:
    one, two = GroupFile(tmp_path / "g.db"), GroupFile(tmp_path / "g.db")
    stale = one.sync("one", {TOPIC: 1}, [], lease_seconds=0.0)
    (taken,) = two.sync("two", {TOPIC: 1}, [], lease_seconds=60.0)
    assert (taken.epoch, taken.committed) == (stale[0].epoch + 1, 0)
    stale_commit = [type(stale[0])(TOPIC, 0, stale[0].epoch, committed=7)]
    assert not one.commit("one", stale_commit)
    assert two.committed(TOPIC) == {0: 0}
    one.close()
    two.close()


async def test_trimming_deletes_what_every_group_has_committed(bus: SqliteBus) -> None:
    await bus.publish(numbered(TOPIC, KEYS, 3))
    fast, slow = bus.subscribe([TOPIC], "fast"), bus.subscribe([TOPIC], "slow")
    await take(fast, 36)
    await fast.commit()
    assert await bus.trim(TOPIC) == 36, "no other group is known yet"
    await bus.publish([Message(TOPIC, key, f"{key}:3".encode()) for key in KEYS])
    await take(fast, 12)
    await fast.commit()
    await take(slow, 12)
    assert await bus.trim(TOPIC) == 0, "the slow group has not committed"
    await slow.commit()
    assert await bus.trim(TOPIC) == 12
    await bus.publish([Message(TOPIC, "M1", b"M1:4")])
    assert values(await take(bus.subscribe([TOPIC], "late"), 1)) == ["M1:4"]
    assert await bus.lag([TOPIC], "later") == 1


async def test_trimming_without_any_group_deletes_nothing(bus: SqliteBus) -> None:
    await bus.publish(numbered(TOPIC, KEYS, 1))
    assert await bus.trim(TOPIC) == 0


async def test_trimming_a_compacted_topic_keeps_the_latest_of_each_key(bus: SqliteBus) -> None:
    await bus.prepare([TopicSpec("cards.v1", 4, compacted=True)])
    await bus.publish(numbered("cards.v1", KEYS, 5))
    reader = bus.subscribe(["cards.v1"], "g")
    await take(reader, 60)
    await reader.commit()
    assert await bus.trim("cards.v1") == 48
    late = await take(bus.subscribe(["cards.v1"], "late"), 12)
    assert by_key(late) == {key: [f"{key}:4"] for key in KEYS}


def test_a_poll_is_shared_out_so_that_no_partition_starves() -> None:
    assert share_out(10, [100, 2, 100]) == [4, 2, 4]
    assert share_out(1, [5, 9, 7]) == [0, 1, 0]
    assert share_out(100, [1, 2]) == [1, 2]
    assert share_out(5, []) == []
