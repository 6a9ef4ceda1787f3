"""The tamper test: whatever is done to an export, by whoever writes a flawless last line, shows."""

import json
from collections.abc import Callable
from copy import deepcopy
from hashlib import sha256
from typing import Any

import pytest

from tests.services.points.sealing.books import (
    Fact,
    closed,
    facts,
    first,
    line_of,
    places,
    verified,
)

Lines = tuple[bytes, ...]


def at(lines: Lines, stream: str, seq: int) -> int:
    """Which line a fact is."""
    for place, fact in enumerate(facts(lines), 1):
        if (fact["stream"], fact["seq"]) == (stream, seq):
            return place
    raise AssertionError(f"there is no {stream} {seq}")


def changed(lines: Lines, place: int, change: Callable[[Fact], object]) -> list[bytes]:
    """Change one fact and write the last line anew."""
    fact = json.loads(lines[place])
    change(fact)
    return closed([*lines[:place], line_of(fact), *lines[place + 1 : -1]])


def without(lines: Lines, *gone: int) -> list[bytes]:
    """Take lines out and write the last line anew."""
    return closed([line for place, line in enumerate(lines[:-1]) if place not in gone])


def seals_of(lines: Lines) -> list[tuple[str, int]]:
    return [(f["stream"], f["seq"]) for f in facts(lines) if f["type"] == "LedgerSealed"]


def sealing_of(lines: Lines, stream: str, seq: int) -> tuple[str, int]:
    """The seal that covers an entry."""
    for fact in facts(lines):
        for name, start, hashes in fact["body"].get("runs", ()):
            if name == stream and start <= seq < start + len(hashes):
                return fact["stream"], fact["seq"]
    raise AssertionError(f"{stream} {seq} is not sealed")


def resealed(lines: Lines, change: Callable[[list[Fact]], object]) -> list[bytes]:
    """The whole chain made anew over changed facts: what somebody who can write anything does."""
    every = deepcopy(facts(lines))
    change(every)
    seals = [fact for fact in every if fact["type"] == "LedgerSealed"]
    hashes = {
        (fact["stream"], fact["seq"]): sha256(line_of(fact)).hexdigest()[:32]
        for fact in every
        if fact["type"] != "LedgerSealed"
    }
    for fact in seals:
        for name, start, run in fact["body"]["runs"]:
            run[:] = [hashes[name, start + n] for n in range(len(run))]
    done: dict[tuple[str, int], str] = {}
    for fact in sorted(seals, key=lambda fact: fact["posted_at"]):
        body = fact["body"]
        body["previous"] = done.get((fact["stream"], fact["seq"] - 1), "0" * 64)
        if "witness" in body:
            other, seq, _ = body["witness"]
            body["witness"] = [other, seq, done[other, seq]]
        done[fact["stream"], fact["seq"]] = sha256(line_of(fact)).hexdigest()
    return closed([lines[0], *map(line_of, every)])


def test_the_export_verifies_as_it_is_and_its_lines_can_be_written_by_others(kept: Lines) -> None:
    assert verified(kept).findings == []
    assert closed(kept[:-1]) == list(kept)
    assert resealed(kept, lambda every: None) == list(kept)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("key", "reward:33"),
        ("type", "PointsTaken"),
        ("occurred_at", 1),
        ("posted_at", 1),
        ("body", {}),
        ("version", 3),
        ("trace", "00-0"),
        ("more", "than there was"),
    ],
)
@pytest.mark.parametrize("seq", [1, 3, 5])
def test_an_edit_of_any_field_is_found(kept: Lines, name: str, value: Any, seq: int) -> None:
    place = at(kept, "account:M4", seq)
    report = verified(changed(kept, place, lambda fact: fact.update({name: value})))
    assert places(report) == [("account:M4", seq)]
    assert str(report.findings[0]) == (
        f"account:M4 seq {seq}: is not the entry that was sealed: it was changed (line {place + 1})"
    )


@pytest.mark.parametrize(
    ("name", "inner"), [("entry_id", "7"), ("amount", 301), ("note", ""), ("other", None)]
)
def test_an_edit_inside_the_body_is_found(kept: Lines, name: str, inner: Any) -> None:
    place = at(kept, "account:M4", 3)
    report = verified(changed(kept, place, lambda fact: fact["body"].update({name: inner})))
    assert places(report) == [("account:M4", 3)]


