"""Folding a relationship once more, from exactly what it says it has absorbed (for the audit).

A relationship names the last activity and the last change of the file that are in it, so its own
past can be read and folded while newer ones arrive.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from contracts.envelope import Fact
from kit.audit import has_gap
from kit.journal.port import Journal
from kit.views.port import Document, Views
from services.members.absorbing import Absorber, Input, Realised, change_of, input_of
from services.members.keeping import Keeper
from services.members.views import RELATIONSHIPS, Kept, decode_kept, relationship_stream
from services.members.wiring import Wiring


@dataclass(frozen=True)
class Past:
    """What a relationship has absorbed; sentences on what lacks, and on what it has not yet."""

    member_id: str
    kept: Kept
    activities: Sequence[Fact]
    file: Sequence[Fact]
    changes: Sequence[Fact]
    lacking: Sequence[str] = ()
    on_the_way: Sequence[str] = ()


async def past(wiring: Wiring, activities: Journal, document: Document) -> Past:
    """Read the past of a relationship, one fact more than it has absorbed."""
    member_id, kept = document.id, decode_kept(document)
    stream, absorbed, file_seq = f"activity:{member_id}", kept.state.absorbed, kept.state.file_seq
    done = await activities.read(stream, limit=absorbed + 1)
    file = await wiring.files.read(f"member:{member_id}", limit=file_seq + 1)
    changes = await _changes(wiring, member_id, kept)
    on_the_way: list[str] = []
    if len(done) > absorbed:
        head = await activities.head(stream)
        on_the_way.append(
            f"{member_id}: not settled, {absorbed} of {head} activities are absorbed; "
            "verify again once they are"
        )
    if len(file) > file_seq:
        on_the_way.append(f"{member_id}: not settled, the latest on the file is not absorbed yet")
    lacking = [
        *_lacking(member_id, "activities", done[:absorbed], absorbed),
        *_lacking(member_id, "facts of the file", file[:file_seq], file_seq),
    ]
    return Past(member_id, kept, done[:absorbed], file[:file_seq], changes, lacking, on_the_way)


async def _changes(wiring: Wiring, member_id: str, kept: Kept) -> list[Fact]:
    """The changes that the view counts with, those that it still owes to the journal included."""
    stream = relationship_stream(member_id)
    there = (await wiring.relationships.read(stream, limit=max(kept.facts, 1)))[: kept.facts]
    for owed in kept.owed:
        if owed.seq == len(there) + 1:
            there.append(
                Fact(stream, owed.seq, owed.key, owed.type, owed.at, owed.posted_at, owed.body)
            )
    return there


def _lacking(member_id: str, what: str, facts: Sequence[Fact], absorbed: int) -> Iterable[str]:
    if len(facts) < absorbed or has_gap(facts):
        yield f"{member_id}: {absorbed} {what} are absorbed, {len(facts)} are in the journal"


async def folded(
    wiring: Wiring, views: Views, journal: Journal, pasts: Sequence[Past]
) -> dict[str, Document]:
    """Fold into ``views`` what the worker's own handler makes of these, and return it."""
    absorber = Absorber(Keeper(views, journal, wiring.rules, wiring.clock), None)
    await absorber.take_in(fact for each in pasts for fact in each.file)
    await absorber.absorb({each.member_id: _inputs(each) for each in pasts if each.activities})
    return await views.load(RELATIONSHIPS, [each.member_id for each in pasts])


def _inputs(past: Past) -> list[Input]:
    """Activities, and after each the changes on record that time had brought before the next."""
    inputs: list[tuple[int, int, Input]] = []
    for fact in past.activities:
        if (read := input_of(fact)) is not None:
            inputs.append((fact.seq, 0, read))
    for fact in past.changes:
        after = change_of(fact)[1].after_seq
        inputs.append((after, fact.seq, (fact, Realised(after))))
    return [read for _, _, read in sorted(inputs, key=lambda each: each[:2])]
