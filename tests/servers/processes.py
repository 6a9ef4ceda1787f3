"""One guarded server process, free ports, waiting."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.servers.shell import ServerError, last_lines

GUARD = Path(__file__).with_name("guard.py")


class Process:
    """A running server. `prefix` runs the guard as someone else, or elsewhere."""

    def __init__(self, command: list[str], *, log: Path, prefix: tuple[str, ...] = ()) -> None:
        self.log = log
        with log.open("ab") as out:
            self._guard = subprocess.Popen(
                [*prefix, sys.executable, "-I", "-S", str(GUARD), *command],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        return self._guard.poll() is None

    def signal(self, name: str) -> None:
        """Send a signal to the server's whole process group; a dead one is left in peace."""
        assert self._guard.stdin is not None
        if self.running:
            with suppress(BrokenPipeError):
                self._guard.stdin.write(f"{name}\n".encode())
                self._guard.stdin.flush()

    def stop(self, name: str, *, timeout_seconds: float = 20) -> None:
        """End it in good order; kill it if that takes too long. Returns when it has ended."""
        self.signal(name)
        try:
            self._guard.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.signal("SIGKILL")
        self._reap()

    def kill(self) -> None:
        """SIGKILL. Returns when every process of the server has ended."""
        self.signal("SIGKILL")
        self._reap()

    def _reap(self) -> None:
        self._guard.wait(30)
        assert self._guard.stdin is not None
        with suppress(BrokenPipeError):
            self._guard.stdin.close()


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on, below the range from which the kernel gives clients theirs.

    Within that range a client that retries its connection to a stopped server may be given the
    server's own port, connect to itself and keep the port from the restarting server.
    """
    ports: list[int] = []
    while len(ports) < count:
        port = random.randrange(20_000, 32_000)
        if port not in ports and _is_free(port):
            ports.append(port)
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def listens(address: str) -> bool:
    """Whether anyone accepts connections there: the cheap question before the client's."""
    host, port = address.rsplit(":", 1)
    try:
        with socket.create_connection((host, int(port)), timeout=2):
            return True
    except OSError:
        return False


def wait_until(
    answers: Callable[[], bool], *, processes: list[Process], timeout_seconds: float, what: str
) -> None:
    """Poll until the server answers; a dead process or the time limit raises with its log."""
    deadline = time.monotonic() + timeout_seconds
    while not answers():
        dead = [process for process in processes if not process.running]
        if dead or time.monotonic() > deadline:
            reason = "ended" if dead else f"did not answer within {timeout_seconds:.0f} s"
            logs = "\n".join(_tail(process.log) for process in dead or processes)
            raise ServerError(f"{what} {reason}:\n{logs}")
        time.sleep(0.05)


def _tail(log: Path) -> str:
    return f"  {log}:\n{last_lines(log.read_text(errors='replace'))}"
