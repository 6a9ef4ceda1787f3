"""What a worker that was killed between two steps has left done by half."""

from collections.abc import AsyncIterator, Awaitable, Callable

from kit.journal.port import Journal
from kit.views.port import Collection, Document, Query, Views
from mooring.services import Services
from services.events.views import DECIDING, progress_of
from services.members.views import RELATIONSHIPS, decode_kept
from services.points.views import ACCOUNTS, SNAPSHOT_EVERY
from tests.e2e.dying import APPENDED

Half = Callable[[str], Awaitable[bool]]


def halves(services: Services) -> dict[str, Half]:
    """By worker: whether journal and view stand as a death at this moment leaves them."""
    return {
        "members-worker": lambda moment: _of_members(services, moment),
        "points-worker": lambda moment: _of_points(services, moment),
        "events-worker": lambda moment: _of_events(services, moment),
    }


async def unmarked(services: Services, name: str) -> int:
    """How many facts of the worker's journals are not marked as published."""
    journals = {
        "members-worker": (services.members.files, services.members.relationships),
        "points-worker": (services.points.entries, services.points.chain.seals),
        "events-worker": (services.events.activities, services.events.decisions),
    }
    return sum([len(await journal.unpublished()) for journal in journals[name]])


async def _of_members(services: Services, moment: str) -> bool:
    """The view goes first: after its save it counts with facts that the journal lacks."""
    there = sum((await _heads(services.members.relationships)).values())
    counted = 0
    async for document in _documents(services.members.views, RELATIONSHIPS):
        counted += decode_kept(document).facts
    return there == counted if moment == APPENDED else there < counted


async def _of_points(services: Services, moment: str) -> bool:
    """After the append of a 16th entry that account has none of the snapshots that others have."""
    heads = await _heads(services.points.entries)
    long = [stream.partition(":")[2] for stream, seq in heads.items() if seq >= SNAPSHOT_EVERY]
    kept = await services.points.store.views.load(ACCOUNTS, long)
    return len(kept) < len(long) if moment == APPENDED else len(kept) > 0


async def _of_events(services: Services, moment: str) -> bool:
    """After the append there are decisions that progress does not know of."""
    there = sum((await _heads(services.events.decisions)).values())
    known = 0
    async for document in _documents(services.events.store.views, DECIDING):
        known += progress_of(document).decided
    return known < there if moment == APPENDED else known == there


async def _heads(journal: Journal) -> dict[str, int]:
    return {fact.stream: fact.seq async for facts in journal.scan() for fact in facts}


async def _documents(views: Views, collection: Collection) -> AsyncIterator[Document]:
    after: tuple[None, str] | None = None
    while page := await views.find(collection, Query(after=after, limit=500)):
        for document in page:
            yield document
        after = (None, page[-1].id)
