"""What `docker-compose config` does not check, over the file as it resolves it."""

from collections.abc import Callable, Iterator
from typing import Any

from tests.deploy.processes import PORTS, setting_problems

Service = dict[str, Any]
Services = dict[str, Service]
STORES = {"mongodb", "kafka"}
NEEDS_KAFKA = {"members-worker", "points-worker", "events-worker", "indexes"}
KEY = "MOORING_DEV_ISSUER_KEY"


def violations(services: Services) -> list[str]:
    return [complaint for rule in RULES for complaint in rule(services)]


def every_process_is_there(services: Services) -> Iterator[str]:
    expected = {*PORTS, "indexes", *STORES}
    yield from (f"{name}: is missing" for name in sorted(expected - services.keys()))
    yield from (f"{name}: is unknown" for name in sorted(services.keys() - expected))


def commands_are_known(services: Services) -> Iterator[str]:
    for name, service in _processes(services):
        expected = ["indexes"] if name == "indexes" else ["run", name]
        if service.get("command") != expected:
            yield f"{name}: command is {service.get('command')}, expected {expected}"


def settings_are_those_of_the_process(services: Services) -> Iterator[str]:
    for name, service in _processes(services):
        problems = setting_problems(name, service["environment"])
        yield from (f"{name}: {problem}" for problem in problems)


def only_the_gateway_is_published(services: Services) -> Iterator[str]:
    for name, service in services.items():
        published = [(p["host_ip"], p["published"]) for p in service.get("ports", [])]
        expected = [("127.0.0.1", "8080")] if name == "gateway" else []
        if published != expected:
            yield f"{name}: publishes {published}, expected {expected}"


def only_the_gateway_has_the_key(services: Services) -> Iterator[str]:
    for name, service in services.items():
        mounts = any(volume["source"] == "issuer" for volume in service.get("volumes", []))
        if name != "gateway" and (mounts or KEY in service.get("environment", {})):
            yield f"{name}: sees the development issuer's key"


def everything_is_watched_and_bounded(services: Services) -> Iterator[str]:
    for name, service in services.items():
        if not service.get("mem_limit"):
            yield f"{name}: has no memory limit"
        if name != "indexes" and not service.get("healthcheck", {}).get("test"):
            yield f"{name}: has no health check"
        if service["image"].partition(":")[2] in ("", "latest"):
            yield f"{name}: image {service['image']} has no fixed tag"


def everything_is_restricted(services: Services) -> Iterator[str]:
    for name, service in services.items():
        if service.get("cap_drop") != ["ALL"] or not service.get("security_opt"):
            yield f"{name}: keeps capabilities or may gain privileges"
    for name, service in _processes(services):
        if not service.get("read_only"):
            yield f"{name}: may write to its root file system"


def nothing_starts_before_what_it_needs(services: Services) -> Iterator[str]:
    for name, service in _processes(services):
        needed = _needed(name)
        given = {key: on["condition"] for key, on in service.get("depends_on", {}).items()}
        if given != needed:
            yield f"{name}: waits for {given}, expected {needed}"


RULES: tuple[Callable[[Services], Iterator[str]], ...] = (
    every_process_is_there,
    commands_are_known,
    settings_are_those_of_the_process,
    only_the_gateway_is_published,
    only_the_gateway_has_the_key,
    everything_is_watched_and_bounded,
    everything_is_restricted,
    nothing_starts_before_what_it_needs,
)


def _processes(services: Services) -> list[tuple[str, Service]]:
    return [(name, service) for name, service in services.items() if name not in STORES]


def _needed(name: str) -> dict[str, str]:
    if name == "gateway":
        return {api: "service_healthy" for api in PORTS if api.endswith("-api")}
    stores = STORES if name in NEEDS_KAFKA else {"mongodb"}
    needed = dict.fromkeys(stores, "service_healthy")
    return needed if name == "indexes" else needed | {"indexes": "service_completed_successfully"}
