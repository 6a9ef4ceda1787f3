"""Paying what is owed: bringing facts that a document counts with into the journal.

A document and its facts are two writes. The document goes first and names the facts it owes; they
are appended after it, and again by whoever reads the document next and cannot know that they were.
So the compare-and-set of the document is the one place where writers meet, and a crash between the
two writes is mended by repeating the second.
"""

from collections.abc import Sequence

from kit.errors import BrokenInvariant, Unavailable
from kit.journal.port import Draft, Journal

ATTEMPTS = 5


async def pay(journal: Journal, drafts: Sequence[Draft]) -> None:
    """Append the drafts that are not in the journal yet.

    Raises BrokenInvariant when the journal holds something else in their place.
    """
    for _ in range(ATTEMPTS):
        outcomes = await journal.append(drafts) if drafts else []
        rest = [
            draft
            for draft, outcome in zip(drafts, outcomes, strict=True)
            if outcome.outcome != "appended"
        ]
        if not rest:
            return
        drafts = await missing(journal, rest)
    raise Unavailable(journal.name, "another writer keeps being faster")


async def missing(journal: Journal, drafts: Sequence[Draft]) -> list[Draft]:
    """The drafts that are not in the journal; raises BrokenInvariant like ``pay``."""
    after: dict[str, int] = {}
    for draft in drafts:
        after[draft.stream] = min(draft.seq - 1, after.get(draft.stream, draft.seq))
    streams = await journal.read_many(after)
    there = {(fact.stream, fact.seq): fact for facts in streams.values() for fact in facts}
    absent: list[Draft] = []
    for draft in drafts:
        fact = there.get((draft.stream, draft.seq))
        if fact is None:
            absent.append(draft)
        elif (fact.key, bytes(fact.body)) != (draft.key, draft.body):
            raise BrokenInvariant(
                "facts_diverged",
                "The journal holds another fact than the one that follows from the state",
                fact=fact.id,
                found=fact.key,
                expected=draft.key,
            )
    return absent
