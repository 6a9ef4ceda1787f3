"""Sealing: every entry gets into a seal, whatever crashes, comes again or runs twice."""

import asyncio
import json
from hashlib import sha256

import pytest

from contracts.envelope import decode_fact, encode_fact
from contracts.seals import SealedRun
from contracts.topics import ENTRIES, SEALS
from kit.bus.consume import Envelope
from kit.errors import Unavailable
from kit.journal.port import Draft
from kit.relay import message_of
from services.points.domain.seals import Gathering, head_text
from services.points.sealing.sealer import Sealer, SealingTask
from services.points.sealing.wiring import sealing
from tests.ports.stores import Stores
from tests.services.points.sealing.books import Books, entry, facts, verified
from tests.services.points.sealing.conftest import ACCOUNTS


async def delivered(books: Books) -> list[Envelope]:
    reader = books.bus.subscribe([ENTRIES.name], "reader")
    received = await reader.poll(10_000, 2)
    await reader.close()
    return [Envelope(decode_fact(message.value), message) for message in received]


async def test_every_published_entry_is_sealed_and_the_rest_is_said_to_be_unsealed(
    lines: list[bytes],
) -> None:
    report = verified(lines)
    assert report.ok
    assert (report.entries, report.streams, report.sealed) == (41, 8, 40)
    assert (report.unsealed, report.first_unsealed) == (1, [("account:M1", 6)])
    assert report.oldest_unsealed == entry("account:M1", 6).posted_at


async def test_a_fact_read_back_from_the_journal_has_the_bytes_that_were_published(
    books: Books,
) -> None:
    odd = '{"a":"é\\u0000\\"\\\\","b":1e400,"big":123456789012345678901234567890,"c":[ ]}'
    await books.sealing.entries.append([entry("account:é", 1, odd)])
    await books.post(ACCOUNTS, 3)
    await books.publish()
    read = {f.id: encode_fact(f) async for page in books.sealing.entries.scan() for f in page}
    brought = {envelope.fact.id: envelope.received.value for envelope in await delivered(books)}
    assert len(read) == 25
    assert read == brought


async def test_seals_follow_each_other_and_name_one_of_another_partition(books: Books) -> None:
    for _ in range(3):
        await books.round(ACCOUNTS)
    lines = await books.export()
    seals = [line for line in lines if b'"LedgerSealed"' in line]
    by_place = {
        (f["stream"], f["seq"]): sha256(line).hexdigest()
        for f, line in ((json.loads(line), line) for line in seals)
    }
    for line in seals:
        fact = json.loads(line)
        stream, seq, body = fact["stream"], fact["seq"], fact["body"]
        assert body["previous"] == by_place.get((stream, seq - 1), "0" * 64)
        if seq > 1:
            other, other_seq, hash_ = body["witness"]
            assert other != stream
            assert by_place[other, other_seq] == hash_
    assert {seq for _, seq in by_place} == {1, 2, 3}


async def test_a_witness_is_a_seal_of_the_same_worker_for_those_of_others_may_be_old(
    books: Books,
) -> None:
    run = [(SealedRun("account:M1", 1, ("0" * 32,)),)]
    await Sealer(books.sealing.chains, books.clock).seal({0: run, 1: run, 2: run, 3: run})
    sealer = Sealer(books.sealing.chains, books.clock)
    for number in (2, 3):
        run = [(SealedRun("account:M1", number, ("0" * 32,)),)]
        await sealer.seal({0: run, 2: run})
    bodies = {
        (fact.stream, fact.seq): json.loads(bytes(fact.body))
        async for page in books.sealing.seals.scan()
        for fact in page
    }
    assert bodies["seal:0", 2]["witness"][:2] == ["seal:1", 1]  # it has made none itself yet
    assert bodies["seal:0", 3]["witness"][:2] == ["seal:2", 2]
    assert bodies["seal:2", 3]["witness"][:2] == ["seal:0", 2]


