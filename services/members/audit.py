"""What an auditor asks of the relationships: do they hold, and what is their digest?"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import groupby

from contracts.envelope import Fact
from contracts.members import StageChanged
from kit.audit import PATIENCE_SECONDS, Verdict, confirm, gapless
from kit.journal.port import Journal
from kit.views.port import Document, Query
from services.members.absorbing import change_of
from services.members.domain.relationship import changes_of
from services.members.folding import Past, folded, past
from services.members.views import (
    FILES,
    RELATIONSHIPS,
    Kept,
    decode_kept,
    decode_record,
    relationship_stream,
)
from services.members.wiring import Wiring, scratch_store

PAGE, FOLDS_AT_ONCE = 500, 100
READERS = 16
NOT_COMPARED = "(relationships were not compared with their activities: no activity journal given)"


async def findings(
    wiring: Wiring, activities: Journal | None = None, patience_seconds: float = PATIENCE_SECONDS
) -> list[str]:
    """Return what does not hold, as sentences; empty when all is well.

    Without the activity journal the list is headed by ``NOT_COMPARED`` if there is anything else to
    report.
    """
    found = (await examine(wiring, activities, patience_seconds)).findings
    return [NOT_COMPARED, *found] if found and activities is None else found


async def examine(
    wiring: Wiring, activities: Journal | None, patience_seconds: float = PATIENCE_SECONDS
) -> Verdict:
    """Say what does not hold and what is on its way.

    Checked: every step of tier and stage begins where the last one ended, in order of time and of
    activity; the newest changes on the card are those on record; a file and its relationship agree;
    and, given the activity journal, every relationship equals the fold of the journals.
    """
    verdict = Verdict()
    async for facts in _streams(wiring.relationships):
        whole = await gapless(wiring.relationships, facts[0].stream, facts)
        verdict.findings += _chain_findings(wiring, whole)
    async for page in _pages(wiring):
        verdict.add(await _judged(wiring, page))

    async def look_again(owners: Sequence[str]) -> Verdict:
        documents = await wiring.views.load(RELATIONSHIPS, owners)
        return await _judged(wiring, list(documents.values()))

    await confirm(verdict, look_again, patience_seconds)
    if activities is not None:
        await _judge_folds(verdict, wiring, activities)
        await _judge_newcomers(verdict, wiring, activities)
    return verdict


async def digest_lines(wiring: Wiring) -> AsyncIterator[str]:
    """Yield ``member ID tier TIER stage STAGE`` for every enrolled member, in order of id."""
    async for page in _pages(wiring):
        for document in page:
            state = decode_kept(document).state
            if state.enrolment is not None:
                yield f"member {document.id} tier {state.tier} stage {state.stage}"


async def _pages(wiring: Wiring, size: int = PAGE) -> AsyncIterator[list[Document]]:
    after: tuple[None, str] | None = None
    while page := await wiring.views.find(RELATIONSHIPS, Query(after=after, limit=size)):
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


async def _judged(wiring: Wiring, page: Sequence[Document]) -> Verdict:
    verdict = Verdict()
    kept = {document.id: decode_kept(document) for document in page}
    journal = await _changes(wiring, kept)
    unequal = [m for m, relationship in kept.items() if relationship.facts != len(journal[m])]
    await _look_closer(verdict, wiring, unequal, kept, journal)
    records = await wiring.views.load(FILES, list(kept))
    for member_id, relationship in kept.items():
        if member_id not in verdict.suspected:
            facts = journal[member_id]
            verdict.findings += _card_findings(wiring, member_id, relationship, facts)
        verdict.findings += _file_findings(member_id, relationship, records.get(member_id))
    return verdict


async def _changes(wiring: Wiring, members: Iterable[str]) -> dict[str, list[Fact]]:
    streams = {relationship_stream(member_id): member_id for member_id in members}
    tails = await wiring.relationships.read_many(dict.fromkeys(streams, 0))
    return {streams[stream]: facts for stream, facts in tails.items()}


async def _look_closer(
    verdict: Verdict,
    wiring: Wiring,
    unequal: Sequence[str],
    kept: dict[str, Kept],
    journal: dict[str, list[Fact]],
) -> None:
    """Read these members anew; put the present view, and the changes it counts, in their places.

    The view counts with a change before it is in the journal. So one that is read after the journal
    counts all that was there, and what it lacks at a further look is among what it owes.
    """
    if not unequal:
        return
    documents = await wiring.views.load(RELATIONSHIPS, unequal)
    later = await _changes(wiring, unequal)
    for member_id, document in documents.items():
        now = decode_kept(document)
        known, there = len(journal[member_id]), later[member_id]
        kept[member_id] = now
        if known <= now.facts <= len(there):
            journal[member_id] = there[: now.facts]
        elif known <= now.facts <= len(there) + len(now.owed):
            verdict.suspect(member_id, _unequal(member_id, now, there))


def _card_findings(
    wiring: Wiring, member_id: str, kept: Kept, facts: Sequence[Fact]
) -> Iterable[str]:
    state = kept.state
    if kept.facts != len(facts):
        yield _unequal(member_id, kept, facts)
    changes = changes_of(map(change_of, facts), wiring.rules)[-len(state.changes) :]
    if tuple(changes) != state.changes:
        yield f"{member_id}: the card's changes are not those on record"
    last = state.changes[-1]
    if (last.tier, last.stage) != (state.tier, state.stage):
        yield f"{member_id}: the card's last change is not its tier and stage"


def _unequal(member_id: str, kept: Kept, facts: Sequence[Fact]) -> str:
    return f"{member_id}: {kept.facts} changes in the view, {len(facts)} in the journal"


def _file_findings(member_id: str, kept: Kept, document: Document | None) -> Iterable[str]:
    joined = kept.state.enrolment
    if document is None:
        if joined is not None:
            yield f"{member_id}: enrolled, but without a member file"
        return
    record = decode_record(document)
    if joined is not None and (joined.at, joined.channel) != (record.enrolled_at, record.channel):
        yield f"{member_id}: the file and the relationship differ on the enrolment"


async def _judge_folds(verdict: Verdict, wiring: Wiring, activities: Journal) -> None:
    """Fold what each relationship says it has absorbed into a store of its own, and compare."""
    gate = asyncio.Semaphore(READERS)

    async def read(document: Document) -> Past:
        async with gate:
            return await past(wiring, activities, document)

    store = scratch_store()
    try:
        await store.views.prepare([RELATIONSHIPS])
        journal = store.journal("audit.relationships")
        await journal.prepare()
        async for page in _pages(wiring, FOLDS_AT_ONCE):
            pasts = await asyncio.gather(*map(read, page))
            whole = [each for each in pasts if not each.lacking]
            again = await folded(wiring, store.views, journal, whole)
            for each in pasts:
                verdict.findings += each.lacking or _differences(each, again.get(each.member_id))
                verdict.unsettled += each.on_the_way
    finally:
        await store.close()


def _differences(past: Past, again: Document | None) -> Iterator[str]:
    if again is None:
        yield f"{past.member_id}: the journals know nothing of this relationship"
    elif (expected := decode_kept(again)) and (
        (past.kept.state, past.kept.facts) != (expected.state, expected.facts)
    ):
        yield f"{past.member_id}: the relationship is not the fold of the journals"


async def _judge_newcomers(verdict: Verdict, wiring: Wiring, activities: Journal) -> None:
    """Note the members of whom nothing at all is absorbed yet."""
    told: set[str] = set()
    for journal in (activities, wiring.files):
        async for facts in journal.scan():
            owners = dict.fromkeys(fact.owner for fact in facts)
            known = await wiring.views.load(RELATIONSHIPS, list(owners))
            for owner in owners:
                if owner not in known and owner not in told:
                    told.add(owner)
                    verdict.unsettled.append(
                        f"{owner}: not settled, nothing of this member is absorbed yet"
                    )
