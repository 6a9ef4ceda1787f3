"""Whatever single byte of an export is changed, taken out or put in, the verifier says so."""

from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.audit_verify import Malformed, parse_head
from tests.services.points.sealing.books import closed, verified

Lines = tuple[bytes, ...]


def _lines(export: bytes) -> list[bytes]:
    """The lines of a file, as the verifier reads them."""
    lines = export.split(b"\n")
    return lines if lines[-1] else lines[:-1]


@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_any_single_byte_changed_is_found(kept: Lines, data: st.DataObject) -> None:
    export = b"".join(line + b"\n" for line in kept)
    place = data.draw(st.integers(0, len(export) - 2))
    value = data.draw(st.integers(0, 255).filter(lambda value: value != export[place]))
    changed = export[:place] + bytes([value]) + export[place + 1 :]
    assert not verified(_lines(changed)).ok


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_any_byte_taken_out_or_put_in_is_found(kept: Lines, data: st.DataObject) -> None:
    export = b"".join(line + b"\n" for line in kept)
    place = data.draw(st.integers(0, len(export) - 2))
    more = data.draw(st.binary(max_size=1))
    changed = export[:place] + more + export[place + (not more) :]
    assert not verified(_lines(changed)).ok


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_any_single_byte_of_a_sealed_entry_is_found_though_the_last_line_fits(
    kept: Lines, data: st.DataObject
) -> None:
    entries = [
        n for n, line in enumerate(kept) if b'"PointsPosted"' in line and b'"seq":6' not in line
    ]
    number = data.draw(st.sampled_from(entries))
    line = kept[number]
    place = data.draw(st.integers(0, len(line) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda value: value not in (line[place], 10)))
    changed = line[:place] + bytes([value]) + line[place + 1 :]
    report = verified(
        [*kept[:number], changed, *kept[number + 1 : -1], _last(kept, number, changed)]
    )
    assert not report.ok
    assert report.findings[0].line <= number + 2


def _last(kept: Lines, number: int, changed: bytes) -> bytes:
    """The last line a forger would write; of what cannot be read, the one that was there."""
    try:
        return closed([*kept[:number], changed, *kept[number + 1 : -1]])[-1]
    except (ValueError, KeyError, TypeError, AttributeError):
        return kept[-1]


@given(text=st.text(alphabet="0123456789=,:abcdef x\n", max_size=90))
def test_a_head_is_read_or_refused(text: str) -> None:
    try:
        _, digest = parse_head(text)
    except Malformed:
        return
    assert len(digest) == 64