@pytest.mark.parametrize("name", ["key", "type", "occurred_at", "posted_at", "body", "trace"])
def test_a_field_that_is_taken_out_is_found(kept: Lines, name: str) -> None:
    report = verified(changed(kept, at(kept, "account:M4", 3), lambda fact: fact.pop(name)))
    assert places(report) == [("account:M4", 3)]


def test_the_same_values_written_otherwise_are_found(kept: Lines) -> None:
    place = at(kept, "account:M4", 3)
    spaced = json.dumps(json.loads(kept[place])).encode()
    report = verified(closed([*kept[:place], spaced, *kept[place + 1 : -1]]))
    assert places(report) == [("account:M4", 3)]


def test_an_entry_that_is_given_to_another_member_is_found(kept: Lines) -> None:
    place = at(kept, "account:M4", 5)
    report = verified(changed(kept, place, lambda fact: fact.update(stream="account:M9", seq=1)))
    assert str(report.findings[0]).startswith(
        "account:M4 seq 5: is missing: its stream is sealed up to seq 5"
    )


@pytest.mark.parametrize("seq", [1, 2, 5])
def test_a_deleted_entry_is_found(kept: Lines, seq: int) -> None:
    assert first(verified(without(kept, at(kept, "account:M4", seq)))) == ("account:M4", seq)


@pytest.mark.parametrize("seq", [1, 3, 5])
def test_a_deleted_entry_whose_followers_are_numbered_anew_is_found(kept: Lines, seq: int) -> None:
    every = [fact for fact in facts(kept) if (fact["stream"], fact["seq"]) != ("account:M4", seq)]
    for fact in every:
        if fact["stream"] == "account:M4" and fact["seq"] > seq:
            fact["seq"] -= 1
    report = verified(closed([kept[0], *map(line_of, every)]))
    assert first(report) == ("account:M4", seq)


def test_a_deleted_stream_is_found(kept: Lines) -> None:
    report = verified(without(kept, *(at(kept, "account:M4", seq) for seq in range(1, 6))))
    assert str(report.findings[0]).startswith(
        "account:M4 seq 1: is missing: its stream is sealed up to seq 5"
    )


@pytest.mark.parametrize("seq", [1, 3, 5])
def test_an_inserted_copy_is_found(kept: Lines, seq: int) -> None:
    place = at(kept, "account:M4", seq)
    report = verified(closed([*kept[:place], kept[place], *kept[place:-1]]))
    assert places(report) == [("account:M4", seq)]


def test_an_inserted_entry_whose_followers_are_numbered_anew_is_found(kept: Lines) -> None:
    place = at(kept, "account:M4", 3)
    every = facts(kept)
    for fact in every[place - 1 : place + 2]:
        fact["seq"] += 1
    every.insert(place - 1, {**json.loads(kept[place]), "key": "gift"})
    report = verified(closed([kept[0], *map(line_of, every)]))
    assert first(report) == ("account:M4", 3)


def test_an_entry_put_behind_the_sealed_ones_is_named_as_not_yet_sealed(kept: Lines) -> None:
    place = at(kept, "account:M4", 5)
    gift = line_of({**json.loads(kept[place]), "seq": 6, "key": "gift"})
    report = verified(closed([*kept[: place + 1], gift, *kept[place + 1 : -1]]))
    assert report.ok
    assert report.first_unsealed == [("account:M1", 6), ("account:M4", 6)]


def test_an_entry_that_was_slipped_in_shows_once_later_ones_are_sealed(kept: Lines) -> None:
    stream, seq = sealing_of(kept, "account:M4", 5)

    def move(every: list[Fact]) -> None:
        for fact in every:
            if (fact["stream"], fact["seq"]) == (stream, seq):
                runs = fact["body"]["runs"]
                fact["body"]["runs"] = [
                    [name, begin + (name == "account:M4"), run] for name, begin, run in runs
                ]
        place = next(n for n, f in enumerate(every) if (f["stream"], f["seq"]) == ("account:M4", 5))
        every.insert(place + 1, {**every[place], "seq": 6})

    report = verified(resealed(kept, move))
    assert str(report.findings[0]).startswith(
        "account:M4 seq 5: is in no seal, though seq 6 of its stream is"
    )


def test_entries_that_stand_in_another_order_are_found(kept: Lines) -> None:
    one, other = at(kept, "account:M4", 2), at(kept, "account:M4", 4)
    lines = list(kept[:-1])
    lines[one], lines[other] = lines[other], lines[one]
    assert first(verified(closed(lines))) == ("account:M4", 2)


