"""The command line as a fixture."""

from pathlib import Path

import pytest

from tests.mooring.command import Command


@pytest.fixture
def mooring(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Command:
    """The command line."""
    for name in ("MOORING_STORE_URL", "MOORING_BUS_URL", "MOORING_PROGRAMME"):
        monkeypatch.delenv(name, raising=False)
    return Command(capsys, monkeypatch, tmp_path / "data")
