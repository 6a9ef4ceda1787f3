"""What every adapter refuses before it appends, and what a draft becomes."""

from collections.abc import Sequence

from msgspec import Raw

from contracts.envelope import Fact
from kit.errors import BrokenInvariant
from kit.journal.port import Draft


def require_steps(drafts: Sequence[Draft]) -> None:
    """Refuse a batch that would leave a gap in a stream.

    A stream's name has no slash: the id of a fact is ``stream/seq``, and a range of ids must be a
    range of one stream.
    """
    expected: dict[str, int] = {}
    for draft in drafts:
        stream, seq = draft.stream, draft.seq
        if seq != expected.get(stream, seq) or seq < 1:
            raise BrokenInvariant("gap", "Drafts of a stream must follow each other", stream=stream)
        if "/" in stream:
            raise BrokenInvariant("stream", "A stream's name has no slash", stream=stream)
        expected[stream] = seq + 1


def fact_from(draft: Draft) -> Fact:
    """Return the fact that a draft becomes when it lands."""
    return Fact(
        draft.stream,
        draft.seq,
        draft.key,
        draft.type,
        draft.occurred_at,
        draft.posted_at,
        Raw(draft.body),
        draft.version,
        draft.trace,
    )
