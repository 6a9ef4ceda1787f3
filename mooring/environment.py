"""Where everything is on one machine: the settings of all processes, from one data directory.

A process reads its settings from the environment, in production and here alike; this module makes
that environment for a platform that ``mooring up`` starts.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import programmes
from kit.settings import BusSettings, StoreSettings, reading

if TYPE_CHECKING:
    from kit.auth import LocalIssuer

API_PORTS = {"members": 8101, "points": 8102, "events": 8103}
GATEWAY_PORT = 8080
AUDIENCE = "mooring"
DEFAULT_DATA = Path(".mooring")


@dataclass(frozen=True)
class Place:
    """A platform on one machine: its data, its address, its adapters (None: embedded).

    ``first_api_port`` moves the three APIs, so that several platforms may run beside each other.
    """

    data: Path = DEFAULT_DATA
    host: str = "127.0.0.1"
    port: int = GATEWAY_PORT
    first_api_port: int = 8101
    mongo: str | None = None
    kafka: str | None = None

    def encoded(self) -> str:
        """This place as text, for a child process."""
        return json.dumps({**asdict(self), "data": str(self.data)})

    @classmethod
    def decode(cls, text: str) -> "Place":
        """Read what ``encoded`` wrote."""
        values = json.loads(text)
        return cls(**{**values, "data": Path(values["data"])})

    @property
    def address(self) -> str:
        """The gateway's address: what apps call."""
        return f"http://{self.host}:{self.port}"

    @property
    def programme(self) -> Path:
        """The programme: the one that the environment names, else the one Mooring ships."""
        given = os.environ.get("MOORING_PROGRAMME")
        return Path(given) if given else Path(programmes.__file__).with_name("five_star.yaml")

    @property
    def key_file(self) -> Path:
        """The private key of the local issuer."""
        return self.data / "issuer.jwk"

    @property
    def log_file(self) -> Path:
        """Where the processes write their logs."""
        return self.data / "mooring.log"

    def issuer(self) -> "LocalIssuer":
        """The local issuer; it makes its key when there is none."""
        from kit.auth import LocalIssuer  # a worker has no use for it: 13 MB

        self.data.mkdir(parents=True, exist_ok=True)
        return LocalIssuer.open(self.key_file, self.address, AUDIENCE)

    def api_port(self, service: str) -> int:
        """The port of a service's API."""
        return self.first_api_port + list(API_PORTS).index(service)

    def environment(self) -> dict[str, str]:
        """The settings that all processes share."""
        urls = {
            f"MOORING_{service.upper()}_URL": f"http://127.0.0.1:{self.api_port(service)}"
            for service in API_PORTS
        }
        return {
            "MOORING_STORE_URL": self.mongo or f"sqlite:{self.data.resolve()}",
            "MOORING_BUS_URL": self.kafka or f"sqlite:{self.data.resolve()}",
            "MOORING_PROGRAMME": str(self.programme),
            "MOORING_OIDC_ISSUER": self.address,
            "MOORING_OIDC_AUDIENCE": AUDIENCE,
            **urls,
            **_passed_on(),
        }

    def values_of(self, process: str) -> dict[str, str]:
        """The whole environment of one process, e.g. ``points-api``.

        The gateway alone has the private key; the APIs ask it for the public half.
        """
        values = self.environment()
        service, _, part = process.partition("-")
        if process == "gateway":
            values |= {
                "MOORING_HOST": self.host,
                "MOORING_PORT": str(self.port),
                "MOORING_DEV_ISSUER_KEY": str(self.key_file.resolve()),
            }
        elif part == "api":
            values |= {
                "MOORING_HOST": "127.0.0.1",
                "MOORING_PORT": str(self.api_port(service)),
                "MOORING_OIDC_JWKS_URL": f"{self.address}/.well-known/jwks.json",
            }
        else:  # any port that is free: there may be several of a kind, and several platforms
            values["MOORING_PORT"] = "0"
        return values

    def store(self) -> StoreSettings:
        """The store's settings at this place."""
        with reading(self.environment()) as environment:
            return StoreSettings.read(environment)

    def bus(self) -> BusSettings:
        """The bus's settings at this place."""
        with reading(self.environment()) as environment:
            return BusSettings.read(environment)


def _passed_on(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Settings that the person who starts it may give, such as the log level."""
    names = ("LOG_LEVEL", "OTLP_ENDPOINT", "MONGO_DRIVER", "DUTIES_SECONDS")
    return {
        name: environment[name]
        for name in (f"MOORING_{short}" for short in names)
        if environment.get(name)
    }
