"""The audit chain as lines of text: what an auditor takes home.

A header, the seals, the entries, a last line; docs/audit-format.md says what is in them. Seals come
before entries because an entry is in the journal before it is in a seal: read in this order, every
entry that a seal names is there, even while the ledger goes on.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import msgspec

from contracts.envelope import Fact, encode_fact
from kit.clock import Clock
from kit.journal.port import Journal
from services.points.domain.seals import Heads, head_text, seal_hash
from services.points.sealing.chains import cut
from services.points.sealing.sealer import SEALED_KINDS

FORMAT, VERSION = "mooring-audit", 1


@dataclass
class _Written:
    """What the last line says of all the others."""

    digest: Any = field(default_factory=sha256)
    heads: dict[int, tuple[int, str]] = field(default_factory=dict)
    seals: int = 0
    entries: int = 0

    def line(self, line: bytes) -> bytes:
        self.digest.update(line)
        self.digest.update(b"\n")
        return line

    def end(self) -> bytes:
        return msgspec.json.encode(
            {
                "end": FORMAT,
                "seals": self.seals,
                "entries": self.entries,
                "head": head_text(self.heads),
                "sha256": self.digest.hexdigest(),
            }
        )


async def export_lines(entries: Journal, seals: Journal, clock: Clock) -> AsyncIterator[bytes]:
    """Yield the lines of an export, without their line ends; memory stays flat."""
    upto = await cut(seals)
    written = _Written()
    header = {"format": FORMAT, "version": VERSION, "journal": entries.name, "made_at": clock()}
    yield written.line(msgspec.json.encode(header))
    async for facts in seals.scan():
        for fact in facts:
            if _within(fact, upto):
                written.seals += 1
                written.heads[int(fact.owner)] = (fact.seq, seal_hash(fact))
                yield written.line(canonical_line(fact))
    async for facts in entries.scan():
        for fact in facts:
            if fact.stream.partition(":")[0] in SEALED_KINDS:
                written.entries += 1
                yield written.line(canonical_line(fact))
    yield written.end()


def canonical_line(fact: Fact) -> bytes:
    """The canonical bytes of a fact, on one line.

    No line end is ever in them unless somebody has put it there, and then the hash tells.
    """
    return encode_fact(fact).replace(b"\n", b" ")


def _within(fact: Fact, upto: Heads) -> bool:
    """Whether a seal was there at the moment of the cut."""
    head = upto.get(int(fact.owner)) if fact.owner.isdecimal() else None
    return head is not None and fact.seq <= head[0]
