"""Dead letters at the command line: listed, sent back, given up; a mistake changes nothing."""

import asyncio
import re
from collections.abc import Awaitable, Callable

import pytest

from kit.bus.dead_letters import dead_letter
from kit.bus.port import Bus, Received, TopicSpec
from kit.bus.sqlite import SqliteBus
from tests.mooring.command import Command, squeezed

TOPIC = "events.rewards.v1"
PARTITIONS = 8


def with_bus(mooring: Command, work: Callable[[Bus], Awaitable[None]]) -> None:
    """Do something on the command's bus."""

    async def run() -> None:
        bus = SqliteBus(mooring.data / "bus")
        await bus.prepare([TopicSpec(TOPIC, PARTITIONS), TopicSpec(f"{TOPIC}.dead", PARTITIONS)])
        await work(bus)
        await bus.close()

    asyncio.run(run())


@pytest.fixture
def letters(mooring: Command) -> Command:
    """The command, with two letters of the points group and one of another."""

    async def put_aside(bus: Bus) -> None:
        for offset, key, group, reason, error in (
            (17, "M1", "points", "failed", "KeyError: 'nonsense' [in brackets]"),
            (18, "M1", "points", "halted", "KeyError: 'nonsense'"),
            (17, "M1", "members", "malformed", "not an envelope: ?"),
        ):
            received = Received(TOPIC, 3, offset, key, b"{}", 0)
            await bus.publish([dead_letter(received, group, reason, error)])  # type: ignore[arg-type]

    with_bus(mooring, put_aside)
    return mooring


def listed(mooring: Command, *options: str) -> list[str]:
    """What a listing prints."""
    done = mooring("dead-letters", "points", TOPIC, *options)
    assert (done.code, done.err) == (0, "")
    return done.out.splitlines()


WAITING = [
    "3:17 failed M1: KeyError: 'nonsense' [in brackets]",
    "3:18 halted M1: KeyError: 'nonsense'",
    f"2 dead letters of points on {TOPIC}",
]


def test_a_letter_is_listed_by_partition_and_first_offset(letters: Command) -> None:
    assert listed(letters) == WAITING


def test_what_is_dropped_is_listed_apart_and_the_rest_is_sent_back(letters: Command) -> None:
    why = ("--reason", "the till sent nonsense [see T-1]")
    done = letters("dead-letters", "points", TOPIC, "--drop", "3:17", *why, "--by", "Ada")
    assert (done.code, done.out) == (0, "1 dropped\n")
    assert listed(letters) == [WAITING[1], f"1 dead letters of points on {TOPIC}"]
    first, last = listed(letters, "--dropped")
    assert re.fullmatch(
        r"3:17 M1 at 20\S+\+00:00 by Ada: the till sent nonsense \[see T-1\]", first
    )
    assert last == f"1 dropped of points on {TOPIC}"
    assert listed(letters, "--redrive") == ["1 sent back"]
    assert listed(letters)[-1] == f"0 dead letters of points on {TOPIC}"
    assert listed(letters, "--dropped") == [first, last]


def test_several_are_dropped_at_once_and_again_is_said_to_be_again(letters: Command) -> None:
    both = ("--drop", "3:17", "--drop", "3:18", "--reason", "nonsense")
    assert letters("dead-letters", "points", TOPIC, "--drop", "3:18", "--reason", "x").code == 0
    assert letters("dead-letters", "points", TOPIC, *both).out == "1 dropped, 1 had been before\n"
    assert letters("dead-letters", "points", TOPIC, *both).out == "0 dropped, 2 had been before\n"
    assert listed(letters, "--redrive") == ["0 sent back"]
    assert letters("dead-letters", "points", TOPIC, *both).out == "0 dropped, 2 had been before\n"
    assert [line[:4] for line in listed(letters, "--dropped")] == ["3:18", "3:17", "2 dr"]
    other = letters("dead-letters", "members", TOPIC)
    assert other.out.splitlines()[-1] == f"1 dead letters of members on {TOPIC}"


def test_who_drops_is_who_is_logged_in(letters: Command) -> None:
    arguments = ("dead-letters", "points", TOPIC, "--drop", "3:17", "--reason", "noise")
    assert letters(*arguments, variables={"LOGNAME": "grace"}).code == 0
    assert " by grace: noise" in listed(letters, "--dropped")[0]


DROP, REASON = ("--drop", "3:17"), ("--reason", "noise")
MISTAKES: dict[str, tuple[tuple[str, ...], int, str]] = {
    "no reason": (DROP, 2, "--drop needs a --reason"),
    "a reason for nothing": (REASON, 2, "a --reason needs a --drop"),
    "a name for nothing": (("--by", "Ada"), 2, "--by needs a --drop"),
    "with a re-drive": ((*DROP, *REASON, "--redrive"), 2, "are asked for one at a time"),
    "with a listing": ((*DROP, *REASON, "--dropped"), 2, "are asked for one at a time"),
    "no place": (("--drop", "17", *REASON), 2, "'17' is not PARTITION:OFFSET"),
    "a range": (("--drop", "3:17-18", *REASON), 2, "'3:17-18' is not PARTITION:OFFSET"),
    "an empty reason": ((*DROP, "--reason", " "), 1, "A reason is 1 to 500 characters"),
    "a long reason": ((*DROP, "--reason", "x" * 501), 1, "A reason is 1 to 500 characters"),
    "one that is not there": ((*DROP, "--drop", "3:99", *REASON), 1, "3:99 is not there"),
    "in another partition": ((*DROP, "--drop", "4:17", *REASON), 1, "4:17 is not there"),
}


@pytest.mark.parametrize(("options", "code", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_and_nothing_is_dropped(
    letters: Command, options: tuple[str, ...], code: int, words: str
) -> None:
    done = letters("dead-letters", "points", TOPIC, *options)
    assert (done.code, done.out) == (code, "")
    assert squeezed(words) in done.err
    assert listed(letters) == WAITING
    assert listed(letters, "--dropped") == [f"0 dropped of points on {TOPIC}"]


def test_a_letter_of_another_group_is_named_with_its_owner(letters: Command) -> None:
    done = letters("dead-letters", "members", TOPIC, "--drop", "3:18", *REASON)
    assert (done.code, done.out) == (1, "")
    assert squeezed(f"dead letters of members on {TOPIC}, 3:18 is of points") in done.err
    assert listed(letters) == WAITING
