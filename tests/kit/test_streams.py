"""Deciding on streams: retries, and what looks like one."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.envelope import Fact
from kit.errors import ServiceError
from kit.store import open_store
from kit.streams import Command, New, Result, Streams
from kit.views.port import Collection

PURSES = Collection("purses")
NOW = 1_700_000_000_000_000


class Moved(msgspec.Struct, frozen=True):
    """Coins that went in, or out."""

    coins: int


class PurseFold:
    """How many coins are in the purse."""

    state_type = int
    bodies: Mapping[str, type] = {"Moved": Moved}

    def initial(self, owner: str) -> int:
        return 0

    def apply(self, state: int, fact: Fact, body: Any) -> int:
        return state + int(body.coins)


Purses = Streams[int, tuple[str, int]]


@pytest.fixture
async def purses(tmp_path: Path) -> AsyncIterator[Purses]:
    """Purses, with 100 coins in that of M1."""
    store = open_store(f"sqlite:{tmp_path}", "tests", "motor")
    journal = store.journal("tests.coins")
    await journal.prepare()
    await store.views.prepare([PURSES])
    purses: Purses = Streams("purse", journal, store.views, PURSES, PurseFold(), lambda: NOW)
    assert (await move(purses, "filled", 100)).error is None
    yield purses
    await store.close()


def pay(purse: int, command: tuple[str, int]) -> list[New]:
    """Nobody pays with what they have not got."""
    key, coins = command
    if purse + coins < 0:
        raise ServiceError("refused", "too_few_coins", "There are too few coins")
    return [New(key, "Moved", NOW, Moved(coins))]


async def move(purses: Purses, key: str, coins: int) -> Result:
    """Carry out one command; what it asks for is its input."""
    command = Command("M1", key, str(coins).encode(), (key, coins))
    (result,) = await purses.execute([command], pay)
    return result


async def coins(purses: Purses) -> list[int]:
    """Every movement of M1's purse."""
    return [purses.body(fact).coins for fact in await purses.journal.read("purse:M1")]


def code(result: Result) -> str | None:
    """The code of a refusal."""
    return result.error.code if result.error else None


@pytest.mark.parametrize("paid", [-80, -20], ids=["refused", "possible"])
async def test_a_retry_gets_the_first_result_whatever_deciding_again_would_say(
    purses: Purses, paid: int
) -> None:
    first = await move(purses, "paid", paid)
    again = await move(purses, "paid", paid)
    assert (first.repeated, again.repeated) == (False, True)
    assert [fact.id for fact in again.facts] == [fact.id for fact in first.facts]
    assert await coins(purses) == [100, paid]


@pytest.mark.parametrize("other", [-90, -10], ids=["refused", "possible"])
async def test_a_key_that_comes_again_with_other_input_is_a_conflict_whatever_was_decided(
    purses: Purses, other: int
) -> None:
    await move(purses, "paid", -80)
    result = await move(purses, "paid", other)
    assert result.error is not None
    assert (result.error.kind, code(result)) == ("conflict", "idempotency_key_reused")
    assert result.error.facts["first_used_at"] == NOW
    assert result.facts == ()
    assert await coins(purses) == [100, -80]


async def test_a_refusal_of_a_new_key_stays_one_and_leaves_the_key_free(purses: Purses) -> None:
    assert code(await move(purses, "paid", -101)) == "too_few_coins"
    assert await coins(purses) == [100]
    assert code(await move(purses, "paid", -100)) is None
    assert await coins(purses) == [100, -100]


async def test_a_snapshot_that_a_crash_left_behind_is_kept_when_asked(purses: Purses) -> None:
    assert await purses.snapshot("M1") is None
    heads = await purses.keep(["M1", "M2"])
    assert {owner: (head.seq, head.state) for owner, head in heads.items()} == {
        "M1": (1, 100),
        "M2": (0, 0),
    }
    kept = await purses.snapshot("M1")
    assert kept is not None
    assert (kept.seq, kept.state) == (1, 100)
    assert await purses.snapshot("M2") is None


