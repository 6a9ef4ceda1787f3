"""docs/audit-format.md: its example is what the program writes, and its hashes are right."""

import json
import re
from hashlib import sha256
from pathlib import Path

from contracts.topics import ENTRIES
from kit.bus.open import open_bus
from kit.bus.port import TopicSpec
from kit.journal.port import Draft
from kit.settings import BusSettings
from kit.store import open_store
from services.points.sealing.wiring import sealing
from tests.services.points.sealing.books import Books, verified
from tests.services.starting import START, TestClock

PAGE = Path(__file__).parents[4] / "docs" / "audit-format.md"


def _entry(stream: str, seq: int, points: int) -> Draft:
    body = f'{{"entry_id":"{stream[8:]}-{seq}","points":{points}}}'.encode()
    moment = START + seq * 1_000_000
    return Draft(stream, seq, f"reward:{seq}", b"", "PointsPosted", moment, moment + 5, body)


async def example(directory: Path) -> list[bytes]:
    """Two members whose accounts lie in two partitions, sealed in two rounds."""
    store = open_store(f"sqlite:{directory}", "points")
    bus = open_bus(BusSettings("sqlite", f"sqlite:{directory}"))
    await bus.prepare([TopicSpec(name, 2) for name in (ENTRIES.name, ENTRIES.dead)])
    clock = TestClock(START + 60_000_000)
    chain = sealing(store, clock)
    await chain.entries.prepare()
    await chain.prepare()
    books = Books(chain, bus, clock)
    rounds = [
        [_entry("account:M1", 1, 12), _entry("account:M1", 2, 30), _entry("account:M2", 1, 7)],
        [_entry("account:M1", 3, 5)],
    ]
    for entries in rounds:
        await chain.entries.append(entries)
        await books.publish()
        await books.seal()
    await chain.entries.append([_entry("account:M2", 2, 9)])
    lines = await books.export()
    await bus.close()
    await store.close()
    return lines


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


def _example_lines() -> list[bytes]:
    (block,) = _blocks("jsonl")
    return block.encode().splitlines()


async def test_the_example_is_what_the_program_writes(tmp_path: Path) -> None:
    assert _example_lines() == await example(tmp_path)


def test_the_example_verifies_and_says_what_the_page_says() -> None:
    report = verified(_example_lines())
    assert report.ok
    assert (report.seals, report.entries, report.sealed, report.unsealed) == (3, 5, 4, 1)
    assert f"`{report.head}`" in PAGE.read_text("utf-8")


def test_every_hash_of_the_example_can_be_made_by_hand() -> None:
    """The steps of the page, with hashlib and json alone."""
    page = PAGE.read_text("utf-8")
    lines = _example_lines()
    seals, entries, end = lines[1:4], lines[4:9], json.loads(lines[9])
    hashes = {
        (fact["stream"], fact["seq"]): sha256(line).hexdigest()
        for line, fact in ((line, json.loads(line)) for line in [*seals, *entries])
    }
    named = {}
    for seal in map(json.loads, seals):
        body = seal["body"]
        before = (seal["stream"], seal["seq"] - 1)
        assert body["previous"] == hashes.get(before, "0" * 64)
        for stream, first, run in body["runs"]:
            named |= {(stream, first + n): hash_ for n, hash_ in enumerate(run)}
    assert named == {place: hashes[place][:32] for place in hashes if place in named}
    assert set(named) == {
        ("account:M1", 1),
        ("account:M1", 2),
        ("account:M1", 3),
        ("account:M2", 1),
    }
    last = {0: 1, 1: 2} if ("seal:1", 2) in hashes else {0: 2, 1: 1}
    text = "".join(f"seal:{n} {seq} {hashes[f'seal:{n}', seq]}\n" for n, seq in last.items())
    assert text in page
    assert end["head"].rpartition(":")[2] == sha256(text.encode()).hexdigest()
    assert end["sha256"] == sha256(b"".join(line + b"\n" for line in lines[:9])).hexdigest()
    assert hashes["account:M1", 1] in page


def test_the_page_shows_how_to_do_it_in_a_shell() -> None:
    """The one-liner of the page, on its own example."""
    (shell,) = _blocks("sh")
    assert "sed -n 5p ledger.jsonl | tr -d '\\n' | sha256sum" in shell
    assert sha256(_example_lines()[4]).hexdigest() in shell
