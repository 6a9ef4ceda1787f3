"""Servers that this process did not start: a contributor's own, or those of an enclosing
`python -m tests.servers run`, which obeys kill and restart over a socket."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from pymongo import uri_parser

from tests.servers import document_server, kafka_server
from tests.servers.processes import wait_until
from tests.servers.shell import ServerError


@dataclass(frozen=True)
class Control:
    """Asks the process that owns the servers. Without a socket there is nobody to ask."""

    variable: str
    socket_path: Path | None

    def ask(self, order: str) -> None:
        if self.socket_path is None:
            raise ServerError(
                f"This test kills and restarts the server, but {self.variable} names one that is "
                "not ours to kill. Unset it to run this test."
            )
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(120)
            line.connect(str(self.socket_path))
            line.sendall(f"{order}\n".encode())
            answer = line.makefile().read()
        if answer != "done\n":
            raise ServerError(answer.strip() or "The process that runs the servers has gone.")


class GivenKafka:
    def __init__(self, bootstrap: str, socket_path: Path | None) -> None:
        self.bootstrap = self.address = bootstrap
        self.controlled = socket_path is not None
        self._control = Control("MOORING_TEST_KAFKA", socket_path)

    @property
    def running(self) -> bool:
        return kafka_server.serves(self.bootstrap)

    def start(self) -> None:
        self.wait_ready(10)

    def stop(self) -> None:
        """Not ours to stop."""

    def kill(self) -> None:
        self._control.ask("kafka kill")

    def restart(self) -> None:
        self._control.ask("kafka restart")

    def wait_ready(self, timeout_seconds: float = 60) -> None:
        wait_until(
            lambda: self.running,
            processes=[],
            timeout_seconds=timeout_seconds,
            what=f"Kafka at {self.bootstrap} (from MOORING_TEST_KAFKA)",
        )


class GivenDocuments:
    def __init__(self, url: str, socket_path: Path | None) -> None:
        self.url = url
        host, port = uri_parser.parse_uri(url)["nodelist"][0]
        self.address = f"{host}:{port}"
        self.controlled = socket_path is not None
        self._control = Control("MOORING_TEST_MONGO_URL", socket_path)

    @property
    def running(self) -> bool:
        return document_server.serves(self.url)

    def start(self) -> None:
        self.wait_ready(10)

    def stop(self) -> None:
        """Not ours to stop."""

    def kill(self, *parts: document_server.Part) -> None:
        self._control.ask(" ".join(("documents", "kill", *parts)))

    def restart(self) -> None:
        self._control.ask("documents restart")

    def wait_ready(self, timeout_seconds: float = 60) -> None:
        wait_until(
            lambda: self.running,
            processes=[],
            timeout_seconds=timeout_seconds,
            what=f"The document database at {self.url} (from MOORING_TEST_MONGO_URL)",
        )