async def test_keeping_mends_a_snapshot_that_somebody_elses_older_one_won_over(
    purses: Purses,
) -> None:
    other: Purses = Streams("purse", purses.journal, purses.views, PURSES, PurseFold(), lambda: NOW)
    await purses.keep(["M1"])
    await other.keep(["M1"])
    await move(purses, "more", 5)
    await purses.keep(["M1"])
    await move(other, "less", -5)
    assert (await other.keep(["M1"]))["M1"].state == 100
    kept = await purses.snapshot("M1")
    assert kept is not None
    assert (kept.seq, kept.state) == (3, 100)


async def test_what_a_misused_key_would_have_done_is_not_remembered(purses: Purses) -> None:
    await move(purses, "paid", -80)
    assert code(await move(purses, "paid", -10)) == "idempotency_key_reused"
    heads = await purses.heads(["M1"], fresh=True)
    assert (heads["M1"].seq, heads["M1"].state) == (2, 20)


def pay_after_interest(purse: int, command: tuple[str, int]) -> list[New]:
    """Whoever comes first adds the interest, once; then they pay."""
    key, coins = command
    interest = [New("interest", "Moved", NOW, Moved(1))] if purse == 100 else []
    return [*interest, New(key, "Moved", NOW, Moved(coins))]


async def test_a_race_for_what_either_brings_is_no_misuse_of_a_key(
    purses: Purses, tmp_path: Path
) -> None:
    store = open_store(f"sqlite:{tmp_path}", "tests", "motor")
    other: Purses = Streams(
        "purse", store.journal("tests.coins"), store.views, PURSES, PurseFold(), lambda: NOW
    )
    await other.heads(["M1"])
    first, second = (Command("M1", key, key.encode(), (key, -10)) for key in ("first", "second"))
    await purses.execute([first], pay_after_interest)
    (result,) = await other.execute([second], pay_after_interest)
    await store.close()
    assert result.error is None
    assert await coins(purses) == [100, 1, -10, -10]


class CountingViews:
    """Views that count how often documents are read."""

    def __init__(self, views: Any) -> None:
        self._views, self.loads = views, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._views, name)

    async def load(self, *asked: Any) -> Any:
        self.loads += 1
        return await self._views.load(*asked)


async def test_a_lost_race_goes_on_from_what_is_known_and_reads_no_snapshot(
    purses: Purses,
) -> None:
    counting: Any = CountingViews(purses.views)
    slow: Purses = Streams("purse", purses.journal, counting, PURSES, PurseFold(), lambda: NOW)
    await slow.heads(["M1"])
    for turn in range(3):
        await move(purses, f"ours-{turn}", 10)
        assert (await move(slow, f"theirs-{turn}", -20)).error is None
    assert await coins(purses) == [100, 10, -20, 10, -20, 10, -20]
    assert (await slow.heads(["M1"]))["M1"].state == 70
    assert counting.loads == 1


def empty(purse: int, command: tuple[str, int]) -> list[New]:
    """Take out what is there; there is nothing to write of an empty purse."""
    return [New(command[0], "Moved", NOW, Moved(-purse))] if purse else []


async def test_nothing_to_do_is_said_of_what_there_is_and_not_of_what_was_remembered(
    purses: Purses,
) -> None:
    await move(purses, "paid", -100)
    other: Purses = Streams("purse", purses.journal, purses.views, PURSES, PurseFold(), lambda: NOW)
    await move(other, "filled again", 30)
    (result,) = await purses.execute([Command("M1", "emptied", b"", ("emptied", 0))], empty)
    assert [fact.key for fact in result.facts] == ["emptied"]
    assert await coins(purses) == [100, -100, 30, -30]
    (again,) = await purses.execute([Command("M1", "once more", b"", ("once more", 0))], empty)
    assert (again.facts, again.error) == ((), None)


async def test_what_is_decided_together_is_posted_at_one_time_but_never_before_what_is_there(
    purses: Purses,
) -> None:
    ticks = iter(range(NOW - 5, NOW + 5))
    late: Purses = Streams(
        "purse", purses.journal, purses.views, PURSES, PurseFold(), lambda: next(ticks)
    )
    found = [Command(owner, "found", b"", ("found", 5)) for owner in ("M1", "M2", "M3")]
    results = await late.execute(found, pay)
    assert [fact.posted_at for result in results for fact in result.facts] == [
        NOW,
        NOW - 5,
        NOW - 5,
    ]
