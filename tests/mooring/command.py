"""The command line, run in this process."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from mooring.cli import main

NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True)
class Done:
    """A command that has ended. ``err`` is without white space: lines break where they must."""

    code: int
    out: str
    err: str


@dataclass
class Command:
    """Runs ``mooring`` in this process, with nothing of Mooring in the environment."""

    capsys: pytest.CaptureFixture[str]
    patch: pytest.MonkeyPatch
    data: Path

    def __call__(self, *arguments: object, variables: Mapping[str, str] = NOTHING) -> Done:
        """Run to the end."""
        for name, value in ({"MOORING_DATA": str(self.data)} | dict(variables)).items():
            self.patch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main([str(each) for each in arguments])
        said = self.capsys.readouterr()
        assert "Traceback" not in said.err
        return Done(int(ended.value.code or 0), said.out, squeezed(said.err))


def squeezed(text: str) -> str:
    """A text without white space and the frames that typer draws."""
    return "".join(text.replace("│", "").split())
