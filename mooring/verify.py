"""The invariants on a live store, and a digest that proves two runs equal.

The digest is a sum, modulo 2^256, of the BLAKE2b hashes of canonical lines: balances, tiers, stages
and decisions. A sum does not depend on the order of its terms, so no run has to sort anything and
memory stays flat; it is proof against accident and defect, not against somebody who may choose the
lines (the audit chain is for that).

A live store moves: what is on its way is ``unsettled``, which is not broken, and then the digest
is of a moment that nobody can repeat. Each service's audit says what does not hold of its own; it
tells the one from the other.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from hashlib import blake2b

from kit.audit import PATIENCE_SECONDS, Verdict
from mooring.audit import verify_live
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
    unsettled: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every invariant holds and nothing is on its way."""
        return not self.findings and not self.unsettled


async def verify(services: Services, patience_seconds: float = PATIENCE_SECONDS) -> Report:
    """Ask every service for findings and digest lines.

    What is seen done by half is looked at again for up to ``patience_seconds`` a service.
    """
    digest, verdict = Digest(), Verdict()
    activities = services.events.activities
    verdict.add(await members_audit.examine(services.members, activities, patience_seconds))
    verdict.add(await points_audit.examine(services.points, patience_seconds))
    verdict.findings += [str(each) for each in (await verify_live(services.points.chain)).findings]
    verdict.add(await events_audit.examine(services.events, patience_seconds))
    await digest.take(members_audit.digest_lines(services.members))
    await digest.take(points_audit.digest_lines(services.points))
    await digest.take(events_audit.digest_lines(services.events))
    return Report(digest.hex, digest.lines, verdict.findings, verdict.unsettled)
