"""An events service on embedded adapters, with a clock that tests move."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.topics import ACTIVITIES, CARDS, REWARDS
from kit.bus.open import open_bus
from kit.bus.port import Bus, TopicSpec
from kit.settings import StoreSettings
from services.events.settings import WorkerSettings
from services.events.wiring import Wiring, wire
from tests.services.starting import TestClock, worker_settings


@pytest.fixture
async def wiring(store: StoreSettings, clock: TestClock) -> AsyncIterator[Wiring]:
    wired = wire(store, clock)
    await wired.prepare()
    yield wired
    await wired.close()


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
