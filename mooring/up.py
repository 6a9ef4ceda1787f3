"""``mooring up``: the whole platform on this machine, as a few processes.

The gateway and the three APIs share one process, where it calls them without a connection; each
worker has its own: measured in docs/performance.md. Children write their logs to the data
directory; when one ends, all end.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from mooring.environment import Place
from mooring.processes import APIS, SERVICES

READY_SECONDS = 60
STOP_SECONDS = 45
WEB = ("gateway", *APIS)


class UpError(Exception):
    """The platform cannot start or has stopped, and why."""


@dataclass
class Platform:
    """The running processes; ``children`` by the names of what they run."""

    place: Place
    children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, names: Sequence[str], label: str = "") -> None:
        """Start one child that runs these processes."""
        self.place.data.mkdir(parents=True, exist_ok=True)
        with self.place.log_file.open("ab") as log:
            self.children[label or "+".join(names)] = subprocess.Popen(
                [sys.executable, "-m", "mooring.child", self.place.encoded(), *names],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start_all(self, workers: int = 1) -> None:
        """Start the web process and ``workers`` worker processes of each service.

        Raises UpError when a port is taken.
        """
        _refuse_taken(self.place.host, self.place.port)
        for service in SERVICES:
            _refuse_taken("127.0.0.1", self.place.api_port(service))
        self.start(WEB, "web")
        for service in SERVICES:
            for number in range(workers):
                self.start([f"{service}-worker"], f"{service}-worker-{number + 1}")

    def check(self) -> None:
        """Raise UpError when a child has ended."""
        for label, child in self.children.items():
            if child.poll() is not None:
                raise UpError(f"{label} ended with code {child.returncode}\n{self._tail()}")

    async def ready(self) -> None:
        """Wait until the gateway and what is behind it are ready; raises UpError."""
        url = f"{self.place.address}/health/ready"
        reason = "no answer"
        async with httpx.AsyncClient(timeout=5) as client:
            for _ in range(READY_SECONDS * 10):
                self.check()
                try:
                    answer = await client.get(url)
                except httpx.TransportError as error:
                    reason = str(error)
                else:
                    if answer.status_code == httpx.codes.OK:
                        return
                    reason = answer.text
                await asyncio.sleep(0.1)
        raise UpError(f"not ready after {READY_SECONDS} s: {reason}\n{self._tail()}")

    def stop(self) -> None:
        """Stop the children: all are told at once, and those that linger are killed."""
        for child in self.children.values():
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        for child in self.children.values():
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        self.children.clear()

    def _tail(self, lines: int = 15) -> str:
        return "\n".join(_lines(self.place.log_file)[-lines:])


def _refuse_taken(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = f"{host}:{port} cannot be listened on ({error.strerror})"
            raise UpError(f"{reason}: stop what is there, or choose another --port") from error


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8", "replace").splitlines() if path.exists() else []
