"""A members service on embedded adapters, with a clock that tests move."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.topics import ACTIVITIES, CARDS, MEMBER_FACTS
from kit.bus.open import open_bus
from kit.bus.port import Bus, TopicSpec
from kit.settings import BusSettings, StoreSettings
from services.members.wiring import Wiring, wire
from tests.services.starting import TestClock


@pytest.fixture
async def wiring(store: StoreSettings, clock: TestClock) -> AsyncIterator[Wiring]:
    wired = wire(store, clock)
    await wired.prepare()
    yield wired
    await wired.close()


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Bus]:
    opened = open_bus(BusSettings("sqlite", f"sqlite:{tmp_path}"))
    names = [
        name for topic in (ACTIVITIES, MEMBER_FACTS, CARDS) for name in (topic.name, topic.dead)
    ]
    await opened.prepare([TopicSpec(name, 4) for name in names])
    yield opened
    await opened.close()
