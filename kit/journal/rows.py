"""Facts as documents: how a draft is written, and a fact read."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from msgspec import Raw

from contracts.envelope import Fact, fact_id
from kit.journal.port import Draft
from kit.mongo.driver import Row

T = TypeVar("T")

# One query names so many ids (measured on FerretDB: 10 ms for 1,000).
IDS = 1000


def row_of(draft: Draft, note: str | None = None) -> Row:
    """Return the document of a draft: marked ``out``, or named in a note."""
    id_ = fact_id(draft.stream, draft.seq)
    row: Row = {
        "_id": id_,
        "stream": draft.stream,
        "seq": draft.seq,
        "key": draft.key,
        "hash": draft.input_hash,
        "type": draft.type,
        "version": draft.version,
        "occurred": draft.occurred_at,
        "posted": draft.posted_at,
        "body": draft.body.decode(),  # as text, so that an operator can read it
    }
    if note is None:
        row["out"] = f"{draft.posted_at:020d}/{id_}"
    else:
        row["note"] = note
    if draft.trace is not None:
        row["trace"] = draft.trace
    return row


def fact_of(row: Row) -> Fact:
    """Return the fact that a document holds."""
    return Fact(
        row["stream"],
        int(row["seq"]),  # the driver's 64-bit integers are a subclass, which msgspec refuses
        row["key"],
        row["type"],
        int(row["occurred"]),
        int(row["posted"]),
        Raw(row["body"].encode()),
        int(row["version"]),
        row.get("trace"),
    )


def seq_of(row: Row) -> int:
    """Return a document's seq."""
    seq: int = row["seq"]
    return seq


def parts(values: Sequence[T], size: int) -> Iterable[Sequence[T]]:
    """Cut a sequence into parts of a size."""
    return (values[start : start + size] for start in range(0, len(values), size))
