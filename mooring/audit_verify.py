"""Verify an export of the audit chain, with nothing but Python's standard library.

    python -m mooring.audit_verify FILE [--head HEAD]
    python audit_verify.py FILE [--head HEAD]      (this file alone, on a machine without Mooring)

Ends with 0 when all is verified, 1 when something is broken, 2 when it was asked wrongly. This is
docs/audit-format.md as a program; it shares no line with the program that makes the seals.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from zlib import crc32

FORMAT, VERSION = "mooring-audit", 1
HASH_BYTES = 16
NO_SEAL = "0" * 64
KEPT_FINDINGS, KEPT_NAMES = 100, 10
LONGEST_LINE = 1 << 26
WIDEST_GAP = 1_000_000
# Hashes of so much of a file fit in some 150 MB; of a larger file the streams are taken in turns.
BYTES_IN_ONE_TURN = 1 << 32

_SEAL_STREAM = re.compile(r"seal:(0|[1-9][0-9]{0,8})")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ENTRY_HASH = re.compile(r"[0-9a-f]{32}")
_HEAD = re.compile(r"(?:((?:[0-9]+=[0-9]+,)*[0-9]+=[0-9]+)?:)?([0-9a-f]{64})")

Place = tuple[str, int]


class Malformed(ValueError):
    """A line is not what the format says."""


@dataclass(frozen=True)
class Finding:
    """Something that is broken: where (seq 0: not in one fact), what, and in which line."""

    stream: str
    seq: int
    what: str
    line: int

    def __str__(self) -> str:
        place = f"{self.stream} seq {self.seq}" if self.seq else self.stream
        return f"{place}: {self.what} (line {self.line})"


@dataclass
class Report:
    """What a verification found. ``unsealed`` entries are not broken: no seal has come to them."""

    findings: list[Finding] = field(default_factory=list)
    entries: int = 0
    streams: int = 0
    sealed: int = 0
    seals: int = 0
    head: str = ""
    unsealed: int = 0
    first_unsealed: list[Place] = field(default_factory=list)
    oldest_unsealed: int | None = None

    @property
    def ok(self) -> bool:
        """Whether everything that is sealed is there, as it was sealed."""
        return not self.findings


class Coverage:
    """What the seals say of entries: for each stream the hashes of entries 1, 2, 3…"""

    def __init__(self) -> None:
        self._hashes: dict[str, bytearray] = {}
        self._early: dict[str, list[tuple[int, bytes]]] = {}

    def add(self, stream: str, first: int, hashes: bytes) -> int | None:
        """Take in a run of hashes; return the seq of an entry that has another hash already."""
        known = self._hashes.setdefault(stream, bytearray())
        start = (first - 1) * HASH_BYTES
        if start > len(known):
            # Streams of seals are read one after the other; a later one may have what is between.
            self._early.setdefault(stream, []).append((first, hashes))
            return None
        overlap = min(len(known) - start, len(hashes))
        if known[start : start + overlap] != hashes[:overlap]:
            pairs = zip(known[start : start + overlap], hashes[:overlap], strict=True)
            at = next(at for at, (one, other) in enumerate(pairs) if one != other)
            return first + at // HASH_BYTES
        known += hashes[overlap:]
        return None

    def settle(self) -> Iterable[tuple[str, int, str]]:
        """Add what came early; yield (stream, seq, what) where hashes differ or are missing."""
        for stream, runs in self._early.items():
            for first, hashes in sorted(runs):
                if (gap := self.sealed(stream) + 1) < first:
                    yield stream, gap, f"is in no seal, though seq {first} of its stream is"
                    if first - gap > WIDEST_GAP:
                        break
                    self._hashes[stream] += bytes((first - gap) * HASH_BYTES)
                if (seq := self.add(stream, first, hashes)) is not None:
                    yield stream, seq, "is in two seals with different hashes"
        self._early.clear()

    def sealed(self, stream: str) -> int:
        """Return up to which seq a stream is sealed."""
        return len(self._hashes.get(stream, b"")) // HASH_BYTES

    def hash_of(self, stream: str, seq: int) -> bytes | None:
        """Return the hash of an entry; None when it is not sealed."""
        start = (seq - 1) * HASH_BYTES
        there = self._hashes.get(stream, b"")[start : start + HASH_BYTES]
        return bytes(there) if any(there) else None

    def streams(self) -> Iterable[str]:  # those that have a sealed entry
        return (stream for stream, hashes in self._hashes.items() if hashes)


@dataclass(frozen=True)
class Seal:
    """A seal, read and checked for its shape."""

    seq: int
    previous: str
    runs: list[tuple[str, int, bytes]]
    witness: tuple[str, int, str] | None


class Verifier:
    """Takes an export line by line; ``turn`` of ``turns`` looks at a part of the entry streams."""

    def __init__(self, turn: int = 0, turns: int = 1) -> None:
        self.report = Report()
        self._turn, self._turns = turn, turns
        self._line = 0
        self._digest = sha256()
        self._part = self._header
        self._coverage = Coverage()
        self._hashes: dict[str, list[str]] = {}  # of seals, by stream; "" where one is missing
        self._witnesses: list[tuple[Place, tuple[str, int, str]]] = []
        self._next: dict[str, int] = {}  # of entries, by stream
        self._stream = ""
        self._last: Place = ("", 0)

    def feed(self, line: bytes) -> None:
        """Take in a line, without its line end."""
        self._line += 1
        self._part(line)
        if self._part != self._after_end:
            self._digest.update(line + b"\n")

    def _header(self, line: bytes) -> None:
        self._part = self._seal
        try:
            header = parse(line)
        except Malformed:
            header = {}
        if header.get("format") != FORMAT or header.get("version") != VERSION:
            self._find("header", 0, f"does not say {FORMAT} version {VERSION}")

    def _seal(self, line: bytes) -> None:
        try:
            fact = parse(line)
        except Malformed as error:
            self._find_after_last(error)
            return
        stream = fact.get("stream")
        if "end" in fact or not isinstance(stream, str) or not stream.startswith("seal:"):
            self._end_of_seals()
            self._part = self._entry
            self._entry(line)
            return
        self.report.seals += 1
        self._chain(stream, fact, sha256(line).hexdigest())

    def _entry(self, line: bytes) -> None:
        try:
            fact = parse(line)
            if "end" in fact:
                self._end(line, fact)
                return
            stream, seq = place_of(fact)
        except Malformed as error:
            self._find_after_last(error)
            return
        self.report.entries += 1
        self._last = (stream, seq)
        if stream.startswith("seal:"):
            self._find(stream, seq, "is a seal among entries")
        elif crc32(stream.encode()) % self._turns == self._turn:
            self._check_entry(stream, seq, fact, sha256(line).digest()[:HASH_BYTES])

    def _end(self, line: bytes, fact: dict[str, Any]) -> None:
        self._end_of_entries()
        self._part = self._after_end
        report = self.report
        expected = {"end": FORMAT, "seals": report.seals, "entries": report.entries}
        expected |= {"head": report.head, "sha256": self._digest.hexdigest()}
        for name, value in expected.items():
            if fact.get(name) != value:
                self._find("end", 0, f"{name} is {fact.get(name)!r}, and {value!r} of this file")
        if not report.findings and line != json.dumps(expected, separators=(",", ":")).encode():
            self._find("end", 0, "is not written as the format says")

    def _after_end(self, line: bytes) -> None:
        self._find("end", 0, "something follows it")

    def finish(self, head: str | None = None) -> Report:
        """Say that there are no more lines; ``head`` is one that was kept elsewhere."""
        if self._part != self._after_end:
            self._find("end", 0, "is missing: the file is cut off")
            if self._part != self._entry:
                self._end_of_seals()
            self._end_of_entries()
        if head is not None:
            self._compare_head(head)
        return self.report

    def _chain(self, stream: str, fact: dict[str, Any], hash_: str) -> None:
        """Check that a seal follows the one before it, and take in what it says."""
        if not _SEAL_STREAM.fullmatch(stream):
            self._find("seals", 0, f"there is no stream {stream!a} of seals")
            return
        known = self._hashes.setdefault(stream, [])
        try:
            seal = read_seal(fact)
        except Malformed as error:
            self._find(stream, len(known) + 1, f"is no seal: {error}")
            known.append(hash_)
            self._last = (stream, len(known))
            return
        self._last = (stream, seal.seq)
        expected = len(known) + 1
        if seal.seq > expected:
            self._find(stream, expected, f"is missing: seal {seal.seq} stands in its place")
            known += [""] * min(seal.seq - expected, WIDEST_GAP)
        elif seal.seq < expected:
            self._find(stream, seal.seq, f"stands where seal {expected} should")
            return
        before = known[-1] if known else NO_SEAL
        if before and seal.previous != before:
            what = f"does not have the hash that seal {seal.seq} names: one of them was changed"
            self._find(stream, max(1, seal.seq - 1), what if known else "names one before it")
        known.append(hash_)
        if seal.witness is not None:
            self._witnesses.append(((stream, seal.seq), seal.witness))
        for entry_stream, first, hashes in seal.runs:
            if crc32(entry_stream.encode()) % self._turns == self._turn:
                seq = self._coverage.add(entry_stream, first, hashes)
                if seq is not None:
                    self._find(entry_stream, seq, "is in two seals with different hashes")

    def _end_of_seals(self) -> None:
        for stream, seq, what in self._coverage.settle():
            self._find(stream, seq, what)
        for (stream, seq), (other, other_seq, hash_) in self._witnesses:
            there = self._seal_hash(other, other_seq)
            if there is None:
                self._find(other, other_seq, f"is missing: {stream} seq {seq} has seen it")
            elif there not in ("", hash_):
                self._find(other, other_seq, f"is not the seal that {stream} seq {seq} has seen")
        self._witnesses.clear()
        heads = {int(stream[5:]): hashes for stream, hashes in self._hashes.items() if hashes}
        self.report.head = head_text({n: (len(hashes), hashes[-1]) for n, hashes in heads.items()})

    def _seal_hash(self, stream: str, seq: int) -> str | None:
        hashes = self._hashes.get(stream, [])
        return hashes[seq - 1] if 1 <= seq <= len(hashes) else None

    def _compare_head(self, text: str) -> None:
        """Compare with a head that was kept elsewhere, which may be older than the export."""
        places, digest = parse_head(text)
        if places is None:
            if self.report.head.rpartition(":")[2] != digest:
                what = f"make the head {self.report.head}, not {digest}; if seals were added since"
                self._find("seals", 0, f"{what}, give the head with its positions")
            return
        heads: dict[int, tuple[int, str]] = {}
        for partition, seq in places.items():
            if (hash_ := self._seal_hash(f"seal:{partition}", seq)) is None:
                self._find(f"seal:{partition}", seq, "is missing: the head that was kept names it")
                return
            heads[partition] = (seq, hash_)
        if (there := head_text(heads).rpartition(":")[2]) != digest:
            what = f"up to the head that was kept make {there}, not {digest}"
            self._find("seals", 0, f"{what}: they were changed or made anew since")

    def _check_entry(self, stream: str, seq: int, fact: dict[str, Any], hash_: bytes) -> None:
        if stream != self._stream:
            self._end_of_stream()
            self._stream = stream
            if stream in self._next:
                self._find(stream, seq, "stands apart from the entries of its stream")
        expected = self._next.get(stream, 1)
        if seq > expected:
            self._find(stream, expected, f"is missing: seq {seq} stands in its place")
        elif seq < expected:
            self._find(stream, seq, f"stands where seq {expected} should")
            return
        self._next[stream] = seq + 1
        sealed = self._coverage.hash_of(stream, seq)
        if sealed is None:
            self._note_unsealed(stream, seq, fact)
        elif sealed != hash_:
            self._find(stream, seq, "is not the entry that was sealed: it was changed")
        else:
            self.report.sealed += 1

    def _note_unsealed(self, stream: str, seq: int, fact: dict[str, Any]) -> None:
        report = self.report
        report.unsealed += 1
        if len(report.first_unsealed) < KEPT_NAMES:
            report.first_unsealed.append((stream, seq))
        posted_at = fact.get("posted_at")
        if isinstance(posted_at, int):
            report.oldest_unsealed = min(posted_at, report.oldest_unsealed or posted_at)

    def _end_of_stream(self) -> None:
        if self._stream and (next_ := self._next[self._stream]) <= (
            last := self._coverage.sealed(self._stream)
        ):
            self._find(self._stream, next_, f"is missing: its stream is sealed up to seq {last}")

    def _end_of_entries(self) -> None:
        self._end_of_stream()
        for stream in sorted(set(self._coverage.streams()) - self._next.keys()):
            last = self._coverage.sealed(stream)
            self._find(stream, 1, f"is missing: its stream is sealed up to seq {last}")
        self.report.streams = len(self._next)

    def _find(self, stream: str, seq: int, what: str) -> None:
        if len(self.report.findings) < KEPT_FINDINGS:
            self.report.findings.append(Finding(stream, seq, what, self._line))

    def _find_after_last(self, error: Malformed) -> None:
        stream, seq = self._last  # only this says which fact it may have been
        self._find(stream or "seals", seq + 1 if seq else 0, f"cannot be read: {error}")


def parse(line: bytes) -> dict[str, Any]:
    """Read a line: a JSON object in UTF-8 in which no name stands twice."""
    try:
        value = json.loads(line.decode(), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"it is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise Malformed("it is not a JSON object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise Malformed("a name stands twice in it")
    return values


def place_of(fact: dict[str, Any]) -> Place:
    """Return the stream and seq of a fact."""
    return _stream(fact.get("stream")), _seq(fact.get("seq"))


def _stream(value: object) -> str:
    if not isinstance(value, str) or value != value.encode(errors="ignore").decode():
        raise Malformed("it names no stream")
    return value


def _seq(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise Malformed("it has no seq")
    return value


def _hash(value: object, pattern: "re.Pattern[str]") -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise Malformed(f"{value!r} is no hash")
    return value


def read_seal(fact: dict[str, Any]) -> Seal:
    """Read a seal's envelope and body; raises Malformed."""
    body = fact.get("body")
    if fact.get("type") != "LedgerSealed":
        raise Malformed("it is of another type")
    if not isinstance(body, dict) or not isinstance(body.get("runs"), list):
        raise Malformed("it has no runs")
    runs = [_run(run) for run in body["runs"]]
    if body.get("count") != sum(len(hashes) for _, _, hashes in runs) // HASH_BYTES:
        raise Malformed(f"its count is {body.get('count')!r}")
    previous = _hash(body.get("previous"), _SHA256)
    return Seal(_seq(fact.get("seq")), previous, runs, _witness(body.get("witness")))