def test_entries_of_one_stream_that_change_places_are_found(kept: Lines) -> None:
    lines = list(kept[:-1])
    one, other = at(kept, "account:M4", 2), at(kept, "account:M4", 4)
    swapped = [json.loads(lines[other]) | {"seq": 2}, json.loads(lines[one]) | {"seq": 4}]
    lines[one], lines[other] = map(line_of, swapped)
    assert places(verified(closed(lines))) == [("account:M4", 2), ("account:M4", 4)]


def test_entries_of_two_streams_that_change_places_are_found(kept: Lines) -> None:
    lines = list(kept[:-1])
    one, other = at(kept, "account:M3", 2), at(kept, "account:M5", 2)
    mine, theirs = json.loads(lines[one]), json.loads(lines[other])
    lines[one] = line_of(theirs | {"stream": "account:M3"})
    lines[other] = line_of(mine | {"stream": "account:M5"})
    assert verified(closed(lines)).ok  # for their bytes are the same: nothing was changed
    lines[other] = line_of(mine | {"stream": "account:M5", "key": "reward:7"})
    assert places(verified(closed(lines))) == [("account:M5", 2)]
    lines[one], lines[other] = kept[other], kept[one]
    assert first(verified(closed(lines))) == ("account:M3", 2)


def test_a_stream_that_stands_in_two_places_is_found(kept: Lines) -> None:
    place = at(kept, "account:M4", 4)
    moved = [*kept[:place], *kept[place + 2 : -1], *kept[place : place + 2]]
    report = verified(closed(moved))
    assert first(report) == ("account:M4", 4)
    assert report.findings[-1].what == "stands apart from the entries of its stream"


@pytest.mark.parametrize("lines_left", [1, 5, 14, 30, 50])
def test_a_file_that_is_cut_off_is_found(kept: Lines, lines_left: int) -> None:
    report = verified(kept[:lines_left])
    assert str(report.findings[0]).startswith("end: is missing: the file is cut off")


def test_a_ledger_without_its_last_entries_is_found(kept: Lines) -> None:
    report = verified(closed(kept[: at(kept, "account:M7", 3)]))
    assert places(report)[:2] == [("account:M7", 3), ("account:M8", 1)]


def test_a_seal_stream_without_its_last_seal_is_found_by_a_witness(kept: Lines) -> None:
    stream, seq = seals_of(kept)[1]
    assert seq == 2  # the last seal but one: the last is seen by nobody yet
    rest = [at(kept, stream, number) for number in (2, 3)]
    report = verified(without(kept, *rest))
    assert first(report) == (stream, 2)
    assert "has seen it" in report.findings[0].what


def test_a_seal_stream_that_is_gone_is_found_by_a_witness(kept: Lines) -> None:
    stream = seals_of(kept)[0][0]
    gone = [at(kept, name, seq) for name, seq in seals_of(kept) if name == stream]
    assert stream in {name for name, _ in places(verified(without(kept, *gone)))}


@pytest.mark.parametrize("seq", [1, 2])
def test_a_seal_taken_out_of_its_stream_is_found(kept: Lines, seq: int) -> None:
    stream = seals_of(kept)[0][0]
    report = verified(without(kept, at(kept, stream, seq)))
    assert str(report.findings[0]).startswith(
        f"{stream} seq {seq}: is missing: seal {seq + 1} stands in its place"
    )


@pytest.mark.parametrize("seq", [1, 2, 3])
def test_a_seal_that_stands_twice_is_found(kept: Lines, seq: int) -> None:
    stream = seals_of(kept)[0][0]
    place = at(kept, stream, seq)
    report = verified(closed([*kept[:place], kept[place], *kept[place:-1]]))
    assert str(report.findings[0]).startswith(
        f"{stream} seq {seq}: stands where seal {seq + 1} should"
    )


def test_a_seal_stream_made_anew_alone_is_not_the_one_its_neighbour_has_seen(kept: Lines) -> None:
    every = facts(kept)
    stream = seals_of(kept)[0][0]
    before = "0" * 64
    for fact in every:
        if fact["stream"] == stream:
            fact["posted_at"] -= 1
            fact["body"]["previous"] = before
            before = sha256(line_of(fact)).hexdigest()
    report = verified(closed([kept[0], *map(line_of, every)]))
    assert places(report) == [(stream, 1), (stream, 2)]
    assert report.findings[0].what.startswith("is not the seal that seal:")


