"""Sorting a batch: what to run, what to put aside, what to skip."""

import msgspec
from msgspec.structs import replace

from contracts.envelope import Fact, encode_fact
from kit.bus.dead_letters import dead_letter, first_offset, read_letter, retry_of
from kit.bus.dropped import Dropped, read_dropped
from kit.bus.halts import Halt
from kit.bus.port import Received
from kit.bus.triage import sort_batch

GROUP = "points"


def received(
    offset: int, key: str = "M1", retry: int | None = None, group: str = GROUP, reason: str = "x"
) -> Received:
    fact = Fact(f"t:{key}", offset + 1, f"k{offset}", "Tested", 1, 2, msgspec.Raw(b"{}"))
    headers = {}
    if retry is not None:
        marks = {"retry-group": group, "retry-offset": str(retry), "retry-reason": reason}
        headers = {name: value.encode() for name, value in marks.items()}
    return Received("t", 0, offset, key, encode_fact(fact), 0, headers)


def halted(*parked: int, key: str = "M1") -> dict[str, Halt]:
    return {key: Halt(GROUP, key, 0, "overdrawn", {"t": list(parked)})}


def verdicts(
    batch: list[Received], halts: dict[str, Halt]
) -> tuple[list[int], list[int], list[int]]:
    """The offsets that are run, put aside and skipped."""
    sort = sort_batch(batch, halts, GROUP)
    return (
        [it.received.offset for it in sort.run],
        [it.received.offset for it in sort.aside],
        [it.offset for it in sort.skipped],
    )


def test_without_halts_everything_is_run() -> None:
    assert verdicts([received(0), received(1, "M2")], {}) == ([0, 1], [], [])


def test_a_halted_owner_is_put_aside_and_others_are_run() -> None:
    assert verdicts([received(4), received(5, "M2")], halted(3)) == ([5], [4], [])


def test_sorting_leaves_the_halts_as_they_were() -> None:
    halts = halted(3)
    sort_batch([received(4), received(9, retry=3)], halts, GROUP)
    assert halts["M1"].parked == {"t": [3]}


def test_redriven_messages_are_run_in_the_order_of_the_list_and_then_new_ones() -> None:
    batch = [received(7, retry=3), received(8, retry=4), received(9)]
    assert verdicts(batch, halted(3, 4)) == ([7, 8, 9], [], [])


def test_a_new_message_stays_behind_those_that_still_wait() -> None:
    batch = [received(7, retry=3), received(9)]
    assert verdicts(batch, halted(3, 4)) == ([7], [9], [])


def test_a_redriven_message_out_of_its_turn_is_put_aside_again() -> None:
    assert verdicts([received(8, retry=4)], halted(3, 4)) == ([], [8], [])


def test_a_redriven_message_that_was_handled_before_is_skipped() -> None:
    assert verdicts([received(8, retry=2)], halted(3, 4)) == ([], [], [8])


def test_a_redriven_message_of_another_group_is_skipped() -> None:
    assert verdicts([received(8, retry=2, group="members")], {}) == ([], [], [8])


def test_a_redriven_malformed_message_of_a_halted_owner_joins_the_list() -> None:
    assert verdicts([received(8, retry=2, reason="malformed")], halted(3)) == ([], [8], [])


def test_a_message_that_comes_again_while_its_owner_is_halted_is_put_aside_again() -> None:
    assert verdicts([received(3)], halted(3)) == ([], [3], [])


def release(offset: int, of: int, group: str = GROUP) -> Received:
    message = Dropped("t", 0, of, "M1", group, "noise", "ops", "2026-01-01T00:00:00Z").release()
    return Received("t", 0, offset, message.key, message.value, 0, message.headers)


