"""What an audit of a live store may say: broken, on its way, or suspected until looked at again.

A store moves while an audit walks it. What is derived is therefore read before what it derives
from: then it may be behind, which is no breakage, but never ahead. Where a step is seen done by
half (a fact is there, its view is not), time tells: what has moved at another look was on its way,
what has not within ``patience_seconds`` is broken, or waits for a worker that does not run.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from contracts.envelope import Fact
from kit.journal.port import Journal

PATIENCE_SECONDS = 5.0
LOOK_AGAIN_SECONDS = 0.25
OWNERS_AT_ONCE = 200
PAGE = 1_000
LOOKS = 3


@dataclass
class Verdict:
    """Sentences; what is ``suspected`` of an owner stands by the owner."""

    findings: list[str] = field(default_factory=list)
    unsettled: list[str] = field(default_factory=list)
    suspected: dict[str, list[str]] = field(default_factory=dict)

    def add(self, other: "Verdict") -> None:
        """Take in what was said of other owners."""
        self.findings += other.findings
        self.unsettled += other.unsettled
        self.suspected |= other.suspected

    def suspect(self, owner: str, sentence: str) -> None:
        """Note what another look must confirm."""
        self.suspected.setdefault(owner, []).append(sentence)


LookAgain = Callable[[Sequence[str]], Awaitable[Verdict]]


async def confirm(verdict: Verdict, look_again: LookAgain, patience_seconds: float) -> None:
    """Sort what is suspected into what has moved since and what has not."""
    now = asyncio.get_running_loop().time
    deadline = now() + patience_seconds
    while verdict.suspected and now() < deadline:
        await asyncio.sleep(min(LOOK_AGAIN_SECONDS, patience_seconds))
        again = Verdict()
        owners = list(verdict.suspected)
        for start in range(0, len(owners), OWNERS_AT_ONCE):
            again.add(await look_again(owners[start : start + OWNERS_AT_ONCE]))
        for owner in owners:
            if again.suspected.get(owner) != verdict.suspected[owner]:
                moved = verdict.suspected.pop(owner)
                verdict.unsettled += [f"{sentence}, but that has moved since" for sentence in moved]
    verdict.findings += [one for sentences in verdict.suspected.values() for one in sentences]
    verdict.suspected = {}


async def gapless(journal: Journal, stream: str, facts: list[Fact]) -> list[Fact]:
    """Return the facts of a stream; read again where they seem to have a gap.

    A scan that meets a writer halfway may return a fact and miss the one before it.
    """
    for _ in range(LOOKS):
        if not has_gap(facts):
            return facts
        facts = []
        while page := await journal.read(stream, facts[-1].seq if facts else 0, PAGE):
            facts += page
    return facts


def has_gap(facts: Iterable[Fact]) -> bool:
    """Whether the facts do not count from 1."""
    return any(fact.seq != place for place, fact in enumerate(facts, 1))
