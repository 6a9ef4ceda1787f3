"""One writer: what is appended is there, in order, byte for byte."""

import pytest

from contracts.envelope import decode_fact, encode_fact
from kit.errors import BrokenInvariant
from kit.journal.port import Journal
from tests.ports.stores import Stores, draft, outcomes, places, run


async def test_an_appended_fact_is_read_back_as_it_was_written(journal: Journal) -> None:
    body = '{"name": "Zoë 王", "n": 1.50, "deep": {"a": [1, 2, null]}}'
    written = draft("activity:M1", 1, "pos:1", body=body)
    (appended,) = await journal.append([written])
    (fact,) = await journal.read("activity:M1")
    assert appended.outcome == "appended"
    assert appended.existing is None
    assert bytes(fact.body) == body.encode()
    assert (fact.stream, fact.seq, fact.key, fact.type) == ("activity:M1", 1, "pos:1", "Tested")
    assert (fact.occurred_at, fact.posted_at) == (written.occurred_at, written.posted_at)
    assert (fact.version, fact.trace) == (1, written.trace)
    assert decode_fact(encode_fact(fact)) == fact


async def test_an_empty_append_does_nothing(journal: Journal) -> None:
    assert await journal.append([]) == []
    assert await journal.unpublished() == []


async def test_a_batch_lands_in_each_of_its_streams(journal: Journal) -> None:
    batch = [*run("a:1", 1, 3), *run("a:2", 1, 2), draft("a:1", 4)]
    assert outcomes(await journal.append(batch)) == ["appended"] * 6
    assert places(await journal.read("a:1")) == [("a:1", n) for n in (1, 2, 3, 4)]
    assert places(await journal.read("a:2")) == [("a:2", 1), ("a:2", 2)]


async def test_a_stream_is_read_from_a_place_on_and_up_to_a_limit(journal: Journal) -> None:
    await journal.append(run("a:1", 1, 12))
    await journal.append(run("a:10", 1, 2))
    assert [f.seq for f in await journal.read("a:1", after=7)] == [8, 9, 10, 11, 12]
    assert [f.seq for f in await journal.read("a:1", after=7, limit=2)] == [8, 9]
    assert await journal.read("a:1", after=12) == []
    assert await journal.read("a:none") == []


async def test_a_stream_is_read_backwards_newest_first(journal: Journal) -> None:
    await journal.append(run("a:1", 1, 12))
    assert [f.seq for f in await journal.read("a:1", limit=3, backwards_from=11)] == [10, 9, 8]
    assert [f.seq for f in await journal.read("a:1", after=8, backwards_from=11)] == [10, 9]
    assert await journal.read("a:1", backwards_from=1) == []


async def test_many_tails_are_read_at_once_also_of_streams_that_are_not_there(
    journal: Journal,
) -> None:
    await journal.append([*run("a:1", 1, 3), *run("a:2", 1, 1), *run("b:1", 1, 5)])
    tails = await journal.read_many({"a:1": 1, "a:2": 1, "b:1": 0, "none:1": 0})
    assert {stream: [f.seq for f in facts] for stream, facts in tails.items()} == {
        "a:1": [2, 3],
        "a:2": [],
        "b:1": [1, 2, 3, 4, 5],
        "none:1": [],
    }
    assert await journal.read_many({}) == {}


async def test_the_tails_of_more_streams_than_one_statement_binds_are_complete(
    journal: Journal,
) -> None:
    await journal.append([draft(f"a:{n:04d}", 1) for n in range(2500)])
    tails = await journal.read_many({f"a:{n:04d}": 0 for n in range(2500)})
    assert all(len(facts) == 1 for facts in tails.values())
    assert len(tails) == 2500


async def test_a_whole_long_stream_is_a_tail_too(journal: Journal) -> None:
    await journal.append(run("a:1", 1, 1500))
    tails = await journal.read_many({"a:1": 0})
    assert [f.seq for f in tails["a:1"]] == list(range(1, 1501))


async def test_facts_are_found_by_key_in_their_stream_only(journal: Journal) -> None:
    keys = ["plain", "with space", "ключ-🔑", "nul\x00led", "$dollar.dot", "quote\"'\\"]
    await journal.append([draft("a:1", n, key) for n, key in enumerate(keys, 1)])
    await journal.append([draft("a:2", 1, "plain")])
    found = await journal.find("a:1", [*keys, "absent"])
    assert {key: fact.seq for key, fact in found.items()} == {k: n for n, k in enumerate(keys, 1)}
    assert await journal.find("a:3", ["plain"]) == {}
    assert await journal.find("a:1", []) == {}


async def test_the_hash_of_the_input_is_kept_beside_each_fact(journal: Journal) -> None:
    hashes = {"plain": b"\x00\xff", "none": b"", "ключ-🔑": b"same"}
    drafts = [draft("a:1", n, key, hash_) for n, (key, hash_) in enumerate(hashes.items(), 1)]
    await journal.append([*drafts, draft("a:2", 1, "plain", b"other")])
    await journal.append([draft("a:1", 1, "plain", b"a misuse of the key")])
    assert await journal.input_hashes("a:1", [*hashes, "absent"]) == hashes
    assert await journal.input_hashes("a:2", ["plain", "none"]) == {"plain": b"other"}
    assert await journal.input_hashes("a:3", ["plain"]) == {}
    assert await journal.input_hashes("a:1", []) == {}


async def test_a_thousand_keys_are_found_at_once(journal: Journal) -> None:
    await journal.append([draft("a:1", n, f"k{n}") for n in range(1, 1101)])
    found = await journal.find("a:1", [f"k{n}" for n in range(1, 1101)])
    assert {key: fact.seq for key, fact in found.items()} == {f"k{n}": n for n in range(1, 1101)}


async def test_the_head_is_the_last_seq_and_0_without_facts(journal: Journal) -> None:
    await journal.append(run("a:1", 1, 3))
    await journal.append(run("a:10", 1, 7))
    assert [await journal.head(stream) for stream in ("a:1", "a:10", "a:100")] == [3, 7, 0]


@pytest.mark.parametrize("seqs", [(1, 3), (1, 1), (2, 1), (0,)])
async def test_a_batch_with_a_gap_in_a_stream_is_refused_whole(
    journal: Journal, seqs: tuple[int, ...]
) -> None:
    with pytest.raises(BrokenInvariant):
        await journal.append([draft("a:2", 1), *(draft("a:1", seq) for seq in seqs)])
    assert await journal.head("a:2") == 0


async def test_a_scan_meets_every_fact_once_stream_by_stream(journal: Journal) -> None:
    await journal.append([*run("b:1", 1, 5), *run("a:1", 1, 4), *run("a:10", 1, 3)])
    met = [fact async for facts in journal_batches(journal, 4) for fact in facts]
    assert len(met) == 12
    assert {(f.stream, f.seq) for f in met} == set(places(met))
    order = list(dict.fromkeys(f.stream for f in met))
    assert places(met) == [
        (stream, seq)
        for stream in order
        for seq in range(1, {"b:1": 5, "a:1": 4, "a:10": 3}[stream] + 1)
    ]


async def journal_batches(journal: Journal, size: int):  # type: ignore[no-untyped-def]
    """The scan, with the size of each batch checked on the way."""
    async for facts in journal.scan(size):
        assert 0 < len(facts) <= size
        yield facts


async def test_prepare_may_be_repeated_and_keeps_what_is_there(stores: Stores) -> None:
    journal = await stores.journal()
    await journal.append([draft("a:1", 1)])
    again = await stores.journal()
    assert again.name == journal.name == "tests.facts"
    assert await again.head("a:1") == 1