def _run(value: object) -> tuple[str, int, bytes]:
    match value:
        case [stream, first, [_, *_] as hashes]:
            joined = "".join(_hash(each, _ENTRY_HASH) for each in hashes)
            return _stream(stream), _seq(first), bytes.fromhex(joined)
    raise Malformed("a run is not a stream, a seq and hashes")


def _witness(value: object) -> tuple[str, int, str] | None:
    match value:
        case None:
            return None
        case [stream, seq, hash_]:
            return _stream(stream), _seq(seq), _hash(hash_, _SHA256)
    raise Malformed("its witness is not a stream, a seq and a hash")


def head_text(heads: dict[int, tuple[int, str]]) -> str:
    """Return the head: ``PARTITION=SEQ,…:DIGEST``."""
    lines = "".join(f"seal:{n} {seq} {hash_}\n" for n, (seq, hash_) in sorted(heads.items()))
    places = ",".join(f"{n}={seq}" for n, (seq, _) in sorted(heads.items()))
    return f"{places}:{sha256(lines.encode()).hexdigest()}"


def parse_head(text: str) -> tuple[dict[int, int] | None, str]:
    """Read a head, or its digest alone; raises Malformed."""
    if (match := _HEAD.fullmatch(text.strip())) is None:
        raise Malformed("a head is 0=12,1=7:DIGEST, or DIGEST alone: 64 hexadecimal digits")
    places, digest = match.groups()
    if places is None:
        return ({} if ":" in text else None), digest
    return {int(n): int(seq) for n, seq in (it.split("=") for it in places.split(","))}, digest


