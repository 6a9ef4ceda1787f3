"""compose.yaml as docker-compose resolves it."""

import functools
import json
from collections.abc import Callable

import pytest

from tests.deploy import compose_rules
from tests.deploy.compose_rules import Services
from tests.deploy.tools import program, run


@functools.cache
def resolved() -> str:
    done = run([program("docker-compose"), "config", "--format", "json"])
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def services() -> Services:
    found: Services = json.loads(resolved())["services"]
    return found


def test_compose_keeps_every_rule() -> None:
    assert compose_rules.violations(services()) == []


def test_docker_compose_refuses_a_misspelt_field() -> None:
    text = "services: {a: {image: 'b:1', comand: [c]}}"
    done = run([program("docker-compose"), "-f", "-", "config", "-q"], text)
    assert done.returncode != 0
    assert "comand" in done.stderr


PLANTS: list[tuple[Callable[[Services], object], str]] = [
    (lambda s: s.pop("points-worker"), "points-worker: is missing"),
    (lambda s: s.update(extra=s["gateway"]), "extra: is unknown"),
    (lambda s: s["points-api"].update(command=["run", "points"]), "points-api: command is"),
    (
        lambda s: s["points-api"]["environment"].update(MOORING_BUS_URL="kafka://kafka:9092"),
        "points-api: MOORING_BUS_URL is no setting of api",
    ),
    (
        lambda s: s["gateway"]["environment"].pop("MOORING_POINTS_URL"),
        "gateway: MOORING_POINTS_URL: is required and missing",
    ),
    (
        lambda s: s["kafka"].update(ports=[{"host_ip": "127.0.0.1", "published": "9092"}]),
        "kafka: publishes [('127.0.0.1', '9092')]",
    ),
    (
        lambda s: s["gateway"]["ports"][0].update(host_ip="0.0.0.0"),
        "gateway: publishes [('0.0.0.0', '8080')]",
    ),
    (
        lambda s: s["points-api"].update(volumes=s["gateway"]["volumes"]),
        "points-api: sees the development issuer's key",
    ),
    (lambda s: s["mongodb"].pop("mem_limit"), "mongodb: has no memory limit"),
    (lambda s: s["kafka"].pop("healthcheck"), "kafka: has no health check"),
    (lambda s: s["kafka"].update(image="apache/kafka"), "kafka: image apache/kafka has no fixed"),
    (lambda s: s["kafka"].pop("cap_drop"), "kafka: keeps capabilities"),
    (lambda s: s["points-api"].update(read_only=False), "points-api: may write to its root"),
    (lambda s: s["points-worker"]["depends_on"].pop("indexes"), "points-worker: waits for"),
]


@pytest.mark.parametrize(("breaks", "says"), PLANTS, ids=[says for _, says in PLANTS])
def test_a_planted_violation_is_found(breaks: Callable[[Services], object], says: str) -> None:
    broken = services()
    breaks(broken)
    found = compose_rules.violations(broken)
    assert any(says in complaint for complaint in found), found
