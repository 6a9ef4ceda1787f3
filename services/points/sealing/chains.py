"""The streams of seals, and what is read of them: their heads, and a cut through all of them."""

import asyncio
from collections.abc import Mapping
from typing import Any

from contracts.envelope import SEQ_DIGITS, Fact
from contracts.seals import LedgerSealed
from contracts.topics import ENTRIES
from kit.clock import Clock
from kit.errors import Unavailable
from kit.journal.port import Journal
from kit.streams import Command, New, Streams
from kit.views.port import Collection, Views
from services.points.domain.seals import Chain, Heads, Seal, apply, content_key, decide, seal_hash

KIND = "seal"
CHAINS = Collection("seal_chains")
SNAPSHOT_EVERY = 8
CUT_ATTEMPTS, CUT_PAUSE_SECONDS = 200, 0.01
_BEHIND_ALL = 10**SEQ_DIGITS - 1

Chains = Streams[Chain, Seal]


class ChainFold:
    """Fold a stream of seals into the hash of its last one."""

    state_type = Chain
    bodies: Mapping[str, type] = {"LedgerSealed": LedgerSealed}

    def initial(self, owner: str) -> Chain:
        """A stream without seals."""
        return Chain()

    def apply(self, state: Chain, fact: Fact, body: Any) -> Chain:
        """The chain after a seal."""
        return apply(state, fact, body)


def chains(journal: Journal, views: Views, clock: Clock) -> Chains:
    """Return the streams ``seal:{partition}`` of the journal ``points.seals``."""
    return Streams(KIND, journal, views, CHAINS, ChainFold(), clock, snapshot_every=SNAPSHOT_EVERY)


def seal_command(partition: int, seal: Seal) -> Command[Seal]:
    """The command that appends a seal; its key is its content, so a repeat finds the first."""
    key = content_key(seal.runs)
    return Command(str(partition), key, key.encode(), seal)


def new_seal(chain: Chain, command: Seal) -> list[New]:
    """The fact a command makes."""
    seal = decide(chain, command)
    return [New(content_key(command.runs), "LedgerSealed", command.sealed_at, seal)]


async def heads(journal: Journal) -> Heads:
    """Return the last seal of every partition that has one, from the journal itself."""
    numbers = range(ENTRIES.partitions)
    last = await asyncio.gather(*(_last(journal, number) for number in numbers))
    return {n: (fact.seq, seal_hash(fact)) for n, fact in zip(numbers, last, strict=True) if fact}


async def _last(journal: Journal, partition: int) -> Fact | None:
    found = await journal.read(f"{KIND}:{partition}", limit=1, backwards_from=_BEHIND_ALL)
    return found[0] if found else None


async def cut(journal: Journal, attempts: int = CUT_ATTEMPTS) -> Heads:
    """Return heads that were all there at one moment, though seals are being made.

    What is read twice without a change was there between the two. A seal up to such heads never
    names a witness beyond them.
    """
    before = await heads(journal)
    for _ in range(attempts):
        now = await heads(journal)
        if now == before:
            return now
        before = now
        await asyncio.sleep(CUT_PAUSE_SECONDS)
    raise Unavailable("A quiet moment between seals", "they are made faster than they can be read")