def verify_file(path: Path, head: str | None = None, turns: int | None = None) -> Report:
    """Verify an export. Raises OSError, and Malformed when ``head`` is no head."""
    if head is not None:
        parse_head(head)
    turns = turns or 1 + path.stat().st_size // BYTES_IN_ONE_TURN
    return merged([_one_turn(path, head, turn, turns) for turn in range(turns)])


def _one_turn(path: Path, head: str | None, turn: int, turns: int) -> Report:
    verifier = Verifier(turn, turns)
    with path.open("rb") as file:
        while line := file.readline(LONGEST_LINE):
            verifier.feed(line.removesuffix(b"\n"))
    return verifier.finish(head)


def merged(reports: list[Report]) -> Report:
    """Put the reports of all turns together; each has looked at other streams of entries."""
    whole = reports[0]
    for part in reports[1:]:
        whole.findings += part.findings
        whole.streams += part.streams
        whole.sealed += part.sealed
        whole.unsealed += part.unsealed
        whole.first_unsealed += part.first_unsealed
        times = [at for at in (whole.oldest_unsealed, part.oldest_unsealed) if at is not None]
        whole.oldest_unsealed = min(times, default=None)
    whole.findings = sorted(dict.fromkeys(whole.findings), key=lambda finding: finding.line)
    whole.first_unsealed = whole.first_unsealed[:KEPT_NAMES]
    return whole


