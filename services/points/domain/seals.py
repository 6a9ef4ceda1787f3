"""The audit chain: what a seal says of entries, and how seals hang together. Pure.

Invariants:

* the canonical bytes of a fact are those that ``encode_fact`` makes, which are also those on the
  bus; an entry's hash and a seal's hash are SHA-256 of them and of nothing else;
* a seal's ``previous`` is the hash of the seal before it in its stream;
* a seal covers at most 1,000 entries;
* sealing an entry again is harmless, since it gets the same hash: no record is needed of what has
  been sealed, and a crash at any point leaves a chain that verifies.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

import msgspec

from contracts.envelope import Fact, encode_fact
from contracts.seals import NO_SEAL, LedgerSealed, SealedRun, Witnessed

ENTRY_HASH_BYTES = 16
LARGEST_SEAL = 1_000


class Chain(msgspec.Struct, frozen=True):
    """A stream of seals: the hash of its last one, and how many hashes are in all of them."""

    hash: str = NO_SEAL
    entries: int = 0


@dataclass(frozen=True, slots=True)
class Seal:
    """Seal these entries, none of them sooner than all before them in their stream."""

    runs: tuple[SealedRun, ...]
    sealed_at: int
    witness: Witnessed | None = None


def decide(chain: Chain, command: Seal) -> LedgerSealed:
    """Return the next seal of a stream."""
    count = sum(len(run.hashes) for run in command.runs)
    return LedgerSealed(chain.hash, count, command.runs, command.witness)


def apply(chain: Chain, fact: Fact, seal: LedgerSealed) -> Chain:
    """The chain after a seal."""
    return Chain(seal_hash(fact), chain.entries + seal.count)


def entry_hash(canonical: bytes) -> str:
    """Return what a seal says of an entry."""
    return sha256(canonical).digest()[:ENTRY_HASH_BYTES].hex()


def seal_hash(fact: Fact) -> str:
    """Return what the next seal says of this one."""
    return sha256(encode_fact(fact)).hexdigest()


def content_key(runs: Iterable[SealedRun]) -> str:
    """The journal key of a seal: the same entries delivered again find the seal they have."""
    return sha256(msgspec.json.encode(tuple(runs))).hexdigest()[:32]


class Gathering:
    """Entries of one partition, gathered into seals in the order in which they arrived."""

    def __init__(self, largest: int = LARGEST_SEAL) -> None:
        self._largest = largest
        self._seals: list[dict[str, tuple[int, list[str]]]] = []
        self._gathered = largest  # none is open, as if the last one were full

    def add(self, stream: str, seq: int, canonical: bytes) -> None:
        """Take in an entry."""
        if self._gathered >= self._largest:
            self._seals.append({})
            self._gathered = 0
        runs = self._seals[-1]
        digest = entry_hash(canonical)
        first, hashes = runs.get(stream) or (seq, [])
        at = seq - first
        if at == len(hashes):
            hashes.append(digest)
            runs[stream] = (first, hashes)
            self._gathered += 1
        elif not (0 <= at < len(hashes) and hashes[at] == digest):
            # The relay went back, or someone else wrote to the topic: said as it came.
            self._seals.append({stream: (seq, [digest])})
            self._gathered = 1

    def seals(self) -> list[tuple[SealedRun, ...]]:
        """Return the runs of each seal to make."""
        return [
            tuple(
                SealedRun(stream, first, tuple(hashes)) for stream, (first, hashes) in runs.items()
            )
            for runs in self._seals
        ]


Heads = Mapping[int, tuple[int, str]]
"""The last seal of each partition that has one: its seq and its hash."""


def head_text(heads: Heads) -> str:
    """Return the head of the whole chain, to be kept where nobody who can write here can.

    ``0=12,3=9:DIGEST``: the positions, and the SHA-256 of a line ``seal:N SEQ HASH`` for each. The
    digest is what matters; the positions let an auditor find it in a chain that has grown since.
    """
    digest = sha256()
    for partition, (seq, hash_) in sorted(heads.items()):
        digest.update(f"seal:{partition} {seq} {hash_}\n".encode())
    places = ",".join(f"{partition}={seq}" for partition, (seq, _) in sorted(heads.items()))
    return f"{places}:{digest.hexdigest()}"


def witness_for(partition: int, heads: Heads) -> Witnessed | None:
    """Return the seal to witness: the last one of the next partition, the first being next to the
    last. So every partition is witnessed by one other."""
    others = sorted(other for other in heads if other != partition)
    if not others:
        return None
    other = next((other for other in others if other > partition), others[0])
    return Witnessed(f"seal:{other}", *heads[other])
