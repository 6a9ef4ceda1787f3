"""Settings: read from the environment once, frozen, passed down.

Every variable begins with ``MOORING_``. All mistakes are reported together, each with the variable,
what is wrong with it and what is allowed, so that a deployment is mended in one go. A secret has no
default and never appears in a message or a ``repr``.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, Self
from urllib.parse import urlsplit

PREFIX = "MOORING_"
_HOST_AND_PORT = re.compile(r"[A-Za-z0-9.\-_\[\]:]+:[0-9]{1,5}")


class SettingsError(Exception):
    """The process cannot start with these settings; the text is for the person who set them."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


class Environment:
    """Reads variables by short name (``PORT`` is ``MOORING_PORT``) and collects what is wrong.

    A value that is wrong comes back as a stand-in, which never gets further than ``reading``.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.problems: list[str] = []

    def given(self, name: str) -> str | None:
        """The value as written; None when it is absent or blank."""
        return self._values.get(PREFIX + name, "").strip() or None

    def refuse(self, name: str, wrong: str, allowed: str) -> None:
        """Note that a variable cannot be used. Never put the value of a secret in ``wrong``."""
        self.problems.append(f"{PREFIX}{name}: {wrong}; allowed: {allowed}")

    def text(self, name: str, default: str | None = None, *, allowed: str = "any text") -> str:
        """A text; without a default it must be given."""
        value = self.given(name) or default
        if value is None:
            self.refuse(name, "is required and missing", allowed)
        return value or ""

    def integer(self, name: str, default: int, *, least: int, most: int) -> int:
        """A whole number between two bounds."""
        given = self.given(name)
        if given is None:
            return default
        if given.isascii() and given.isdigit() and least <= int(given[:18]) <= most:
            return int(given)
        self.refuse(name, f"{given[:40]!r} does not do", f"a whole number from {least} to {most}")
        return default

    def choice(self, name: str, default: str, options: Sequence[str]) -> str:
        """One of a few words."""
        given = (self.given(name) or default).lower()
        if given not in options:
            self.refuse(name, f"{given[:40]!r} is not known", ", ".join(options))
        return given

    def http_url(self, name: str, default: str | None = None) -> str | None:
        """An absolute http(s) address without query and fragment, the last slash removed."""
        given = self.given(name) or default
        if given is None:
            return None
        if not _is_http_url(given):
            self.refuse(name, "is not such an address", "http://host:port or https://host/path")
        return given.rstrip("/")

    def required_url(self, name: str) -> str:
        """An http(s) address that must be given."""
        url = self.http_url(name)
        if url is None:
            self.refuse(name, "is required and missing", "http://host:port or https://host/path")
        return url or ""


def _is_http_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        return False
    usable = parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0
    return usable and not (parts.query or parts.fragment or parts.username)


@contextmanager
def reading(values: Mapping[str, str] | None = None) -> Iterator[Environment]:
    """Read settings inside; leaving it raises SettingsError with all that is wrong."""
    environment = Environment(os.environ if values is None else values)
    yield environment
    if environment.problems:
        raise SettingsError(environment.problems)


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Where a process listens, and how it leaves.

    Between the signal to stop and the end of listening lie ``drain_seconds`` in which the process
    still serves but is no longer ready, so that the balancer takes it out first.
    """

    host: str
    port: int
    drain_seconds: int
    log_level: str

    @classmethod
    def read(cls, environment: Environment, default_port: int) -> "HttpSettings":
        """MOORING_HOST, MOORING_PORT, MOORING_DRAIN_SECONDS, MOORING_LOG_LEVEL."""
        levels = ("debug", "info", "warning", "error")
        return cls(
            host=environment.text("HOST", "127.0.0.1"),
            port=environment.integer("PORT", default_port, least=0, most=65535),
            drain_seconds=environment.integer("DRAIN_SECONDS", 0, least=0, most=300),
            log_level=environment.choice("LOG_LEVEL", "info", levels),
        )


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """Whose tokens are believed.

    The keys come from ``jwks_url`` or, in development, from the local issuer's own key file. A
    process that has neither cannot start: there is no mode without authentication.
    """

    issuer: str
    audience: str
    jwks_url: str | None
    dev_issuer_key: Path | None

    @classmethod
    def read(cls, environment: Environment) -> "AuthSettings":
        """MOORING_OIDC_ISSUER, _OIDC_AUDIENCE, _OIDC_JWKS_URL, MOORING_DEV_ISSUER_KEY."""
        key = environment.given("DEV_ISSUER_KEY")
        jwks_url = environment.http_url("OIDC_JWKS_URL")
        if jwks_url is None and key is None:
            environment.refuse(
                "OIDC_JWKS_URL",
                "is required and missing",
                "the key set's address, or MOORING_DEV_ISSUER_KEY=FILE for development",
            )
        return cls(
            issuer=environment.text("OIDC_ISSUER", allowed="the issuer exactly as in `iss`"),
            audience=environment.text("OIDC_AUDIENCE", "mooring"),
            jwks_url=jwks_url,
            dev_issuer_key=Path(key) if key else None,
        )


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where a service keeps its journal and views. ``url`` may hold a password."""

    kind: Literal["sqlite", "mongodb"]
    url: str = field(repr=False)
    driver: Literal["motor", "pymongo"] = "motor"

    @property
    def directory(self) -> Path:
        """The folder of the embedded store."""
        return Path(self.url.removeprefix("sqlite:"))

    @classmethod
    def read(cls, environment: Environment) -> "StoreSettings":
        """MOORING_STORE_URL (``sqlite:DIR`` or ``mongodb://…``), MOORING_MONGO_DRIVER."""
        allowed = "sqlite:DIR, mongodb://… or mongodb+srv://…"
        url = environment.text("STORE_URL", allowed=allowed)
        embedded = _is_embedded(url)
        if url and not embedded and not url.startswith(("mongodb://", "mongodb+srv://")):
            environment.refuse("STORE_URL", "is neither", allowed)
        driver = environment.choice("MONGO_DRIVER", "motor", ("motor", "pymongo"))
        return cls(
            kind="sqlite" if embedded else "mongodb",
            url=url,
            driver="pymongo" if driver == "pymongo" else "motor",
        )


@dataclass(frozen=True, slots=True)
class BusSettings:
    """What facts travel on: the embedded log in a folder, or Kafka at some servers."""

    kind: Literal["sqlite", "kafka"]
    url: str

    @property
    def directory(self) -> Path:
        """The folder of the embedded log."""
        return Path(self.url.removeprefix("sqlite:"))

    @property
    def servers(self) -> list[str]:
        """Kafka's bootstrap servers, as ``host:port``."""
        return self.url.removeprefix("kafka://").split(",")

    @classmethod
    def read(cls, environment: Environment) -> "BusSettings":
        """MOORING_BUS_URL: ``sqlite:DIR`` or ``kafka://host:port,host:port``."""
        allowed = "sqlite:DIR or kafka://host:port,host:port"
        url = environment.text("BUS_URL", allowed=allowed)
        if url and not _is_embedded(url) and not _is_kafka(url):
            environment.refuse("BUS_URL", f"{url[:80]!r} is neither", allowed)
        return cls(kind="sqlite" if _is_embedded(url) else "kafka", url=url)


def _is_embedded(url: str) -> bool:
    return url.startswith("sqlite:") and len(url) > len("sqlite:")


def _is_kafka(url: str) -> bool:
    servers = url.removeprefix("kafka://").split(",")
    return url.startswith("kafka://") and all(_HOST_AND_PORT.fullmatch(one) for one in servers)


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """Where traces go; None keeps them in the process."""

    otlp_endpoint: str | None

    @classmethod
    def read(cls, environment: Environment) -> "TelemetrySettings":
        """MOORING_OTLP_ENDPOINT, e.g. ``http://collector:4318``."""
        return cls(otlp_endpoint=environment.http_url("OTLP_ENDPOINT"))


def read_programme_path(environment: Environment) -> Path:
    """MOORING_PROGRAMME, by default the programme that Mooring ships."""
    path = Path(environment.text("PROGRAMME", "programmes/five_star.yaml"))
    if not path.is_file():
        environment.refuse("PROGRAMME", f"{str(path)[:120]!r} is not a file", "a programme's YAML")
    return path


@dataclass(frozen=True, slots=True)
class ServiceApiSettings:
    """A service's API process: it knows the store and the programme, never the bus."""

    default_port: ClassVar[int] = 0

    http: HttpSettings
    auth: AuthSettings
    store: StoreSettings
    telemetry: TelemetrySettings
    programme: Path

    @classmethod
    def read(cls, values: Mapping[str, str] | None = None) -> Self:
        """Read the environment; raises SettingsError with all that is wrong."""
        with reading(values) as environment:
            return cls(
                HttpSettings.read(environment, cls.default_port),
                AuthSettings.read(environment),
                StoreSettings.read(environment),
                TelemetrySettings.read(environment),
                read_programme_path(environment),
            )


@dataclass(frozen=True, slots=True)
class ServiceWorkerSettings:
    """A service's worker process: store, bus and programme; it verifies no tokens.

    ``duties_every_seconds``: how often it looks for what time alone brings; 0 leaves that to an
    operator's command, for a platform that replays another year.
    """

    default_port: ClassVar[int] = 0

    http: HttpSettings
    store: StoreSettings
    bus: BusSettings
    telemetry: TelemetrySettings
    programme: Path
    duties_every_seconds: int = 60

    @classmethod
    def read(cls, values: Mapping[str, str] | None = None) -> Self:
        """Read the environment; raises SettingsError with all that is wrong."""
        with reading(values) as environment:
            return cls(
                HttpSettings.read(environment, cls.default_port),
                StoreSettings.read(environment),
                BusSettings.read(environment),
                TelemetrySettings.read(environment),
                read_programme_path(environment),
                environment.integer("DUTIES_SECONDS", 60, least=0, most=86_400),
            )