def described(report: Report) -> Iterable[str]:
    """Yield a report as sentences, the first bad entry first."""
    yield from (f"BROKEN {finding}" for finding in report.findings)
    if len(report.findings) >= KEPT_FINDINGS:
        yield f"and perhaps more: only {KEPT_FINDINGS} are said"
    counts = f"{report.entries:,} entries in {report.streams:,} streams"
    yield f"{counts}, {report.sealed:,} of them as they were sealed by {report.seals:,} seals"
    if report.unsealed:
        names = ", ".join(f"{stream} seq {seq}" for stream, seq in report.first_unsealed)
        more = ", …" if report.unsealed > len(report.first_unsealed) else ""
        oldest = f"the oldest posted at {report.oldest_unsealed} microseconds"
        yield f"{report.unsealed:,} not yet sealed, {oldest}: {names}{more}"
    yield f"head: {report.head}"
    yield "verified" if report.ok else "BROKEN"


def main(arguments: list[str] | None = None) -> int:
    """Verify a file and say what was found."""
    parser = argparse.ArgumentParser(description="Verify an export of Mooring's audit chain.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--head", help="a head that was kept elsewhere; may be older")
    asked = parser.parse_args(arguments)
    try:
        report = verify_file(asked.file, asked.head)
    except (OSError, Malformed) as error:
        parser.error(str(error))
    print("\n".join(described(report)))
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
