"""An events service on embedded adapters, with a clock that tests move."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from contracts.topics import ACTIVITIES, CARDS, REWARDS
from kit.auth import LocalIssuer
from kit.bus.open import open_bus
from kit.bus.port import Bus, TopicSpec
from kit.settings import StoreSettings
from services.events.app import create_app
from services.events.settings import ApiSettings, WorkerSettings
from services.events.wiring import Wiring, wire
from tests.services.events.calling import as_
from tests.services.starting import TestClock, api_settings, worker_settings


@pytest.fixture
async def wiring(store: StoreSettings, clock: TestClock) -> AsyncIterator[Wiring]:
    wired = wire(store, clock)
    await wired.prepare()
    yield wired
    await wired.close()


@pytest.fixture
async def api(
    tmp_path: Path, store: StoreSettings, clock: TestClock, issuer: LocalIssuer
) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the token of the partner whose source the bodies name."""
    settings = api_settings(ApiSettings, tmp_path)
    app = create_app(settings, clock)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://events") as client:
            client.headers.update(as_(issuer, "partner", partner="pos"))
            yield client


@pytest.fixture
def settings(tmp_path: Path, store: StoreSettings) -> WorkerSettings:
    return worker_settings(WorkerSettings, tmp_path)


@pytest.fixture
async def bus(settings: WorkerSettings) -> AsyncIterator[Bus]:
    opened = open_bus(settings.bus)
    await opened.prepare(
        [
            TopicSpec(name, 4, topic.compacted)
            for topic in (ACTIVITIES, CARDS, REWARDS)
            for name in (topic.name, topic.dead)
        ]
    )
    yield opened
    await opened.close()
