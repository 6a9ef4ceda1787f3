"""What an auditor asks of the relationships: do they hold, and what is their digest?"""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import groupby

from contracts.envelope import Fact
from contracts.members import StageChanged
from kit.journal.port import Journal
from kit.views.port import Document, Query
from services.members.absorbing import change_of
from services.members.domain.relationship import changes_of
from services.members.keeping import Keeper
from services.members.rebuild import replay
from services.members.views import (
    FILES,
    RELATIONSHIPS,
    Kept,
    decode_kept,
    decode_record,
    relationship_stream,
)
from services.members.wiring import Wiring, scratch_store

PAGE = 500
NOT_COMPARED = "(relationships were not compared with their activities: no activity journal given)"


async def findings(wiring: Wiring, activities: Journal | None = None) -> list[str]:
    """Return what does not hold, as sentences; empty when all is well.

    Checked: every step of tier and stage begins where the last one ended, in order of time and of
    activity; the newest changes on the card are those on record; a file and its relationship agree;
    and, given the activity journal, every relationship equals the fold of the journals. Without it
    the list is headed by ``NOT_COMPARED`` if there is anything else to report.
    """
    found: list[str] = []
    async for facts in _streams(wiring.relationships):
        found += _chain_findings(wiring, facts)
    async for page in _pages(wiring):
        found += await _page_findings(wiring, page)
    if activities is None:
        return [NOT_COMPARED, *found] if found else []
    return found + await _fold_findings(wiring, activities)


async def digest_lines(wiring: Wiring) -> AsyncIterator[str]:
    """Yield ``member ID tier TIER stage STAGE`` for every enrolled member, in order of id."""
    async for page in _pages(wiring):
        for document in page:
            state = decode_kept(document).state
            if state.enrolment is not None:
                yield f"member {document.id} tier {state.tier} stage {state.stage}"


async def _pages(wiring: Wiring) -> AsyncIterator[list[Document]]:
    after: tuple[None, str] | None = None
    while page := await wiring.views.find(RELATIONSHIPS, Query(after=after, limit=PAGE)):
        yield page
        after = (None, page[-1].id)


async def _streams(journal: Journal) -> AsyncIterator[list[Fact]]:
    """The journal's streams, each whole, whatever the size of a scan's batches."""
    stream: list[Fact] = []
    async for facts in journal.scan():
        for name, group in groupby(facts, lambda fact: fact.stream):
            if stream and stream[0].stream != name:
                yield stream
                stream = []
            stream += group
    if stream:
        yield stream


def _chain_findings(wiring: Wiring, facts: Sequence[Fact]) -> Iterator[str]:
    """Each change begins where the last of its kind ended."""
    here = {"tier": wiring.rules.tiers[0].code, "stage": wiring.rules.stages[0]}
    last = (0, 0)
    for seq, fact in enumerate(facts, 1):
        at, body = change_of(fact)
        kind, reached = (
            ("stage", body.stage) if isinstance(body, StageChanged) else ("tier", body.tier)
        )
        if fact.seq != seq:
            yield f"{fact.id}: seq {seq} was expected"
        if body.previous != here[kind]:
            yield f"{fact.id}: begins at {kind} {body.previous}, the last one ended at {here[kind]}"
        if (body.after_seq, at) < last or at < last[1]:
            yield f"{fact.id}: comes after a later change"
        here[kind], last = reached, (body.after_seq, at)


async def _page_findings(wiring: Wiring, page: Sequence[Document]) -> list[str]:
    kept = {document.id: decode_kept(document) for document in page}
    streams = {relationship_stream(member_id): 0 for member_id in kept}
    journal = await wiring.relationships.read_many(streams)
    records = await wiring.views.load(FILES, list(kept))
    found: list[str] = []
    for member_id, relationship in kept.items():
        facts = journal[relationship_stream(member_id)]
        found += _card_findings(wiring, member_id, relationship, facts)
        found += _file_findings(member_id, relationship, records.get(member_id))
    return found


def _card_findings(
    wiring: Wiring, member_id: str, kept: Kept, facts: Sequence[Fact]
) -> Iterable[str]:
    state = kept.state
    if kept.facts != len(facts):
        yield f"{member_id}: {kept.facts} changes in the view, {len(facts)} in the journal"
    changes = changes_of(map(change_of, facts), wiring.rules)[-len(state.changes) :]
    if tuple(changes) != state.changes:
        yield f"{member_id}: the card's changes are not those on record"
    last = state.changes[-1]
    if (last.tier, last.stage) != (state.tier, state.stage):
        yield f"{member_id}: the card's last change is not its tier and stage"


def _file_findings(member_id: str, kept: Kept, document: Document | None) -> Iterable[str]:
    joined = kept.state.enrolment
    if document is None:
        if joined is not None:
            yield f"{member_id}: enrolled, but without a member file"
        return
    record = decode_record(document)
    if joined is not None and (joined.at, joined.channel) != (record.enrolled_at, record.channel):
        yield f"{member_id}: the file and the relationship differ on the enrolment"


async def _fold_findings(wiring: Wiring, activities: Journal) -> list[str]:
    """Fold everything again into a store of its own, and compare."""
    store = scratch_store()
    try:
        await store.views.prepare([RELATIONSHIPS])
        journal = store.journal("audit.relationships")
        await journal.prepare()
        keeper = Keeper(store.views, journal, wiring.rules, wiring.clock)
        await replay(wiring, keeper, activities)
        found: list[str] = []
        async for page in _pages(wiring):
            again = await store.views.load(RELATIONSHIPS, [document.id for document in page])
            found += _differences(page, again)
        kept = (await wiring.views.count(RELATIONSHIPS)).get("", 0)
        folded = (await store.views.count(RELATIONSHIPS)).get("", 0)
        if kept != folded:
            found.append(f"{kept} relationships, but the journals make {folded}")
        return found
    finally:
        await store.close()


def _differences(page: Sequence[Document], again: dict[str, Document]) -> Iterator[str]:
    for document in page:
        kept, folded = decode_kept(document), again.get(document.id)
        expected = decode_kept(folded) if folded is not None else None
        if expected is None:
            yield f"{document.id}: the journals know nothing of this relationship"
        elif kept.state.absorbed < expected.state.absorbed:
            yield (
                f"{document.id}: not settled, {kept.state.absorbed} of "
                f"{expected.state.absorbed} activities are absorbed; verify again once they are"
            )
        elif (kept.state, kept.facts) != (expected.state, expected.facts):
            yield f"{document.id}: the relationship is not the fold of the journals"
