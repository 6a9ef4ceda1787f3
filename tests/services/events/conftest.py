"""An events service on embedded adapters, with a clock that tests move."""

from collections.abc import AsyncIterator

import pytest

from kit.settings import StoreSettings
from services.events.wiring import Wiring, wire
from tests.services.starting import TestClock


@pytest.fixture
async def wiring(store: StoreSettings, clock: TestClock) -> AsyncIterator[Wiring]:
    wired = wire(store, clock)
    await wired.prepare()
    yield wired
    await wired.close()
