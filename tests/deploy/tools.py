"""Find and run the programs that these tests need; a missing one fails, naming how to get it."""

import copy
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

Document = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
BASE = ROOT / "deploy/k8s/base"
DEV = ROOT / "deploy/k8s/overlays/dev"
INSTALL = "run tests/deploy/install_tools.sh, which needs Go or an existing kubectl"
INSTALL_PYTHON = "install the project's dev extra: pip install -e '.[dev]'"
TIMEOUT_SECONDS = 120


def located(name: str) -> str | None:
    """A program of this project's tool folder, of the virtual environment, or of the machine."""
    folders = [ROOT / ".cache/tools", Path(sys.executable).parent]
    searched = os.pathsep.join([*map(str, folders), os.environ.get("PATH", "")])
    return shutil.which(name, path=searched)


def program(name: str, how_to_install: str = INSTALL_PYTHON) -> str:
    found = located(name)
    if found is None:
        pytest.fail(f"{name} is missing: {how_to_install}", pytrace=False)
    return found


def run(command: Sequence[str], text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        input=text,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


def kustomize_command() -> list[str]:
    """kustomize alone or the one inside kubectl: whichever the machine has."""
    if alone := located("kustomize"):
        return [alone, "build"]
    return [program("kubectl", INSTALL), "kustomize"]


@functools.cache
def rendered(folder: Path) -> str:
    done = run([*kustomize_command(), str(folder)])
    assert done.returncode == 0, done.stderr
    return done.stdout


def documents(folder: Path) -> list[Document]:
    """Fresh copies each time, so that a test may break them."""
    return copy.deepcopy(_parsed(folder))


@functools.cache
def _parsed(folder: Path) -> list[Document]:
    return [document for document in yaml.safe_load_all(rendered(folder)) if document]


if __name__ == "__main__":
    print(rendered(Path(sys.argv[1])), end="")