async def test_a_crash_between_a_seal_and_its_commit_leaves_a_chain_that_verifies(
    books: Books,
) -> None:
    await books.round(ACCOUNTS)
    await books.post(ACCOUNTS, 2)
    await books.publish()
    sealer = Sealer(books.sealing.chains, books.clock)

    async def seal_and_die(batch: list[Envelope]) -> None:
        await sealer.handle(batch)
        raise Unavailable("the worker", "it died")

    await books.seal_with(seal_and_die)
    before = (await books.export())[1:]
    await books.seal()  # the same batch: every seal of it is found by its key
    assert verified(await books.export()).ok
    assert facts(before) == facts((await books.export())[1:])


async def test_a_batch_that_comes_again_with_more_in_it_is_sealed_over(books: Books) -> None:
    await books.post(ACCOUNTS, 2)
    await books.publish()
    await Sealer(books.sealing.chains, books.clock).handle(await delivered(books))
    await books.post(ACCOUNTS, 1)
    await books.publish()
    await books.seal()
    report = verified(await books.export())
    assert report.ok
    assert (report.entries, report.sealed) == (24, 24)
    counts = [
        f["body"]["count"] for f in facts(await books.export()) if f["type"] == "LedgerSealed"
    ]
    assert sum(counts) == 16 + 24


async def test_a_relay_that_publishes_everything_twice_does_no_harm(books: Books) -> None:
    await books.post(ACCOUNTS, 3)
    await books.publish()
    again = [envelope.fact for envelope in await delivered(books)]
    await books.bus.publish([message_of(fact, ENTRIES.name) for fact in again])
    await books.seal()
    report = verified(await books.export())
    assert report.ok
    assert (report.entries, report.sealed) == (24, 24)


