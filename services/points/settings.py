"""What the points service needs to know to start, and where its processes listen."""

from dataclasses import dataclass
from typing import ClassVar

from kit.settings import ServiceApiSettings, ServiceWorkerSettings

API_PORT = 8102
WORKER_PORT = 8112


@dataclass(frozen=True, slots=True)
class ApiSettings(ServiceApiSettings):
    """The API process."""

    default_port: ClassVar[int] = API_PORT


@dataclass(frozen=True, slots=True)
class WorkerSettings(ServiceWorkerSettings):
    """The worker process."""

    default_port: ClassVar[int] = WORKER_PORT
