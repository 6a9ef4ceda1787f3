"""The two unique constraints: one winner for each seq, one fact for each key."""

import asyncio
from collections import Counter

from kit.journal.port import Appended, Draft, Journal
from tests.ports.stores import Stores, draft, gapless, outcomes, places, run, whole


async def test_a_retry_finds_the_first_result(journal: Journal) -> None:
    await journal.append([draft("a:1", 1), draft("a:1", 2, "order-7", body='{"n": 7}')])
    (again,) = await journal.append([draft("a:1", 2, "order-7", body='{"n": 7}')])
    (later,) = await journal.append([draft("a:1", 3, "order-7", body='{"n": 7}')])
    (first,) = await journal.read("a:1", after=1)
    assert (again.outcome, again.existing) == ("duplicate", first)
    assert (later.outcome, later.existing) == ("duplicate", first)
    assert await journal.head("a:1") == 2


async def test_the_same_key_with_another_input_is_a_key_conflict(journal: Journal) -> None:
    await journal.append([draft("a:1", 1, "order-7", b"input")])
    for seq in (1, 2):
        (refused,) = await journal.append([draft("a:1", seq, "order-7", b"other input")])
        assert refused.outcome == "key_conflict"
        assert refused.existing is not None
        assert refused.existing.seq == 1
    assert await journal.head("a:1") == 1


async def test_the_same_key_in_another_stream_is_another_key(journal: Journal) -> None:
    batch = [draft("a:1", 1, "order-7"), draft("a:2", 1, "order-7")]
    assert outcomes(await journal.append(batch)) == ["appended", "appended"]


async def test_a_taken_seq_is_a_seq_conflict(journal: Journal) -> None:
    await journal.append([draft("a:1", 1, "mine")])
    (lost,) = await journal.append([draft("a:1", 1, "yours")])
    assert (lost.outcome, lost.existing) == ("seq_conflict", None)
    assert [f.key for f in await journal.read("a:1")] == ["mine"]


async def test_what_follows_a_draft_that_did_not_land_is_not_tried(journal: Journal) -> None:
    await journal.append(run("a:1", 1, 2))
    batch = [
        draft("a:2", 1),
        draft("a:1", 2, "late"),
        draft("a:2", 2),
        draft("a:1", 3, "later"),
        draft("a:1", 4, "last"),
        draft("a:3", 1),
    ]
    assert outcomes(await journal.append(batch)) == [
        "appended",
        "seq_conflict",
        "appended",
        "not_tried",
        "not_tried",
        "appended",
    ]
    assert await whole(journal) == {"a:1": [1, 2], "a:2": [1, 2], "a:3": [1]}


async def test_a_key_twice_in_one_batch_lands_once(journal: Journal) -> None:
    batch = [draft("a:1", 1, "k"), draft("a:1", 2, "k"), draft("a:1", 3), draft("a:2", 1)]
    appended = await journal.append(batch)
    assert outcomes(appended) == ["appended", "duplicate", "not_tried", "appended"]
    assert appended[1].existing is not None
    assert appended[1].existing.seq == 1
    assert await whole(journal) == {"a:1": [1], "a:2": [1]}


async def test_a_batch_that_was_appended_before_is_duplicates_throughout(journal: Journal) -> None:
    batch = [draft(f"a:{n}", 1) for n in range(50)]
    await journal.append(batch)
    again = await journal.append(batch)
    assert outcomes(again) == ["duplicate"] * 50
    assert [a.existing.stream for a in again if a.existing] == [d.stream for d in batch]


async def test_of_two_writers_on_one_stream_each_seq_goes_to_one(stores: Stores) -> None:
    journals = [await stores.journal() for _ in range(2)]
    won: Counter[int] = Counter()

    async def write(number: int) -> None:
        journal, seq = journals[number], 0
        while won[number] < 25:
            (appended,) = await journal.append([draft("a:1", seq + 1)])
            assert appended.outcome in ("appended", "seq_conflict")
            won[number] += appended.outcome == "appended"
            seq = seq + 1 if appended.outcome == "appended" else await journal.head("a:1")

    await asyncio.gather(write(0), write(1))
    assert won == {0: 25, 1: 25}
    assert await whole(journals[0]) == {"a:1": list(range(1, 51))}


