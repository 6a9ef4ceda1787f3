"""What all of kafka-python's clients share here: settings, start-up check, meaning of errors.

The reasons for each setting are in docs/adr/0003-kafka-python-settings.md.
"""

import importlib.util
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kafka import errors

from kit.bus.kafka_selector import KafkaSelector
from kit.bus.kafka_socket import DIRECTLY
from kit.errors import ServiceError, Unavailable

_OUT_OF_BOUNDS = (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError)
_REFUSALS = (
    errors.AuthorizationError,
    errors.SaslAuthenticationFailedError,
    errors.UnsupportedSaslMechanismError,
    errors.IllegalSaslStateError,
    errors.UnsupportedVersionError,
    errors.UnsupportedCodecError,
    errors.KafkaConfigurationError,
    errors.InvalidTopicError,
    errors.InvalidConfigurationError,
    errors.InvalidReplicationFactorError,
    errors.InvalidPartitionsError,
    errors.PolicyViolationError,
)


@dataclass(frozen=True)
class KafkaSettings:
    """How the bus uses Kafka. ``client`` goes to every client as it is (``security_protocol`` …).

    ``replication_factor`` -1 and ``min_insync_replicas`` None leave it to the broker.
    """

    replication_factor: int = -1
    min_insync_replicas: int | None = None
    retention_days: int = 30
    session_timeout_seconds: float = 15.0
    publish_timeout_seconds: float = 20.0
    connect_timeout_seconds: float = 10.0
    client: Mapping[str, Any] = field(default_factory=dict)


def require_crc32c() -> None:
    """Refuse to work without the native checksum: in Python it takes 88 µs per kilobyte."""
    if importlib.util.find_spec("crc32c") is None:
        raise ServiceError(
            "broken",
            "crc32c_missing",
            "Kafka without the native crc32c is forty times slower: install kafka-python[crc32c]",
        )


def common_options(servers: Sequence[str], settings: KafkaSettings) -> dict[str, Any]:
    """Return the options of every client."""
    return {
        "bootstrap_servers": list(servers),
        "client_id": "mooring",
        "bootstrap_timeout_ms": round(settings.connect_timeout_seconds * 1000),
        "request_timeout_ms": 10_000,
        "reconnect_backoff_max_ms": 1_000,
        "selector": KafkaSelector,
        "proxy_url": DIRECTLY,
        **settings.client,
    }


def require_reachable(servers: Sequence[str], settings: KafkaSettings) -> None:
    """Raise Unavailable at once when no server takes a connection.

    A client of kafka-python would try for ``connect_timeout_seconds``, and leave its sockets to
    the garbage collector when it fails.
    """
    reasons: list[str] = []
    for server in servers:
        host, _, port = server.rpartition(":")
        try:
            address = (host.strip("[]"), int(port))
            socket.create_connection(address, settings.connect_timeout_seconds).close()
        except OSError as error:
            reasons.append(f"{server}: {error}")
        else:
            return
    raise Unavailable("Kafka", "; ".join(reasons))


@contextmanager
def kafka_errors() -> Iterator[None]:
    """Tell what passes (``Unavailable``) from what never will (any other ``ServiceError``)."""
    try:
        yield
    except _OUT_OF_BOUNDS as error:
        raise ServiceError("too_large", "message_too_large", str(error)) from error
    except _REFUSALS as error:
        message = "Kafka refuses; it needs other settings or rights"
        raise ServiceError("broken", "kafka_refuses", message, reason=str(error)) from error
    except errors.KafkaError as error:
        raise Unavailable("Kafka", str(error) or type(error).__name__) from error
