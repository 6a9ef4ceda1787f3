"""The last fact of a stream at a past moment: what a state as of then is folded from."""

import pytest
from msgspec.structs import replace

from kit.journal.port import Draft, Journal
from tests.ports.stores import draft

STREAM = "a:1"


def posted(seq: int, posted_at: int, stream: str = STREAM) -> Draft:
    """A draft that was posted at this moment."""
    return replace(draft(stream, seq), posted_at=posted_at)


async def seq_at(journal: Journal, posted_at: int, stream: str = STREAM) -> int | None:
    """The seq of the last fact at that moment; None when there is none."""
    fact = await journal.last_before(stream, posted_at)
    return None if fact is None else fact.seq


async def test_an_empty_stream_has_no_fact_at_any_moment(journal: Journal) -> None:
    await journal.append([posted(1, 10, "a:10"), posted(1, 10, "a")])
    assert await journal.last_before(STREAM, 0) is None
    assert await journal.last_before(STREAM, 1 << 60) is None


async def test_the_only_fact_is_there_from_its_moment_on(journal: Journal) -> None:
    await journal.append([posted(1, 10)])
    assert [await seq_at(journal, at) for at in (9, 10, 11)] == [None, 1, 1]


async def test_the_fact_comes_back_whole(journal: Journal) -> None:
    await journal.append([posted(1, 10), posted(2, 20), posted(3, 30)])
    for at, seq in ((10, 1), (25, 2), (30, 3)):
        assert await journal.last_before(STREAM, at) == (await journal.read(STREAM))[seq - 1]


async def test_of_facts_with_equal_stamps_it_is_the_last_one(journal: Journal) -> None:
    stamps = (10, 10, 20, 20, 20, 30, 40, 40)
    await journal.append([posted(seq, at) for seq, at in enumerate(stamps, 1)])
    moments = (9, 10, 11, 19, 20, 21, 29, 30, 39, 40, 41)
    expected = [None, 2, 2, 2, 5, 5, 5, 6, 6, 8, 8]
    assert [await seq_at(journal, at) for at in moments] == expected


async def test_neighbouring_streams_are_left_alone(journal: Journal) -> None:
    await journal.append([posted(1, 10), *(posted(n, 1, "a:10") for n in (1, 2, 3))])
    await journal.append([posted(1, 1, "a:0"), posted(1, 1, "a:2")])
    assert [await seq_at(journal, at) for at in (1, 10)] == [None, 1]


@pytest.mark.parametrize("length", [2, 72, 73, 74, 75, 200])
async def test_every_boundary_of_a_stream_is_met(journal: Journal, length: int) -> None:
    await journal.append([posted(seq, 10 * seq) for seq in range(1, length + 1)])
    for seq in (*range(1, min(length, 8)), length // 2, length - 1, length):
        found = [await seq_at(journal, 10 * seq + step) for step in (-1, 0, 1)]
        assert found == [seq - 1 or None, seq, seq]


async def test_a_long_stream_is_searched_to_its_ends(journal: Journal) -> None:
    """Runs of 7 equal stamps, longer than the distance of the last round's probes."""
    await journal.append([posted(seq, (seq - 1) // 7) for seq in range(1, 5_001)])
    for at in (0, 1, 2, 357, 712, 713):
        assert await seq_at(journal, at) == 7 * (at + 1)
    assert await seq_at(journal, 714) == 5_000
    assert await seq_at(journal, -1) is None
