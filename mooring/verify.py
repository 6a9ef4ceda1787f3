"""The invariants on a live store, and a digest that proves two runs equal.

The digest is a sum, modulo 2^256, of the BLAKE2b hashes of canonical lines: balances, tiers, stages
and decisions. A sum does not depend on the order of its terms, so no run has to sort anything and
memory stays flat; it is proof against accident and defect, not against somebody who may choose the
lines (the audit chain is for that).
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from hashlib import blake2b

from mooring.services import Services
from services.events import audit as events_audit
from services.members import audit as members_audit
from services.points import audit as points_audit

MODULUS = 1 << 256


@dataclass
class Digest:
    """A running digest and how many lines of each kind are in it."""

    total: int = 0
    lines: dict[str, int] = field(default_factory=dict)

    def add(self, line: str) -> None:
        """Take in one canonical line; its first word is its kind."""
        hashed = blake2b(line.encode(), digest_size=32).digest()
        self.total = (self.total + int.from_bytes(hashed)) % MODULUS
        kind = line.partition(" ")[0]
        self.lines[kind] = self.lines.get(kind, 0) + 1

    async def take(self, lines: AsyncIterator[str]) -> None:
        """Take in all lines of one service."""
        async for line in lines:
            self.add(line)

    @property
    def hex(self) -> str:
        """The digest as text."""
        return f"{self.total:064x}"


@dataclass(frozen=True)
class Report:
    """What ``mooring verify`` found."""

    digest: str
    lines: dict[str, int]
    findings: list[str]

    @property
    def ok(self) -> bool:
        """Whether every invariant holds."""
        return not self.findings


async def verify(services: Services) -> Report:
    """Ask every service for findings and digest lines."""
    digest = Digest()
    found: list[str] = []
    found += await members_audit.findings(services.members, services.events.activities)
    found += await points_audit.findings(services.points)
    found += await events_audit.findings(services.events)
    await digest.take(members_audit.digest_lines(services.members))
    await digest.take(points_audit.digest_lines(services.points))
    await digest.take(events_audit.digest_lines(services.events))
    return Report(digest.hex, digest.lines, found)
