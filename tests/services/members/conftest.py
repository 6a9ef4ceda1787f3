"""A members service on embedded adapters, with a clock that tests move."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from contracts.topics import ACTIVITIES, CARDS, MEMBER_FACTS
from kit.bus.open import open_bus
from kit.bus.port import Bus, TopicSpec
from kit.settings import BusSettings, StoreSettings
from services.members.wiring import Wiring, wire

START = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z


@dataclass
class TestClock:
    """A clock that stands still until it is moved."""

    __test__ = False
    now: int = START

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def store(tmp_path: Path) -> StoreSettings:
    return StoreSettings("sqlite", f"sqlite:{tmp_path}")


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
