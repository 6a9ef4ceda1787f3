"""Messages that can never be handled: the operator gives them up, and their member goes on."""

import httpx
import msgspec
import pytest

from contracts.envelope import Fact, encode_fact
from contracts.topics import ACTIVITIES, CARDS, MEMBER_FACTS, REWARDS, Topic
from kit.bus.dead_letters import DeadLetter, peek, redrive
from kit.bus.dropping import Drop, drop, given_up
from kit.bus.halts import Halts
from kit.bus.port import Message
from mooring.settle import GROUPS
from services.events.rebuild import cards_of_topic
from tests.journeys.bodies import accepted, enrol, purchase
from tests.journeys.reading import balances, standing
from tests.journeys.running import Running

pytestmark = pytest.mark.asyncio(loop_scope="package")
TOPICS = pytest.mark.parametrize(
    "topic", [ACTIVITIES, MEMBER_FACTS, CARDS, REWARDS], ids=lambda each: each.name
)
WHY = "a stranger's, not in any journal"
DAY = "2025-02-01T12:00:00Z"


def poison(topic: Topic, member: str, seq: int = 1) -> Message:
    """An envelope that every reader of the topic fails on."""
    known, kind = topic.carries[0].__name__, topic.stream_kinds[0]
    fact = Fact(f"{kind}:{member}", seq, f"k{seq}", known, 0, 0, msgspec.Raw(b'{"nonsense": 1}'))
    return Message(topic.name, member, encode_fact(fact))


async def letters(platform: Running, topic: str, group: str, member: str) -> list[DeadLetter]:
    """What this group has put aside of the member."""
    return [each for each in await peek(platform.bus, topic, group) if each.key == member]


async def halted_by(platform: Running, member: str) -> set[str]:
    """The groups that have halted the member."""
    services = platform.services
    stores = (services.members.store, services.events.store, services.points.store)
    return {
        group
        for group in GROUPS
        for store in stores
        if member in await Halts(store.views, group).load()
    }


async def give_up(platform: Running, topic: Topic, member: str, values: set[bytes]) -> int:
    """Drop these messages of the member, whichever group put them aside; return how many."""
    count = 0
    for group, topics in GROUPS.items():
        if topic.name in topics:
            found = await letters(platform, topic.name, group, member)
            places = [each.place for each in found if each.value in values]
            if places:
                count += await drop(platform.bus, Drop(topic.name, group, places, WHY, "ops"))
    return count


async def all_sent_back(platform: Running) -> None:
    """Re-drive every topic of every group, as often as a member that is halted by two needs it."""
    for _ in range(2):
        for group, topics in GROUPS.items():
            for topic in topics:
                await redrive(platform.bus, topic, group)
        await platform.settled()


@TOPICS
async def test_without_the_poisoned_message_all_later_ones_of_the_member_are_handled(
    platform: Running, till: httpx.AsyncClient, member: str, topic: Topic
) -> None:
    message = poison(topic, member)
    await platform.bus.publish([message])
    await platform.settled()
    assert await halted_by(platform, member) != set()
    await enrol(till, member)
    await accepted(till, purchase(member, "1", DAY, 1_000))
    await platform.settled()
    assert await balances(platform, member) == {}

    assert await give_up(platform, topic, member, {message.value}) > 0
    await all_sent_back(platform)
    assert await halted_by(platform, member) == set()
    await accepted(till, purchase(member, "2", "2025-02-02T12:00:00Z", 500))
    await platform.settled()
    assert await balances(platform, member) == {"base": 15, "tier": 15}
    assert (await standing(platform, member))[1] == "satisfaction"
    for group, topics in GROUPS.items():
        for name in topics:
            assert await letters(platform, name, group, member) == []
    await platform.verified()


@TOPICS
async def test_when_all_that_waited_was_poisoned_the_member_goes_on_by_itself(
    platform: Running, till: httpx.AsyncClient, member: str, topic: Topic
) -> None:
    messages = [poison(topic, member), poison(topic, member, 2)]
    await platform.bus.publish(messages)
    await platform.settled()
    halted = await halted_by(platform, member)
    assert halted != set()

    dropped = await give_up(platform, topic, member, {each.value for each in messages})
    assert dropped == 2 * len(halted)
    await platform.settled()
    assert await halted_by(platform, member) == set()
    await enrol(till, member)
    await accepted(till, purchase(member, "1", DAY, 1_000))
    await platform.settled()
    assert await balances(platform, member) == {"base": 10, "tier": 10}
    for group in halted:
        trace = await given_up(platform.bus, topic.name, group)
        assert [each.reason for each in trace if each.key == member] == [WHY, WHY]
    await platform.verified()


async def test_the_cards_are_read_past_noise_and_past_what_was_dropped(
    platform: Running, till: httpx.AsyncClient, member: str, twin: str
) -> None:
    noise = Message(CARDS.name, member, b"\x00\xffthis is no fact")
    await platform.bus.publish([noise, poison(CARDS, twin)])
    await platform.settled()
    assert await give_up(platform, CARDS, member, {noise.value}) == 2
    await enrol(till, member)
    await accepted(till, purchase(member, "1", DAY, 1_000))
    await platform.settled()
    owners = [fact.owner async for page in cards_of_topic(platform.bus) for fact in page]
    assert member in owners
    assert twin not in owners
