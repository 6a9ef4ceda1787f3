"""What the members service needs to know to start."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kit.settings import (
    AuthSettings,
    BusSettings,
    HttpSettings,
    StoreSettings,
    TelemetrySettings,
    read_programme_path,
    reading,
)

API_PORT = 8101
WORKER_PORT = 8111


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """The API process: store and programme, never the bus."""

    http: HttpSettings
    auth: AuthSettings
    store: StoreSettings
    telemetry: TelemetrySettings
    programme: Path

    @classmethod
    def read(cls, values: Mapping[str, str] | None = None) -> "ApiSettings":
        """Read the environment; raises SettingsError with all that is wrong."""
        with reading(values) as environment:
            return cls(
                HttpSettings.read(environment, API_PORT),
                AuthSettings.read(environment),
                StoreSettings.read(environment),
                TelemetrySettings.read(environment),
                read_programme_path(environment),
            )


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """The worker process: store, bus and programme."""

    http: HttpSettings
    store: StoreSettings
    bus: BusSettings
    telemetry: TelemetrySettings
    programme: Path

    @classmethod
    def read(cls, values: Mapping[str, str] | None = None) -> "WorkerSettings":
        """Read the environment; raises SettingsError with all that is wrong."""
        with reading(values) as environment:
            return cls(
                HttpSettings.read(environment, WORKER_PORT),
                StoreSettings.read(environment),
                BusSettings.read(environment),
                TelemetrySettings.read(environment),
                read_programme_path(environment),
            )