def test_a_release_takes_a_message_off_the_list_and_is_itself_not_run() -> None:
    batch = [release(7, of=3), received(8, retry=4), received(9)]
    halts = halted(3, 4)
    assert verdicts(batch, halts) == ([8, 9], [], [])
    assert [it.place for it in sort_batch(batch, halts, GROUP).dropped] == [(0, 3)]
    assert halts["M1"].parked == {"t": [3, 4]}


def test_what_waits_before_a_dropped_message_keeps_its_turn() -> None:
    batch = [release(7, of=4), received(8, retry=5), received(9, retry=3), received(10, retry=5)]
    assert verdicts(batch, halted(3, 4, 5)) == ([9, 10], [8], [])


def test_a_dropped_message_that_was_sent_back_behind_its_release_is_skipped() -> None:
    assert verdicts([release(7, of=3), received(8, retry=3)], halted(3, 4)) == ([], [], [8])


def test_a_release_of_another_group_is_skipped() -> None:
    assert verdicts([release(7, of=3, group="members")], halted(3)) == ([], [], [7])
    assert sort_batch([release(7, of=3, group="members")], {}, GROUP).dropped == []


def test_a_release_that_nobody_can_read_is_no_release() -> None:
    odd = {**release(7, of=3).headers, "dead-offset": b"soon"}
    noise = Received("t", 0, 7, "x", b"", 0, odd)
    assert read_dropped(noise) is None
    sort = sort_batch([noise], {}, GROUP)
    assert ([it.reason for it in sort.aside], sort.dropped) == (["malformed"], [])


def test_a_release_that_speaks_of_another_topic_is_no_release() -> None:
    odd = Received("t", 0, 7, "x", b"", 0, {**release(7, of=3).headers, "dead-topic": b"nowhere"})
    sort = sort_batch([odd], {}, GROUP)
    assert ([it.reason for it in sort.aside], sort.dropped) == (["malformed"], [])


def test_a_marker_says_the_same_as_its_release_whatever_the_key() -> None:
    dropped = Dropped("t", 1, 2, "M\udcff", GROUP, "坏的", "ops", "2026-01-01T00:00:00Z")
    for message in (dropped.marker(), dropped.release()):
        it = Received(message.topic, 0, 9, message.key, b"", 0, message.headers)
        assert read_dropped(it) == dropped
    assert (dropped.marker().topic, dropped.marker().key) == ("t.dead", "M\udcff")
    assert (dropped.release().topic, dropped.release().beside) == ("t", "M\udcff")
    assert dropped.release().key == "dropped/points/1:2"


def test_a_mark_that_nobody_of_us_made_is_ignored() -> None:
    odd = Received("t", 0, 1, "M1", received(0).value, 0, {"retry-group": b"\xff"})
    assert retry_of(odd) is None
    assert verdicts([odd], {}) == ([1], [], [])


def test_a_letter_remembers_the_first_offset_however_often_it_dies() -> None:
    again = received(9, retry=3)
    assert first_offset(again) == 3
    message = dead_letter(again, GROUP, "failed", "e" * 5000)
    letter = read_letter(Received("t.dead", 0, 0, "M1", message.value, 0, message.headers))
    assert letter is not None
    assert (letter.offset, letter.reason, len(letter.error)) == (3, "failed", 2000)
    assert letter.headers == {}


def test_a_key_that_is_no_text_is_malformed_and_one_of_another_script_is_not() -> None:
    stranger = replace(received(1), key="M\udcff")
    sort = sort_batch([stranger, received(2, "会员")], {}, GROUP)
    assert [(it.received.offset, it.reason) for it in sort.aside] == [(1, "malformed")]
    assert [it.received.offset for it in sort.run] == [2]


def test_a_redriven_message_is_its_owners_whatever_key_it_travels_under() -> None:
    sent = received(9, "retry/points/0:3", retry=3)
    travelling = replace(sent, headers={**sent.headers, "retry-key": b"M1"})
    sort = sort_batch([travelling, received(10)], halted(3), GROUP)
    assert [it.received.key for it in sort.run] == ["M1", "M1"]
