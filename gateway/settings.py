"""The gateway's settings, from the environment."""

from collections.abc import Mapping
from dataclasses import dataclass

from kit.settings import (
    AuthSettings,
    Environment,
    HttpSettings,
    TelemetrySettings,
    reading,
)

PORT = 8080


@dataclass(frozen=True, slots=True)
class Limits:
    """What one caller, and all of them together, may ask of the gateway.

    Rates are requests per second with a burst on top; members have their own, because a phone is
    one person and a partner's till or an import is many. ``in_flight`` bounds the requests under
    way to each service, so that a slow one cannot use up the room of the others.
    """

    member_rate: int = 20
    member_burst: int = 100
    client_rate: int = 50_000
    client_burst: int = 200_000
    in_flight: int = 256
    upstream_ms: int = 10_000
    batch_ms: int = 30_000
    home_part_ms: int = 300

    @classmethod
    def read(cls, environment: Environment) -> "Limits":
        """MOORING_MEMBER_RATE, _MEMBER_BURST, _CLIENT_RATE, _CLIENT_BURST, _IN_FLIGHT, …_MS."""
        usual = cls()
        names = (
            "member_rate",
            "member_burst",
            "client_rate",
            "client_burst",
            "in_flight",
            "upstream_ms",
            "batch_ms",
            "home_part_ms",
        )
        return cls(
            **{
                name: environment.integer(
                    name.upper(), getattr(usual, name), least=1, most=10_000_000
                )
                for name in names
            }
        )


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Everything the gateway is told. ``upstreams`` maps a service's name to its address."""

    http: HttpSettings
    auth: AuthSettings
    telemetry: TelemetrySettings
    limits: Limits
    upstreams: Mapping[str, str]


def read_settings(values: Mapping[str, str] | None = None) -> GatewaySettings:
    """Read the environment (or ``values``); raises SettingsError with all that is wrong."""
    with reading(values) as environment:
        return GatewaySettings(
            http=HttpSettings.read(environment, PORT),
            auth=AuthSettings.read(environment),
            telemetry=TelemetrySettings.read(environment),
            limits=Limits.read(environment),
            upstreams={
                name: environment.required_url(f"{name.upper()}_URL")
                for name in ("members", "points", "events")
            },
        )
