"""Answer a container's health check: is the process in this container ready?

Standard library only, because it runs every few seconds beside the process: importing the
application would cost more than the question.
"""

import os
import sys
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path

PORTS: Mapping[str, int] = {
    "gateway": 8080,
    "members-api": 8101,
    "points-api": 8102,
    "events-api": 8103,
    "members-worker": 8111,
    "points-worker": 8112,
    "events-worker": 8113,
}
# A readiness check may take two seconds to find out that a store is away.
TIMEOUT_SECONDS = 2.5


def port_of(command_line: bytes, environment: Mapping[str, str]) -> int | None:
    """The port the process listens on, or None for a command that does not listen.

    The command is read from process 1, so one image needs no setting of its own per process.
    """
    if environment.get("MOORING_PORT"):
        return int(environment["MOORING_PORT"])
    words = command_line.decode(errors="replace").split("\0")
    return next((PORTS[word] for word in words if word in PORTS), None)


def is_ready(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def main() -> int:
    port = port_of(Path("/proc/1/cmdline").read_bytes(), os.environ)
    return 0 if port is None or is_ready(port) else 1


if __name__ == "__main__":
    sys.exit(main())
