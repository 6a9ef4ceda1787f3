"""Drop the views and build them again from the journals.

Decisions are facts and stay. What the worker had copied of the members' cards belongs to another
service, so it comes from there: from the cards topic, or from wherever the caller gets cards. A
card lists recent changes only; an activity that waits and would need older ones is then decided
with the oldest there is, and marked so.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from uuid import uuid4

import msgspec
import structlog
from msgspec.structs import replace

from contracts.envelope import Fact, decode_fact
from contracts.events import ActivityRecorded
from contracts.members import MemberCard
from contracts.topics import CARDS
from kit.bus.port import Bus, Received
from kit.views.port import Document, Query
from services.events.domain.as_of import Progress, absorb
from services.events.intake import input_hash
from services.events.views import (
    ACTIVITY_HEADS,
    ACTIVITY_INDEX,
    DECIDING,
    Registered,
    progress_document,
    progress_of,
    registration,
)
from services.events.walking import Member, activity_body, members
from services.events.wiring import Wiring

PAGE = 1_000
AT_ONCE = 1  # a time long past: the worker looks at the member as soon as it is there

Cards = AsyncIterator[Sequence[Fact]]
_card = msgspec.json.Decoder(MemberCard)
_log = structlog.get_logger(__name__)


async def rebuild(wiring: Wiring, cards: Cards | None = None) -> int:
    """Rebuild every view; return how many members have activities.

    ``cards`` yields envelopes with cards, several of a member in any order. Without it the copies
    that are there are kept. Stop the service's processes first: they hold heads in memory.
    """
    views = wiring.store.views
    await views.drop(ACTIVITY_INDEX)
    await views.drop(ACTIVITY_HEADS)
    wiring.recording.forget()
    await wiring.recording.rebuild()
    if cards is None:
        await _forget_progress(wiring)
    else:
        await views.drop(DECIDING)
        async for page in cards:
            await _copy(wiring, page)
    count = 0
    async for found in members(wiring):
        await _register(wiring, found)
        await _save_progress(wiring, found)
        count += len(found)
    return count


async def cards_of_topic(bus: Bus, seconds: float = 5.0) -> Cards:
    """Yield every card on the compacted topic, as of now."""
    subscription = bus.subscribe([CARDS.name], f"events.rebuild.{uuid4().hex}")
    try:
        while received := await subscription.poll(PAGE, seconds):
            yield [fact for message in received if (fact := _card_of(message)) is not None]
            await subscription.commit()
            if await subscription.lag() == 0:
                return
    finally:
        await subscription.close()


def _card_of(message: Received) -> Fact | None:
    """A card; None for what is no card: the worker put it aside, or was told to give it up."""
    try:
        fact = decode_fact(message.value)
        _card.decode(fact.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        _log.warning("not_a_card", partition=message.partition, offset=message.offset)
        return None
    return fact


async def _forget_progress(wiring: Wiring) -> None:
    """Leave nothing of the progress but the cards."""
    query = Query(limit=PAGE)
    while documents := await wiring.store.views.find(DECIDING, query):
        emptied = [_emptied(wiring, document) for document in documents]
        await wiring.store.views.save(DECIDING, emptied)
        query = Query(after=(None, documents[-1].id), limit=PAGE)


def _emptied(wiring: Wiring, document: Document) -> Document:
    kept = progress_of(document)
    bare = Progress(carded_at=wiring.clock(), card_version=kept.card_version, card=kept.card)
    return progress_document(document.id, document.version, bare)


async def _copy(wiring: Wiring, cards: Iterable[Fact]) -> None:
    by_member: dict[str, list[Fact]] = {}
    for fact in cards:
        by_member.setdefault(fact.owner, []).append(fact)
    documents = await wiring.store.views.load(DECIDING, list(by_member))
    saved = []
    for member_id, facts in by_member.items():
        document = documents.get(member_id)
        progress = progress_of(document)
        for fact in facts:
            progress = absorb(progress, _card.decode(fact.body), fact.seq, wiring.clock())
        version = document.version if document else 0
        saved.append(progress_document(member_id, version, progress))
    await wiring.store.views.save(DECIDING, saved)


async def _register(wiring: Wiring, found: Sequence[Member]) -> None:
    documents = [
        registration(
            body.activity_id,
            Registered(fact.owner, input_hash(replace(body, returned=None), fact.occurred_at)),
        )
        for member in found
        for fact in member.activities
        if isinstance(body := activity_body(fact), ActivityRecorded)
    ]
    await wiring.store.views.save(ACTIVITY_INDEX, documents)


async def _save_progress(wiring: Wiring, found: Sequence[Member]) -> None:
    documents = await wiring.store.views.load(DECIDING, [m.member_id for m in found])
    saved = []
    for member in found:
        document = documents.get(member.member_id)
        decided, seen = len(member.decisions), len(member.activities)
        until = AT_ONCE if decided < seen else None
        progress = replace(progress_of(document), decided=decided, seen=seen, waiting_until=until)
        version = document.version if document else 0
        saved.append(progress_document(member.member_id, version, progress))
    await wiring.store.views.save(DECIDING, saved)