@pytest.mark.parametrize("name", ["end", "seals", "entries", "head", "sha256"])
def test_a_last_line_that_does_not_fit_says_in_what(kept: Lines, name: str) -> None:
    end = json.loads(kept[-1]) | {name: "other"}
    report = verified([*kept[:-1], line_of(end)])
    assert first(report) == ("end", 0)
    assert report.findings[0].what.startswith(f"{name} is 'other', and ")
    assert not verified([*kept[:-1], kept[-1].replace(b',"', b', "')]).ok


def test_seals_in_another_order_are_found(kept: Lines) -> None:
    lines = list(kept[:-1])
    lines[1], lines[2] = lines[2], lines[1]
    assert first(verified(closed(lines))) == seals_of(kept)[0]


def test_a_ledger_without_seals_is_all_unsealed_and_the_kept_head_says_so(kept: Lines) -> None:
    head = verified(kept).head
    bare = without(kept, *(at(kept, *seal) for seal in seals_of(kept)))
    assert (verified(bare).ok, verified(bare).unsealed) == (True, 41)
    report = verified(bare, head)
    assert first(report) == seals_of(kept)[2]
    assert report.findings[0].what == "is missing: the head that was kept names it"


def test_seals_and_entries_cut_off_together_are_found_with_the_kept_head(kept: Lines) -> None:
    head = verified(kept).head
    streams = sorted({stream for stream, _ in seals_of(kept)})
    accounts = [
        (f"account:M{n}", seq)
        for n in range(1, 9)
        for seq in (5, 6)
        if (n, seq) <= (1, 6) or seq == 5
    ]
    gone = [at(kept, stream, 3) for stream in streams] + [at(kept, *it) for it in accounts]
    cut = without(kept, *gone)
    assert verified(cut).ok  # nothing in it says that there was more
    assert first(verified(cut, head)) == (streams[0], 3)
    assert not verified(cut, head.rpartition(":")[2]).ok


FIELDS: list[Callable[[Fact], object]] = [
    lambda seal: seal.update(posted_at=seal["posted_at"] - 1),
    lambda seal: seal.update(key="0"),
    lambda seal: seal["body"].update(previous="f" * 64),
    lambda seal: seal["body"].update(count=seal["body"]["count"] + 1),
    lambda seal: seal["body"]["runs"].pop(),
    lambda seal: seal["body"]["runs"][0].__setitem__(0, "account:M99"),
    lambda seal: seal["body"]["runs"][0].__setitem__(1, 9),
    lambda seal: seal["body"]["runs"][0][2].__setitem__(0, "0" * 32),
    lambda seal: seal["body"].update(runs=seal["body"]["runs"][::-1], count=-1),
    lambda seal: seal["body"].pop("previous"),
    lambda seal: seal.update(body=None),
    lambda seal: seal.update(type="PointsPosted"),
]


@pytest.mark.parametrize("change", FIELDS)
@pytest.mark.parametrize("seq", [1, 2, 3])
def test_a_changed_seal_is_found(kept: Lines, change: Callable[[Fact], object], seq: int) -> None:
    stream = seals_of(kept)[0][0]
    head = verified(kept).head
    report = verified(changed(kept, at(kept, stream, seq), change), head)
    assert not report.ok
    if seq < 3:
        assert stream in {finding.stream for finding in report.findings}


def test_a_last_seal_of_another_shape_is_found_though_no_seal_follows_it(kept: Lines) -> None:
    stream = seals_of(kept)[0][0]
    last = at(kept, stream, 3)
    report = verified(changed(kept, last, lambda seal: seal["body"].update(count=9)))
    assert (first(report), report.findings[0].what) == ((stream, 3), "is no seal: its count is 9")
    report = verified(changed(kept, last, lambda seal: seal.update(stream="seal:01")))
    assert first(report) == ("seals", 0)
    assert report.findings[0].what == "there is no stream 'seal:01' of seals"


def test_a_seal_that_was_forged_to_fit_an_edited_entry_breaks_the_chain(kept: Lines) -> None:
    place = at(kept, "account:M4", 1)
    edited = json.loads(kept[place])
    edited["body"]["amount"] = 1_000_000
    stream, seq = sealing_of(kept, "account:M4", 1)
    assert seq == 1

    def forge(seal: Fact) -> None:
        for name, begin, run in seal["body"]["runs"]:
            if name == "account:M4" and begin == 1:
                run[0] = sha256(line_of(edited)).hexdigest()[:32]

    lines = changed(kept, at(kept, stream, 1), forge)
    lines[place] = line_of(edited)
    report = verified(closed(lines[:-1]))
    assert first(report) == (stream, 1)
    assert report.findings[0].what == (
        "does not have the hash that seal 2 names: one of them was changed"
    )


