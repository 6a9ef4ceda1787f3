"""A points service on embedded adapters, with a clock that tests move."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kit.auth import LocalIssuer
from kit.settings import StoreSettings
from services.points.wiring import Wiring, wire
from tests.ports.stores import Stores, adapter, place, stores
from tests.services.points.club import Club, club_on
from tests.services.starting import TestClock

__all__ = ["adapter", "place", "stores"]


@pytest.fixture
async def wiring(store: StoreSettings, clock: TestClock) -> AsyncIterator[Wiring]:
    wired = wire(store, clock)
    await wired.prepare()
    yield wired
    await wired.close()


@pytest.fixture
async def club(
    tmp_path: Path, store: StoreSettings, clock: TestClock, issuer: LocalIssuer
) -> AsyncIterator[Club]:
    """The API on the embedded adapter."""
    async for opened in club_on(store, tmp_path, clock, issuer):
        yield opened


@pytest.fixture
async def any_club(
    place: Stores, tmp_path: Path, clock: TestClock, issuer: LocalIssuer
) -> AsyncIterator[Club]:
    """The API on each adapter in turn."""
    kind = "sqlite" if place.url.startswith("sqlite") else "mongodb"
    settings = StoreSettings(kind, place.url, place.driver)  # type: ignore[arg-type]
    async for opened in club_on(settings, tmp_path, clock, issuer):
        yield opened
