"""A service as the gateway sees it: its name, how much may be under way to it, and the way there.

There are two ways. Over HTTP (``gateway.over_http``), and in the same process
(``gateway.in_process``), when ``mooring up`` runs the services beside the gateway. What a service
is told, what comes back and what a caller hears of trouble is the same either way.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
import structlog
from prometheus_client import Counter
from starlette.types import Message, Receive, Scope

from gateway.limits import InFlight
from kit.errors import ServiceError
from kit.http.body_limit import too_large

Headers = Sequence[tuple[bytes, bytes]]
_FAILURES = Counter(
    "mooring_gateway_upstream_failures_total",
    "Requests a service did not answer, by reason.",
    ("upstream", "reason"),
)
_log = structlog.get_logger(__name__)


class UnreachableError(Exception):
    """The service is not there, or stopped in the middle of its answer."""


class Body:
    """A request's body on its way through, counted."""

    def __init__(self, receive: Receive, most_bytes: int, *, expected: bool) -> None:
        self._receive = receive
        self._most = most_bytes
        self._seen = 0
        self.refused: ServiceError | None = None
        self.gone = False
        self.complete = not expected

    @property
    def ended_early(self) -> bool:
        """Whether the caller gave up or sent too much: then no service may take it as whole."""
        return self.gone or self.refused is not None

    async def first(self) -> bytes:
        """The first piece, often all of it; raises ServiceError when that is too much already."""
        if self.complete:
            return b""
        piece = await self.next()
        if self.refused is not None:
            raise self.refused
        return piece

    async def next(self) -> bytes:
        """The next piece; afterwards ``complete`` or ``ended_early`` may hold."""
        message: Message = await self._receive()
        if message["type"] == "http.disconnect":
            self.gone = True
            return b""
        piece: bytes = message.get("body", b"")
        self._seen += len(piece)
        self.complete = not message.get("more_body", False)
        if self._seen > self._most:
            self.refused = too_large(self._most)
        return piece


class Answer(Protocol):
    """Where a service's answer goes, as it comes."""

    async def begin(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """The status and the headers, unfiltered."""

    async def piece(self, data: bytes, *, more: bool) -> None:
        """A piece of the body; without ``more`` the answer is whole."""


class Found(NamedTuple):
    """What a service said to a GET; ``document`` when that was one JSON object of modest size."""

    status: int
    document: dict[str, Any] | None


class Transport(Protocol):
    """One way to a service. Both methods raise UnreachableError, and wait as long as it takes."""

    async def pass_on(
        self, path: str, scope: Scope, headers: Headers, body: Body, answer: Answer
    ) -> None:
        """Ask what ``scope`` asks, at this canonical path; returns early if the caller is gone."""

    async def get(self, path: str, query: bytes, headers: Headers, most_bytes: int) -> Found:
        """Get a document for the gateway itself."""


class Upstream:
    """One service."""

    def __init__(self, name: str, transport: Transport, most_in_flight: int) -> None:
        self.name = name
        self.transport = transport
        self.in_flight = InFlight(name, most_in_flight)

    def failed(self, error: BaseException) -> ServiceError:
        """What to tell the caller when the service did not answer, counted and logged."""
        slow = isinstance(error, TimeoutError)
        reason = "timeout" if slow else "unreachable"
        _FAILURES.labels(self.name, reason).inc()
        _log.warning("upstream_failed", upstream=self.name, reason=reason, error=repr(error))
        if slow:
            return ServiceError(
                "timeout",
                "upstream_timeout",
                f"{self.name} did not answer in time.",
                part=self.name,
            )
        return ServiceError(
            "unavailable", "upstream_down", f"{self.name} cannot be reached.", part=self.name
        )


def json_object(body: bytes | bytearray) -> dict[str, Any] | None:
    """The JSON object in an answer; None when it is anything else."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
