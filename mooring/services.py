"""The three services' stores, opened side by side by an operator's command."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from kit.settings import StoreSettings
from services.events import wiring as events
from services.members import wiring as members
from services.points import wiring as points


@dataclass(frozen=True)
class Services:
    """What an operator's command sees of each service: its wiring, without its processes."""

    members: members.Wiring
    points: points.Wiring
    events: events.Wiring


@asynccontextmanager
async def opened(store: StoreSettings, programme: Path) -> AsyncIterator[Services]:
    """Open all three stores, and close them again."""
    services = Services(
        members.wire(store, programme=programme),
        points.wire(store, programme=programme),
        events.wire(store),
    )
    try:
        yield services
    finally:
        await services.members.close()
        await services.points.close()
        await services.events.close()
