"""The fixtures of the bus's port suite."""

from pathlib import Path

import pytest

from kit.bus.halts import HALTED
from kit.views.port import Views
from kit.views.sqlite import SqliteViews
from tests.ports.bus.brokers import broker, bus

__all__ = ["broker", "bus"]


@pytest.fixture
async def views(tmp_path: Path) -> Views:
    """The views that halts are kept in."""
    views = SqliteViews(tmp_path / "views", "tests")
    await views.prepare([HALTED])
    return views
