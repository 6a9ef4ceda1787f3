"""The pytest plugin of the connected tests, registered by tests/conftest.py.

`kafka_server` and `document_server` start once per run, when the first test asks for them.
Whatever asks for one is a connected test; a connected test never skips, it fails.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import pytest

# Warnings are errors; these two are kafka-python's own and say nothing of our code.
KAFKA_WARNINGS = (
    # It loads its message schemas in a way that Python 3.11 deprecated and 3.13 took back.
    "ignore:(read|open)_text is deprecated:DeprecationWarning",
    # It leaves the socket of each refused connection to the garbage collector (net/inet.py).
    r"ignore:unclosed <socket.socket fd=\d+, family=2, type=1, proto=6, laddr=\('0:ResourceWarning",
)


class AnyServer(Protocol):
    """A server of this run, or one given by the environment."""

    @property
    def address(self) -> str: ...
    @property
    def controlled(self) -> bool:
        """Whether kill and restart work; they raise on a server that is not ours."""
        ...

    @property
    def running(self) -> bool: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def restart(self) -> None: ...
    def wait_ready(self, timeout_seconds: float = 60) -> None: ...


class AnyKafka(AnyServer, Protocol):
    @property
    def bootstrap(self) -> str: ...
    def kill(self) -> None: ...


class AnyDocuments(AnyServer, Protocol):
    @property
    def url(self) -> str: ...
    def kill(self, *parts: Literal["postgres", "ferretdb"]) -> None: ...


Server = TypeVar("Server", AnyKafka, AnyDocuments)
STARTED = pytest.StashKey[list[AnyServer]]()


# The imports are inside because every test run loads this plugin, and few need the drivers.
def kafka_from_environment() -> AnyKafka:
    from tests.servers.given import GivenKafka
    from tests.servers.kafka_server import KafkaServer

    given = os.environ.get("MOORING_TEST_KAFKA")
    return GivenKafka(given, _control_socket()) if given else KafkaServer()


def documents_from_environment() -> AnyDocuments:
    from tests.servers.document_server import DocumentServer
    from tests.servers.given import GivenDocuments

    given = os.environ.get("MOORING_TEST_MONGO_URL")
    return GivenDocuments(given, _control_socket()) if given else DocumentServer()


def _control_socket() -> Path | None:
    path = os.environ.get("MOORING_TEST_CONTROL")
    return Path(path) if path else None


@pytest.fixture(scope="session")
def kafka_server(request: pytest.FixtureRequest) -> Iterator[AnyKafka]:
    """Apache Kafka; `bootstrap` is its host:port."""
    yield from _running(kafka_from_environment(), request.config)


@pytest.fixture(scope="session")
def document_server(request: pytest.FixtureRequest) -> Iterator[AnyDocuments]:
    """The document database; `url` is its mongodb:// address."""
    yield from _running(documents_from_environment(), request.config)


def _running(server: Server, config: pytest.Config) -> Iterator[Server]:
    try:
        server.start()
        config.stash.setdefault(STARTED, []).append(server)
        yield server
    finally:
        server.stop()


def pytest_configure(config: pytest.Config) -> None:
    for warning in KAFKA_WARNINGS:
        config.addinivalue_line("filterwarnings", warning)


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """A test that failed between kill and restart must not fail all that follow it."""
    if nextitem is None or item.get_closest_marker("connected") is None:
        return
    for server in item.config.stash.get(STARTED, []):
        if server.controlled and not server.running:
            server.restart()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever needs a real server is marked, so that `-m "not connected"` leaves it out."""
    for item in items:
        wanted = set(getattr(item, "fixturenames", ()))
        if wanted & {"kafka_server", "document_server"}:
            item.add_marker("connected")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    expected = hasattr(report, "wasxfail")
    if report.skipped and not expected and item.get_closest_marker("connected"):
        report.outcome = "failed"
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else "no reason"
        report.longrepr = f"A connected test must not skip. {reason}"
    return report
