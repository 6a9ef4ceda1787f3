"""Whatever writers do, in whatever order it lands: no gap, one fact for a key, true answers."""

import asyncio
from dataclasses import dataclass
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.envelope import Fact
from kit.journal.port import Appended, Draft, Journal
from tests.ports.stores import Stores, draft

STREAMS = ("s0", "s1", "s2")
_examples = count()


@dataclass(frozen=True)
class Line:
    """Drafts one writer puts in a batch for one stream: how far its head is off, and the keys."""

    stream: str
    stale: int
    keys: tuple[int, ...]


lines = st.builds(
    Line,
    st.sampled_from(STREAMS),
    st.integers(0, 2),
    st.lists(st.integers(0, 9), min_size=1, max_size=7).map(tuple),
)
batches = st.lists(lines, min_size=1, max_size=3, unique_by=lambda line: line.stream)
rounds = st.lists(st.lists(batches, min_size=1, max_size=4), min_size=1, max_size=4)


async def write(journal: Journal, prefix: str, batch: list[Line]) -> list[tuple[Draft, Appended]]:
    """Append the batch on heads as read, some of them made stale on purpose."""
    drafts: list[Draft] = []
    for line in batch:
        stream = f"{prefix}:{line.stream}"
        head = max(0, await journal.head(stream) - line.stale)
        drafts += [
            draft(stream, head + step, f"k{key}", b"even" if key % 2 == 0 else str(step).encode())
            for step, key in enumerate(line.keys, 1)
        ]
    return list(zip(drafts, await journal.append(drafts), strict=True))


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(plan=rounds)
async def test_any_interleaving_of_batches_leaves_gapless_streams_and_true_answers(
    stores: Stores, plan: list[list[list[Line]]]
) -> None:
    handles = await two_handles(stores)
    prefix = f"x{next(_examples)}"
    answers: list[tuple[Draft, Appended]] = []
    for writers in plan:
        done = await asyncio.gather(
            *(write(handles[n % 2], prefix, batch) for n, batch in enumerate(writers))
        )
        answers += [answer for batch in done for answer in batch]
        for batch in done:
            check_batch(batch)
    streams = await handles[0].read_many({f"{prefix}:{s}": 0 for s in STREAMS})
    check_streams(streams)
    check_answers(streams, answers)


async def two_handles(stores: Stores) -> list[Journal]:
    """The same two for all examples of a test."""
    while len(stores.opened) < 2:
        await stores.journal()
    return [store.journal("tests.facts") for store in stores.opened[:2]]


def check_batch(answers: list[tuple[Draft, Appended]]) -> None:
    """In each stream: appended, …, appended, one refusal, not tried, …"""
    stopped: set[str] = set()
    for tried, appended in answers:
        assert (appended.outcome == "not_tried") == (tried.stream in stopped)
        if appended.outcome != "appended":
            stopped.add(tried.stream)


def check_streams(streams: dict[str, list[Fact]]) -> None:
    for facts in streams.values():
        assert [fact.seq for fact in facts] == list(range(1, len(facts) + 1))
        assert len({fact.key for fact in facts}) == len(facts)


def check_answers(streams: dict[str, list[Fact]], answers: list[tuple[Draft, Appended]]) -> None:
    """Each answer is what the journal now says; each fact was answered ``appended`` once."""
    appended: set[tuple[str, int]] = set()
    for tried, answer in answers:
        there = {fact.key: fact for fact in streams[tried.stream]}
        if answer.outcome == "appended":
            assert there[tried.key].seq == tried.seq
            assert (tried.stream, tried.seq) not in appended
            appended.add((tried.stream, tried.seq))
        if answer.outcome in ("duplicate", "key_conflict"):
            assert answer.existing == there[tried.key]
        if answer.outcome == "seq_conflict":
            assert len(there) >= tried.seq
    assert len(appended) == sum(map(len, streams.values()))
