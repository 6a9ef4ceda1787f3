"""python -m tests.servers install | run -- COMMAND…"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from types import FrameType

from tests.servers.install import install
from tests.servers.shell import ServerError

USAGE = """\
python -m tests.servers install           obtain Apache Kafka and the document database
python -m tests.servers run -- COMMAND…   run a command beside both, then stop them"""


def main(arguments: list[str]) -> int:
    try:
        if arguments == ["install"]:
            return _install()
        if arguments[:2] == ["run", "--"] and arguments[2:]:
            return _run(arguments[2:])
    except ServerError as error:
        print(error, file=sys.stderr)
        return 1
    print(USAGE, file=sys.stderr)
    return 2


def _install() -> int:
    started = time.monotonic()
    where = install(_say)
    _say(f"servers are in {where.root} ({time.monotonic() - started:.0f} s)")
    return 0


def _run(command: list[str]) -> int:
    # Only here: `install` must not need the packages with which the servers are asked.
    from tests.servers.control import serve_both

    signal.signal(signal.SIGTERM, _leave)
    _install()
    with serve_both() as environment:
        for name, value in environment.items():
            _say(f"{name}={value}")
        return subprocess.run(command, env={**os.environ, **environment}, check=False).returncode


def _leave(number: int, frame: FrameType | None) -> None:
    """SIGTERM as an exception, so that the servers are stopped on the way out."""
    raise SystemExit(128 + number)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


sys.exit(main(sys.argv[1:]))
