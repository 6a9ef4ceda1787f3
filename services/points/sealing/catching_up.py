"""Sealing what no seal covers: a ledger that is older than its seals, or a topic that was lost.

What is sealed late was unprotected until now, so an operator asks for it; no process does it by
itself. It may run beside a worker: what both seal has the same hashes.
"""

from msgspec.json import Decoder

from contracts.envelope import Fact, encode_fact
from contracts.seals import LedgerSealed
from contracts.topics import ENTRIES
from kit.bus.partitioner import partition_of
from kit.clock import Clock
from kit.journal.port import Journal
from services.points.domain.seals import Gathering
from services.points.sealing.chains import Chains
from services.points.sealing.sealer import BATCH, SEALED_KINDS, Sealer

_decoder = Decoder(LedgerSealed)

Covered = dict[str, int]
"""For each stream the seqs that are sealed, as the bits of a number."""


async def seal_missing(entries: Journal, seals: Journal, chains: Chains, clock: Clock) -> int:
    """Seal every entry of the journal that is in no seal; return how many there were."""
    covered = await _covered(seals)
    sealer = Sealer(chains, clock)
    missing: list[Fact] = []
    count = 0
    async for facts in entries.scan():
        missing += [fact for fact in facts if _is_missing(fact, covered)]
        if len(missing) >= BATCH:
            count += await _seal(sealer, missing)
            missing = []
    return count + await _seal(sealer, missing)


async def _covered(seals: Journal) -> Covered:
    covered: Covered = {}
    async for facts in seals.scan():
        for fact in facts:
            for run in _decoder.decode(fact.body).runs:
                bits = (1 << len(run.hashes)) - 1 << run.first
                covered[run.stream] = covered.get(run.stream, 0) | bits
    return covered


def _is_missing(fact: Fact, covered: Covered) -> bool:
    if fact.stream.partition(":")[0] not in SEALED_KINDS:
        return False
    return not covered.get(fact.stream, 0) >> fact.seq & 1


async def _seal(sealer: Sealer, facts: list[Fact]) -> int:
    gathered: dict[int, Gathering] = {}
    for fact in facts:
        partition = partition_of(fact.owner, ENTRIES.partitions)
        gathering = gathered.setdefault(partition, Gathering())
        gathering.add(fact.stream, fact.seq, encode_fact(fact))
    await sealer.seal({number: each.seals() for number, each in gathered.items()})
    return len(facts)