async def test_the_same_key_a_hundred_times_at_once_is_appended_exactly_once(
    stores: Stores,
) -> None:
    journals = [await stores.journal() for _ in range(4)]
    tries = await asyncio.gather(
        *(journals[n % 4].append([draft("a:1", 1, "order-7")]) for n in range(100))
    )
    appended = [one for (one,) in tries]
    assert Counter(outcomes(appended)) == {"appended": 1, "duplicate": 99}
    (fact,) = await journals[0].read("a:1")
    assert all(one.existing == fact for one in appended if one.outcome == "duplicate")


async def test_a_key_raced_for_on_different_seqs_is_appended_exactly_once(stores: Stores) -> None:
    journals = [await stores.journal() for _ in range(2)]
    tries = await asyncio.gather(
        *(journals[n % 2].append([draft("a:1", 1), draft("a:1", 2, "k")]) for n in range(20))
    )
    assert Counter(o for both in tries for o in outcomes(both)) == {
        "appended": 2,
        "seq_conflict": 19,
        "not_tried": 19,
    }


async def test_crossed_batches_of_eight_writers_on_the_same_fifty_streams_end(
    stores: Stores,
) -> None:
    journals = [await stores.journal() for _ in range(8)]
    streams = [f"a:{n:02d}" for n in range(50)]

    async def write(number: int) -> Counter[str]:
        order = streams if number % 2 else streams[::-1]
        batch = [draft(stream, seq) for stream in order for seq in (1, 2)]
        return Counter(outcomes(await journals[number].append(batch)))

    async with asyncio.timeout(60):
        results = await asyncio.gather(*map(write, range(8)))
    total = sum(results, Counter())
    streams_there = await whole(journals[0])
    assert total["appended"] == sum(map(len, streams_there.values()))
    assert sorted(streams_there) == streams
    assert gapless(streams_there)
    assert all(len(seqs) >= 1 for seqs in streams_there.values())
    assert sum(total.values()) == 800


async def test_writers_that_reload_after_a_conflict_all_get_through(stores: Stores) -> None:
    journals = [await stores.journal() for _ in range(4)]
    streams = [f"a:{n}" for n in range(10)]

    async def write(number: int) -> None:
        journal = journals[number]
        left = dict.fromkeys(streams, f"writer-{number}")
        while left:
            tails = await journal.read_many(dict.fromkeys(left, 0))
            batch = [draft(s, len(tails[s]) + 1, key) for s, key in left.items()]
            for one, appended in zip(batch, await journal.append(batch), strict=True):
                if appended.outcome == "appended":
                    del left[one.stream]

    async with asyncio.timeout(60):
        await asyncio.gather(*map(write, range(4)))
    assert await whole(journals[0]) == {stream: [1, 2, 3, 4] for stream in streams}
    facts = await journals[0].read("a:0")
    assert {fact.key for fact in facts} == {f"writer-{n}" for n in range(4)}
    assert places(facts) == [("a:0", n) for n in (1, 2, 3, 4)]


async def test_a_long_run_that_is_stopped_does_not_touch_the_runs_beside_it(
    journal: Journal,
) -> None:
    """Long runs are inserted in line, where one refusal stops the command."""
    await journal.append([draft("a:2", 1, "k2"), draft("a:4", 1, "k4")])
    batch = [
        *run("a:1", 1, 12),
        *(draft("a:2", seq, f"k{seq if seq < 9 else 2}") for seq in range(2, 14)),
        *run("a:3", 1, 2),
        *(draft("a:4", seq, f"k{seq if seq < 7 else 4}") for seq in range(2, 12)),
        *run("a:5", 1, 9),
    ]
    batch[12] = draft("a:2", 2, "k1")
    told = dict(Counter((d.stream, a.outcome) for d, a in await told_by(journal, batch)))
    assert told == {
        ("a:1", "appended"): 12,
        ("a:2", "appended"): 7,
        ("a:2", "duplicate"): 1,
        ("a:2", "not_tried"): 4,
        ("a:3", "appended"): 2,
        ("a:4", "appended"): 2,
        ("a:4", "duplicate"): 1,
        ("a:4", "not_tried"): 7,
        ("a:5", "appended"): 9,
    }
    assert gapless(await whole(journal))


async def told_by(journal: Journal, batch: list[Draft]) -> list[tuple[Draft, Appended]]:
    return list(zip(batch, await journal.append(batch), strict=True))