async def test_two_workers_that_seal_the_same_partitions_make_one_chain(
    books: Books, stores: Stores
) -> None:
    other = sealing(stores.open("points"), books.clock)
    for _ in range(5):
        await books.post(ACCOUNTS, 2)
        await books.publish()
        batch = await delivered(books)
        await asyncio.gather(
            Sealer(books.sealing.chains, books.clock).handle(batch),
            Sealer(other.chains, books.clock).handle(batch[: len(batch) // 2]),
            Sealer(other.chains, books.clock).handle(batch[len(batch) // 2 :]),
        )
    report = verified(await books.export())
    assert report.ok
    assert (report.entries, report.sealed) == (80, 80)


async def test_a_seal_covers_at_most_a_thousand_entries(books: Books) -> None:
    await books.round(["account:M1"], 2_500)
    counts = [
        f["body"]["count"] for f in facts(await books.export()) if f["type"] == "LedgerSealed"
    ]
    assert max(counts) == 1_000
    assert sum(counts) == 2_500
    assert verified(await books.export()).sealed == 2_500


def test_entries_that_come_in_disorder_are_sealed_as_they_come() -> None:
    gathering = Gathering(largest=3)
    for seq in (1, 2, 1, 3, 4, 2, 3):
        gathering.add("account:M1", seq, b"%d" % seq)
    assert [[(run.first, len(run.hashes)) for run in runs] for runs in gathering.seals()] == [
        [(1, 3)],
        [(4, 1)],
        [(2, 2)],
    ]


async def test_what_is_no_entry_of_an_account_is_left_alone(books: Books) -> None:
    await books.sealing.entries.append([entry("other:M1", 1), entry("account:M1", 1)])
    await books.publish()
    await books.seal()
    report = verified(await books.export())
    assert report.ok
    assert (report.entries, report.sealed) == (1, 1)


async def test_the_task_seals_what_is_published_and_ends_when_told(books: Books) -> None:
    task: SealingTask = books.sealing.task(books.bus)
    task.linger_seconds = 0.05
    stop = asyncio.Event()
    running = asyncio.create_task(task.run(stop))
    await books.post(ACCOUNTS, 2)
    await books.publish()
    async with asyncio.timeout(10):
        while verified(await books.export()).sealed < 16:
            await asyncio.sleep(0.02)
        stop.set()
        await running
    assert task.name == "consumer points-seal"
    assert await books.bus.lag([ENTRIES.name], "points-seal") == 0


async def test_the_task_rests_so_that_seals_are_few(books: Books) -> None:
    task: SealingTask = books.sealing.task(books.bus)
    task.linger_seconds = 0.4
    stop = asyncio.Event()
    running = asyncio.create_task(task.run(stop))
    for _ in range(20):
        await books.post(ACCOUNTS)
        await books.publish()
        await asyncio.sleep(0.02)
    stop.set()
    await running
    seals = [seq for seq, _ in (await books.sealing.heads()).values()]
    assert max(seals) < 15  # and 20 without its rests


async def test_seals_are_published_so_that_outsiders_may_keep_their_hashes(books: Books) -> None:
    await books.round(ACCOUNTS)
    relay = books.sealing.relay(books.bus)
    while await relay.step():
        pass
    reader = books.bus.subscribe([SEALS.name], "partner")
    published = await reader.poll(100, 2)
    await reader.close()
    heads = await books.sealing.heads()
    assert {int(m.key): (1, sha256(m.value).hexdigest()) for m in published} == heads
    assert verified(await books.export()).head == head_text(heads)


async def test_the_chains_are_folded_again_from_their_journal(books: Books) -> None:
    await books.round(ACCOUNTS)
    partitions = len(await books.sealing.heads())
    assert await books.sealing.rebuild() == partitions
    await books.round(ACCOUNTS)
    assert verified(await books.export()).ok


async def test_a_forged_message_on_the_topic_shows_as_an_entry_that_is_not_there(
    books: Books,
) -> None:
    await books.round(ACCOUNTS[:1])
    forged: Draft = entry("account:M1", 2)
    await books.sealing.entries.append([forged])
    await books.publish()
    await books.seal()
    assert verified(await books.export()).ok
    batch = [e for e in await delivered(books) if e.fact.seq == 2]
    value = batch[0].received.value.replace(b"200", b"900")
    changed = Envelope(
        decode_fact(value),
        type(batch[0].received)(ENTRIES.name, batch[0].received.partition, 99, "M1", value, 0),
    )
    await Sealer(books.sealing.chains, books.clock).handle([changed])
    report = verified(await books.export())
    assert str(report.findings[0]).startswith(
        "account:M1 seq 2: is in two seals with different hashes"
    )


async def test_a_ledger_that_is_older_than_its_seals_is_sealed_when_asked(books: Books) -> None:
    await books.post(ACCOUNTS, 3)
    await books.publish()
    lost = books.bus.subscribe([ENTRIES.name], "points-seal")
    assert len(await lost.poll(100, 2)) == 24
    await lost.commit()
    await lost.close()
    await books.round(ACCOUNTS)
    await books.post(ACCOUNTS[:2])
    report = verified(await books.export())
    assert str(report.findings[0]).partition(" (")[0] == (
        f"{report.findings[0].stream} seq 1: is in no seal, though seq 4 of its stream is"
    )
    assert len(report.findings) == 8
    assert await books.sealing.seal_missing() == 26
    report = verified(await books.export())
    assert report.ok
    assert (report.entries, report.sealed, report.unsealed) == (34, 34, 0)
    assert await books.sealing.seal_missing() == 0
    await books.publish()
    await books.seal()
    assert verified(await books.export()).ok


@pytest.mark.parametrize("streams", [[], ACCOUNTS[:1]])
async def test_a_chain_without_seals_has_a_head_too(books: Books, streams: list[str]) -> None:
    await books.post(streams)
    report = verified(await books.export())
    assert report.ok
    assert report.head == ":" + sha256(b"").hexdigest()
    assert verified(await books.export(), report.head).ok
