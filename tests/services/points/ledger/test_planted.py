"""Each defect planted in the ledger is found, and the ledger without one is not accused."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.services.points.ledger.planted import PLANTED, Plant

ROOT = Path(__file__).parents[4]
DOMAIN = Path("services/points/domain")


def hunt(folder: Path, plant: Plant | None) -> subprocess.CompletedProcess[str]:
    """Run the hunt in a copy of the services, with the plant in it."""
    shutil.copytree(ROOT / "services", folder / "services", ignore=lambda *_: {"__pycache__"})
    command = [sys.executable, "-m", "tests.services.points.ledger.hunt"]
    if plant is not None:
        path = folder / DOMAIN / f"{plant.file}.py"
        text = path.read_text("utf-8")
        assert text.count(plant.text) == 1, f"{plant.name}: {plant.file}.py has changed"
        path.write_text(text.replace(plant.text, plant.instead), "utf-8")
        command += (
            [str(plant.examples), plant.found_by] if plant.found_by else [str(plant.examples)]
        )
    else:
        command.append("20")
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def hunts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, subprocess.CompletedProcess[str]]:
    """All hunts, two at a time."""
    plants = {plant.name: plant for plant in PLANTED}
    with ThreadPoolExecutor(2) as pool:
        started = {
            name: pool.submit(hunt, tmp_path_factory.mktemp("copy"), plant)
            for name, plant in [("", None), *plants.items()]
        }
        return {name: future.result() for name, future in started.items()}


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.name)
def test_a_planted_defect_is_found(
    plant: Plant, hunts: dict[str, subprocess.CompletedProcess[str]]
) -> None:
    hunted = hunts[plant.name]
    assert hunted.returncode == 1, f"not found: {hunted.stdout}{hunted.stderr}"
    assert "ImportError" not in hunted.stderr
    assert "SyntaxError" not in hunted.stderr


def test_the_ledger_as_it_is_is_not_accused(
    hunts: dict[str, subprocess.CompletedProcess[str]],
) -> None:
    assert hunts[""].returncode == 0, hunts[""].stderr
