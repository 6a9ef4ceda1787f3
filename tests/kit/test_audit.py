"""What an audit suspects is looked at again before it is called broken."""

from collections.abc import Sequence
from pathlib import Path

from kit.audit import Verdict, confirm, gapless, has_gap
from kit.store import open_store
from tests.ports.stores import run


async def test_what_has_moved_is_unsettled_and_what_has_not_is_a_finding() -> None:
    looks: list[list[str]] = []

    async def look_again(owners: Sequence[str]) -> Verdict:
        looks.append(list(owners))
        said = {"stuck": ["stuck: 1 of 2"], "going on": [f"going on: {len(looks)}"]}
        return Verdict(suspected=said)

    verdict = Verdict(["broken"])
    for owner in ("stuck", "going on", "done"):
        verdict.suspect(owner, f"{owner}: 1 of 2" if owner != "going on" else "going on: 0")
    await confirm(verdict, look_again, patience_seconds=0.02)
    assert verdict.findings == ["broken", "stuck: 1 of 2"]
    assert verdict.unsettled == [
        "going on: 0, but that has moved since",
        "done: 1 of 2, but that has moved since",
    ]
    assert (verdict.suspected, looks[0]) == ({}, ["stuck", "going on", "done"])
    assert looks[1:] in ([], [["stuck"]])


async def test_without_patience_nobody_looks_again() -> None:
    async def look_again(owners: Sequence[str]) -> Verdict:
        raise AssertionError(owners)

    verdict = Verdict(suspected={"M1": ["M1: one", "M1: two"]})
    await confirm(verdict, look_again, patience_seconds=0)
    assert verdict.findings == ["M1: one", "M1: two"]


async def test_a_stream_that_seems_to_have_a_gap_is_read_again(tmp_path: Path) -> None:
    store = open_store(f"sqlite:{tmp_path}", "tests")
    journal = store.journal("tests.facts")
    await journal.prepare()
    await journal.append(run("a:1", 1, 1_005))
    facts = await journal.read("a:1", limit=2_000)
    assert await gapless(journal, "a:1", facts[:3]) == facts[:3]
    assert await gapless(journal, "a:1", [facts[0], facts[2]]) == facts
    await store.close()


async def test_a_gap_that_is_there_is_still_there_when_read_again(tmp_path: Path) -> None:
    store = open_store(f"sqlite:{tmp_path}", "tests")
    journal = store.journal("tests.facts")
    await journal.prepare()
    await journal.append(run("a:1", 2, 3))
    facts = await journal.read("a:1")
    assert has_gap(facts)
    assert await gapless(journal, "a:1", facts) == facts
    await store.close()
