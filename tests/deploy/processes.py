"""What each kind of process is given: its port, its settings, and how it reads them."""

from collections.abc import Callable, Mapping
from typing import Any

from kit.settings import (
    AuthSettings,
    BusSettings,
    Environment,
    HttpSettings,
    SettingsError,
    StoreSettings,
    TelemetrySettings,
    reading,
)

APIS = {"members-api": 8101, "points-api": 8102, "events-api": 8103}
WORKERS = {"members-worker": 8111, "points-worker": 8112, "events-worker": 8113}
PORTS = {"gateway": 8080, **APIS, **WORKERS}

_ANY = {"LOG_LEVEL", "DRAIN_SECONDS", "PROGRAMME", "OTLP_ENDPOINT", "HOST", "PORT"}
_IDENTITY = {"OIDC_ISSUER", "OIDC_JWKS_URL", "OIDC_AUDIENCE"}
_STORE = {"STORE_URL", "MONGO_DRIVER"}
_UPSTREAMS = {"MEMBERS_URL", "POINTS_URL", "EVENTS_URL"}
_RATES = {"MEMBER_RATE", "MEMBER_BURST", "CLIENT_RATE", "CLIENT_BURST", "IN_FLIGHT"}
_TIMES = {"UPSTREAM_MS", "BATCH_MS", "HOME_PART_MS"}
# An api process has no bus on purpose, the gateway neither store nor bus.
SETTINGS = {
    "gateway": _ANY | _IDENTITY | _UPSTREAMS | _RATES | _TIMES | {"DEV_ISSUER_KEY"},
    "api": _ANY | _IDENTITY | _STORE,
    "worker": _ANY | _STORE | {"BUS_URL"},
    "indexes": _ANY | _STORE | {"BUS_URL"},
}


def role_of(name: str) -> str:
    if name in APIS:
        return "api"
    return "worker" if name in WORKERS else name


def setting_problems(name: str, environment: Mapping[str, str]) -> list[str]:
    """What the process itself would refuse at start, and what it was given for nothing."""
    role = role_of(name)
    if role not in SETTINGS:
        return []
    known = {"MOORING_" + setting for setting in SETTINGS[role]}
    surplus = sorted(environment.keys() - known)
    return [*(f"{name} is no setting of {role}" for name in surplus), *_refused(role, environment)]


def _refused(role: str, environment: Mapping[str, str]) -> list[str]:
    try:
        with reading(environment) as values:
            for read in _READERS[role]:
                read(values)
    except SettingsError as error:
        return list(error.problems)
    return []


def _listen(values: Environment) -> HttpSettings:
    return HttpSettings.read(values, default_port=8080)


def _upstreams(values: Environment) -> list[str]:
    return [values.required_url(name) for name in sorted(_UPSTREAMS)]


_READERS: dict[str, tuple[Callable[[Environment], Any], ...]] = {
    "gateway": (_listen, AuthSettings.read, TelemetrySettings.read, _upstreams),
    "api": (_listen, AuthSettings.read, TelemetrySettings.read, StoreSettings.read),
    "worker": (_listen, TelemetrySettings.read, StoreSettings.read, BusSettings.read),
    "indexes": (StoreSettings.read, BusSettings.read),
}
