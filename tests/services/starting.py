"""What every service's tests start from: a clock that tests move, and settings of a place."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import programmes
from kit.settings import (
    AuthSettings,
    BusSettings,
    HttpSettings,
    ServiceApiSettings,
    ServiceWorkerSettings,
    StoreSettings,
    TelemetrySettings,
)

START = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
ISSUER = "https://issuer.test"
AUDIENCE = "mooring"
PROGRAMME = Path(programmes.__file__).with_name("five_star.yaml")

Api = TypeVar("Api", bound=ServiceApiSettings)
Worker = TypeVar("Worker", bound=ServiceWorkerSettings)


@dataclass
class TestClock:
    """A clock that stands still until it is moved."""

    __test__ = False
    now: int = START

    def __call__(self) -> int:
        return self.now


def key_file(place: Path) -> Path:
    """The key of the tests' token issuer."""
    return place / "key.jwk"


def store_settings(place: Path) -> StoreSettings:
    """An embedded store."""
    return StoreSettings("sqlite", f"sqlite:{place}")


def api_settings(kind: type[Api], place: Path) -> Api:
    """Settings of an API on an embedded store."""
    return kind(
        HttpSettings("127.0.0.1", 0, 0, "info"),
        AuthSettings(ISSUER, AUDIENCE, None, key_file(place)),
        store_settings(place),
        TelemetrySettings(None),
        PROGRAMME,
    )


def worker_settings(kind: type[Worker], place: Path) -> Worker:
    """Settings of a worker on an embedded store and bus."""
    return kind(
        HttpSettings("127.0.0.1", 0, 0, "info"),
        store_settings(place),
        BusSettings("sqlite", f"sqlite:{place}"),
        TelemetrySettings(None),
        PROGRAMME,
    )
