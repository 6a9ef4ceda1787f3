"""A relay as tests want it: it notes what it has published, in that order."""

import asyncio
from collections.abc import Awaitable

from contracts.envelope import Fact
from kit.journal.port import Journal


async def relayed(journal: Journal, limit: int = 1_000) -> list[Fact]:
    """Publish all there is; return it in that order."""
    published: list[Fact] = []
    while facts := await journal.unpublished(limit):
        assert len(facts) <= limit
        published += facts
        await journal.mark_published(facts)
    return published


async def relayed_beside(journal: Journal, writing: Awaitable[object], limit: int) -> list[Fact]:
    """Publish until the writers are done and nothing is left; return it in that order."""
    writers = asyncio.ensure_future(writing)
    published: list[Fact] = []
    async with asyncio.timeout(60):
        while True:
            ending = writers.done()
            facts = await relayed(journal, limit)
            published += facts
            if not facts and ending:
                await writers
                return published
            if not facts:
                await journal.changed(0.05)
