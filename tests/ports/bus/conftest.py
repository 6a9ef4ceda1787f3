"""The fixtures of the bus's port suite."""

from collections.abc import AsyncIterator, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from kit.bus.halts import HALTED
from kit.views.port import Views
from kit.views.sqlite import SqliteViews
from tests.ports.bus.brokers import broker, bus

__all__ = ["broker", "bus"]


@pytest.fixture
async def views(tmp_path: Path) -> AsyncIterator[Views]:
    """The views that halts are kept in."""
    views = SqliteViews(tmp_path / "views", "tests")
    await views.prepare([HALTED])
    yield views
    await views.close()


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    """What was logged; it also spares the console renderer, half a second per traceback."""
    with capture_logs() as captured:
        yield captured
