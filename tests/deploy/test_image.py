"""The Dockerfile, what reaches it, and the health check inside the image."""

import importlib.util
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import ModuleType

import pytest

from tests.deploy import image_rules
from tests.deploy.processes import PORTS
from tests.deploy.tools import ROOT, program, run

DOCKERFILE = (ROOT / "Dockerfile").read_text()
IGNORE_FILE = (ROOT / ".dockerignore").read_text()


def test_hadolint_finds_nothing() -> None:
    done = run([program("hadolint"), "Dockerfile"])
    assert (done.returncode, done.stdout) == (0, "")


def test_hadolint_finds_an_image_without_a_version() -> None:
    done = run([program("hadolint"), "-"], "FROM python\n")
    assert done.returncode == 1
    assert "DL3006" in done.stdout


def test_the_dockerfile_keeps_every_rule() -> None:
    assert image_rules.violations(DOCKERFILE) == []


PLANTS = [
    ("FROM python:3.11.14-slim-bookworm", "FROM python:3.11-slim", "FROM python:3.11-slim"),
    ("FROM python:", "FROM registry.example/python:", "FROM registry.example/python"),
    ("USER 10001:10001", "USER mooring", "USER ['mooring']"),
    ("USER 10001:10001", "USER 0:0", "USER ['0:0']"),
    ('ENTRYPOINT ["mooring"]', "ENTRYPOINT mooring", "ENTRYPOINT is not"),
    ("MOORING_HOST=0.0.0.0", "MOORING_HOST=127.0.0.1", "ENV MOORING_HOST=0.0.0.0 is missing"),
    ("HEALTHCHECK", "LABEL", "HEALTHCHECK is missing"),
    ("--require-hashes ", "", "installs something without a hash"),
    ("--no-build-isolation ", "", "installs something without a hash"),
    ("--require-hashes", "--index-url https://pypi.example --require-hashes", "names a host"),
]


@pytest.mark.parametrize(("good", "bad", "says"), PLANTS, ids=[bad for _, bad, _ in PLANTS])
def test_a_planted_violation_is_found(good: str, bad: str, says: str) -> None:
    assert good in DOCKERFILE
    found = image_rules.violations(DOCKERFILE.replace(good, bad))
    assert any(says in complaint for complaint in found), found


def test_what_the_image_copies_reaches_the_builder() -> None:
    paths = image_rules.copied(DOCKERFILE)
    assert "pyproject.toml" in paths
    assert [path for path in paths if not image_rules.is_let_through(path, IGNORE_FILE)] == []


@pytest.mark.parametrize("path", [".env", ".git", ".venv", "tests", ".mooring", "console"])
def test_what_the_image_does_not_need_never_reaches_the_builder(path: str) -> None:
    assert not image_rules.is_let_through(path, IGNORE_FILE)


@pytest.fixture(scope="module")
def healthcheck() -> ModuleType:
    """The script as the image runs it: a file on its own, no part of a package."""
    spec = importlib.util.spec_from_file_location(
        "healthcheck", ROOT / "deploy/docker/healthcheck.py"
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_health_check_knows_the_port_of_every_process(healthcheck: ModuleType) -> None:
    assert healthcheck.PORTS == PORTS


@pytest.mark.parametrize(
    ("command_line", "environment", "port"),
    [
        (b"/opt/venv/bin/python\0/opt/venv/bin/mooring\0run\0members-api\0", {}, 8101),
        (b"/sbin/docker-init\0--\0mooring\0run\0points-worker\0", {}, 8112),
        (b"mooring\0run\0members-api\0", {"MOORING_PORT": "9000"}, 9000),
        (b"mooring\0indexes\0", {}, None),
    ],
    ids=["a process", "behind an init", "a port that was set", "a command that does not listen"],
)
def test_the_health_check_asks_the_port_of_its_process(
    healthcheck: ModuleType, command_line: bytes, environment: dict[str, str], port: int | None
) -> None:
    assert healthcheck.port_of(command_line, environment) == port


@contextmanager
def answering(status: int) -> Iterator[int]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health/ready" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """A test says nothing on the terminal."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_a_process_is_healthy_when_it_says_that_it_is_ready(healthcheck: ModuleType) -> None:
    with answering(200) as port:
        assert healthcheck.is_ready(port)


def test_a_process_that_drains_is_not_healthy(healthcheck: ModuleType) -> None:
    with answering(503) as port:
        assert not healthcheck.is_ready(port)


def test_a_process_that_is_gone_is_not_healthy(healthcheck: ModuleType) -> None:
    with answering(200) as port:
        pass
    assert not healthcheck.is_ready(port)


def test_everything_the_image_copies_is_there() -> None:
    assert [path for path in image_rules.copied(DOCKERFILE) if not list(ROOT.glob(path))] == []
