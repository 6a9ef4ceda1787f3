"""Messages on a topic that no worker can handle: put aside for the operator; the line goes on."""

import httpx
import msgspec
import pytest

from contracts.envelope import Fact, encode_fact
from contracts.topics import ACTIVITIES, CARDS, MEMBER_FACTS, REWARDS, Topic
from kit.bus.dead_letters import DeadLetter, peek, redrive
from kit.bus.port import Message
from tests.journeys.bodies import accepted, enrol, purchase
from tests.journeys.reading import balances, standing
from tests.journeys.running import Running, until

pytestmark = pytest.mark.asyncio(loop_scope="package")
READERS = [
    (ACTIVITIES, "members"),
    (ACTIVITIES, "events"),
    (MEMBER_FACTS, "members"),
    (CARDS, "events"),
    (REWARDS, "points"),
]
NOISE = b"\x00\xffthis is no fact"


async def letters(platform: Running, topic: Topic, group: str, key: str) -> list[DeadLetter]:
    """What this group has put aside of a member."""
    return [each for each in await peek(platform.bus, topic.name, group, 5) if each.key == key]


@pytest.mark.parametrize(("topic", "group"), READERS, ids=lambda each: getattr(each, "name", each))
async def test_noise_is_put_aside_and_the_members_own_facts_go_on(
    platform: Running, till: httpx.AsyncClient, member: str, topic: Topic, group: str
) -> None:
    await enrol(till, member)
    await platform.bus.publish([Message(topic.name, member, NOISE)])
    await accepted(till, purchase(member, "1", "2025-02-01T12:00:00Z", 1_000))
    await platform.settled()

    [letter] = await letters(platform, topic, group, member)
    assert (letter.value, letter.reason) == (NOISE, "malformed")
    assert "not an envelope" in letter.error
    assert await balances(platform, member) == {"base": 10, "tier": 10}
    assert (await standing(platform, member))[1] == "acceptance"
    await platform.verified()

    # Sent back unmended, it is put aside again, and nothing else happens.
    assert await redrive(platform.bus, topic.name, group, 5) >= 1
    await platform.settled()
    assert len(await letters(platform, topic, group, member)) == 1
    assert await balances(platform, member) == {"base": 10, "tier": 10}


@pytest.mark.parametrize(("topic", "group"), READERS, ids=lambda each: getattr(each, "name", each))
async def test_a_fact_that_cannot_be_handled_halts_its_member_and_nobody_else(
    platform: Running,
    till: httpx.AsyncClient,
    member: str,
    twin: str,
    topic: Topic,
    group: str,
) -> None:
    known = topic.carries[0].__name__
    kind = topic.stream_kinds[0]
    stranger = Fact(f"{kind}:{member}", 1, "k", known, 0, 0, msgspec.Raw(b'{"nonsense": 1}'))
    await enrol(till, twin)
    await platform.bus.publish([Message(topic.name, member, encode_fact(stranger))])
    await accepted(till, purchase(twin, "1", "2025-02-01T12:00:00Z", 1_000))
    await platform.settled()

    [letter] = await letters(platform, topic, group, member)
    assert letter.reason == "failed"
    assert letter.error
    assert await balances(platform, twin) == {"base": 10, "tier": 10}
    await platform.verified()


async def test_facts_of_a_kind_that_is_not_known_yet_are_passed_over(
    platform: Running, till: httpx.AsyncClient, member: str
) -> None:
    await enrol(till, member)
    fact = Fact(f"activity:{member}", 1, "k", "PigeonSent", 0, 0, msgspec.Raw(b"{}"))
    for topic in (MEMBER_FACTS, CARDS, REWARDS):
        await platform.bus.publish([Message(topic.name, member, encode_fact(fact))])
    await accepted(till, purchase(member, "1", "2025-02-01T12:00:00Z", 1_000))
    await platform.settled()
    for topic, group in READERS:
        assert await letters(platform, topic, group, member) == []
    await until(lambda: balances(platform, member))
    assert await balances(platform, member) == {"base": 10, "tier": 10}