def test_a_chain_made_anew_over_an_edited_entry_is_found_with_the_kept_head(kept: Lines) -> None:
    head = verified(kept).head
    place = at(kept, "account:M4", 1) - 1
    forged = resealed(kept, lambda every: every[place]["body"].update(amount=1_000_000))
    assert verified(forged).ok
    report = verified(forged, head)
    assert first(report) == ("seals", 0)
    assert report.findings[0].what.endswith("they were changed or made anew since")


def test_an_entry_with_two_hashes_is_found(kept: Lines) -> None:
    def doubled(every: list[Fact]) -> None:
        every[0]["body"]["runs"].append(["account:M4", 1, ["f" * 32]])
        every[0]["body"]["count"] += 1

    every = facts(kept)
    doubled(every)
    report = verified(closed([kept[0], *map(line_of, every)]))
    assert ("account:M4", 1) in places(report)
    assert "two seals with different hashes" in " ".join(f.what for f in report.findings)


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"nonsense",
        b"\xff\xfe",
        b"[" * 100_000,
        b"[]",
        b'{"stream":"account:M4","seq":3,"seq":3}',
        b'{"stream":"account:\\ud800","seq":3}',
        b'{"stream":"account:M4","seq":true}',
        b'{"stream":"account:M4","seq":0}',
        b'{"stream":"account:M4","seq":' + b"9" * 5_000 + b"}",
        b'{"stream":4,"seq":3}',
    ],
)
def test_a_line_that_cannot_be_read_is_found_and_placed(kept: Lines, junk: bytes) -> None:
    place = at(kept, "account:M4", 3)
    report = verified([*kept[:place], junk, *kept[place + 1 :]])
    assert first(report) == ("account:M4", 3)
    assert report.findings[0].what.startswith("cannot be read")


@pytest.mark.parametrize("junk", [b"{}", b"", b'{"format":"other","version":1}', b"\xff"])
def test_a_file_of_another_kind_is_not_verified(kept: Lines, junk: bytes) -> None:
    assert first(verified([junk, *kept[1:]])) == ("header", 0)
    assert not verified([junk]).ok
    assert not verified([]).ok


def test_what_follows_the_last_line_and_a_seal_among_entries_are_found(kept: Lines) -> None:
    assert first(verified([*kept, b"{}"])) == ("end", 0)
    assert first(verified(closed([*kept[:-1], kept[1]]))) == seals_of(kept)[0]


def test_a_seal_that_claims_the_impossible_costs_no_memory(kept: Lines) -> None:
    def claim(seal: Fact) -> None:
        seal["body"]["runs"].append(["account:M99", 10**18, ["0" * 32]])
        seal["body"]["count"] += 1

    report = verified(changed(kept, 1, claim))
    assert ("account:M99", 1) in places(report)
    report = verified(changed(kept, 1, lambda seal: seal.update(seq=10**18)))
    assert first(report) == seals_of(kept)[0]


def test_a_head_that_was_kept_verifies_when_the_chain_has_grown(kept: Lines) -> None:
    streams = sorted({stream for stream, _ in seals_of(kept)})
    gone = [at(kept, stream, 3) for stream in streams]
    older = verified(without(kept, *gone)).head
    assert verified(kept, older).ok
    assert str(verified(kept, older.rpartition(":")[2]).findings[0]).endswith(
        f"give the head with its positions (line {len(kept)})"
    )
    assert verified(kept, verified(kept).head.rpartition(":")[2]).ok


@pytest.mark.parametrize("turns", [2, 3, 7])
def test_streams_taken_in_turns_give_the_same_report(kept: Lines, turns: int) -> None:
    from mooring.audit_verify import merged

    whole = verified(kept)
    parts = merged([verified(kept, None, turn, turns) for turn in range(turns)])
    assert parts == whole
    broken = without(kept, at(kept, "account:M4", 2), at(kept, "account:M6", 1))
    parts = merged([verified(broken, None, turn, turns) for turn in range(turns)])
    assert set(parts.findings) == set(verified(broken).findings)
    assert parts.findings[0] == verified(broken).findings[0]
