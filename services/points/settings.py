"""What the points service needs to know to start."""

from collections.abc import Mapping
from dataclasses import dataclass

from kit.settings import (
    AuthSettings,
    BusSettings,
    HttpSettings,
    StoreSettings,
    TelemetrySettings,
    reading,
)

API_PORT = 8102
WORKER_PORT = 8112


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """The API process: it knows the store, never the bus."""

    http: HttpSettings
    auth: AuthSettings
    store: StoreSettings
    telemetry: TelemetrySettings

    @classmethod
    def read(cls, values: Mapping[str, str] | None = None) -> "ApiSettings":
        """Read the environment; raises SettingsError with all that is wrong."""
        with reading(values) as environment:
            return cls(
                HttpSettings.read(environment, API_PORT),
                AuthSettings.read(environment),
                StoreSettings.read(environment),
                TelemetrySettings.read(environment),
            )


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """The worker process: store and bus."""

    http: HttpSettings
    store: StoreSettings
    bus: BusSettings
    telemetry: TelemetrySettings

    @classmethod
    def read(cls, values: Mapping[str, str] | None = None) -> "WorkerSettings":
        """Read the environment; raises SettingsError with all that is wrong."""
        with reading(values) as environment:
            return cls(
                HttpSettings.read(environment, WORKER_PORT),
                StoreSettings.read(environment),
                BusSettings.read(environment),
                TelemetrySettings.read(environment),
            )
