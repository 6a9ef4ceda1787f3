"""A ledger's journal, its topic and its audit chain, without the rules of the points service."""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from contracts.topics import ENTRIES
from kit.bus.consume import Consumer, Envelope
from kit.bus.port import Bus
from kit.journal.port import Draft
from kit.relay import Relay
from mooring.audit_verify import Report, Verifier, head_text
from services.points.sealing.sealer import Sealer
from services.points.sealing.wiring import Sealing
from tests.services.starting import START, TestClock

PARTITIONS = 4
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Alone:
    """A lease that nobody contests."""

    async def acquire(self) -> bool:
        return True

    async def renew(self) -> bool:
        return True

    async def release(self) -> None:
        return None


def entry(stream: str, seq: int, body: str | None = None) -> Draft:
    """An entry as the ledger would write it; every third one of version 2, every other traced."""
    return Draft(
        stream,
        seq,
        f"reward:{seq}",
        b"same",
        "PointsPosted",
        START + seq,
        START + 10 + seq,
        (body or f'{{"entry_id":"{seq}","amount":{100 * seq},"note":"é\\u0000"}}').encode(),
        2 if seq % 3 == 0 else 1,
        TRACE if seq % 2 else None,
    )


@dataclass
class Books:
    """Posts, publishes and seals, one step at a time."""

    sealing: Sealing
    bus: Bus
    clock: TestClock
    heads: dict[str, int] = field(default_factory=dict)

    async def post(self, streams: Sequence[str], count: int = 1) -> None:
        """Append ``count`` entries to each account."""
        drafts = []
        for stream in streams:
            for _ in range(count):
                self.heads[stream] = self.heads.get(stream, 0) + 1
                drafts.append(entry(stream, self.heads[stream]))
        await self.sealing.entries.append(drafts)

    async def publish(self) -> None:
        """Relay what was posted."""
        relay = Relay(self.sealing.entries, self.bus, lambda fact: ENTRIES.name, Alone())
        while await relay.step():
            pass

    async def seal(self) -> None:
        """Seal what was published, as the worker's task does, without its rests."""
        await self.seal_with(Sealer(self.sealing.chains, self.clock).handle)

    async def seal_with(self, handler: Callable[[list[Envelope]], Awaitable[None]]) -> None:
        """Consume what was published with this handler, then leave the group."""
        consumer = Consumer(
            self.bus, [ENTRIES.name], "points-seal", handler, self.sealing.store.views
        )
        while await consumer.step(0.0):
            self.clock.now += 1_000_000
        await consumer.close()

    async def round(self, streams: Sequence[str], count: int = 1) -> None:
        """Post, publish and seal."""
        await self.post(streams, count)
        await self.publish()
        await self.seal()

    async def export(self) -> list[bytes]:
        """The lines of an export."""
        return [line async for line in self.sealing.export()]


def verified(lines: Sequence[bytes], head: str | None = None, turn: int = 0, of: int = 1) -> Report:
    """What the auditor's verifier says of these lines."""
    verifier = Verifier(turn, of)
    for line in lines:
        verifier.feed(line)
    return verifier.finish(head)


def places(report: Report) -> list[tuple[str, int]]:
    """Where the findings are, in their order."""
    return [(finding.stream, finding.seq) for finding in report.findings]


def first(report: Report) -> tuple[str, int]:
    """Where the first finding is."""
    return places(report)[0] if report.findings else ("", 0)


Fact = dict[str, Any]


def facts(lines: Sequence[bytes]) -> list[Fact]:
    """The seals and entries of an export."""
    return [json.loads(line) for line in lines[1:-1]]


def line_of(fact: Fact) -> bytes:
    """A fact as canonical bytes, written as the ledger writes it."""
    return json.dumps(fact, separators=(",", ":"), ensure_ascii=False).encode()


def closed(lines: Sequence[bytes]) -> list[bytes]:
    """Lines without their last one, with the last one that a careful forger would write."""
    heads: dict[int, tuple[int, str]] = {}
    counts = {"seals": 0, "entries": 0}
    for line in lines[1:]:
        try:
            fact = json.loads(line)
        except ValueError:
            counts["entries"] += 1
            continue
        if fact["stream"].startswith("seal:"):
            counts["seals"] += 1
            heads[int(fact["stream"][5:])] = (fact["seq"], sha256(line).hexdigest())
        else:
            counts["entries"] += 1
    digest = sha256(b"".join(line + b"\n" for line in lines)).hexdigest()
    end = {"end": "mooring-audit", **counts, "head": head_text(heads), "sha256": digest}
    return [*lines, line_of(end)]
