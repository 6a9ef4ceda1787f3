"""Which headers pass the gateway, on to a service and back to the caller.

Neither way pass those that concern one hop (RFC 9110, 7.6.1), what the transport writes itself, and
what only the gateway may say. Mooring has no cookies, so none are passed on.
"""

from collections.abc import Iterable

from starlette.types import Scope

from kit.telemetry import current_traceparent, request_id

_NOT_PASSED_ON = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer "
    b"transfer-encoding upgrade host content-length expect cookie forwarded x-forwarded-for "
    b"x-forwarded-host x-forwarded-proto x-real-ip x-request-id traceparent".split()
)
_NOT_PASSED_BACK = frozenset(
    b"connection keep-alive proxy-authenticate proxy-connection te trailer transfer-encoding "
    b"upgrade server date set-cookie x-request-id".split()
)
Header = tuple[bytes, bytes]


def passed_on(scope: Scope) -> list[Header]:
    """The headers of a request as its service gets them, apart from the framing of the body."""
    kept = _kept(scope["headers"], _NOT_PASSED_ON)
    kept += said_by_the_gateway()
    client = scope.get("client")
    if client:
        kept.append((b"x-forwarded-for", client[0].encode()))
    return kept


def passed_back(headers: Iterable[Header]) -> list[Header]:
    """The headers of an answer as the caller gets them. Names are in lower case."""
    return _kept(headers, _NOT_PASSED_BACK)


def said_by_the_gateway() -> list[Header]:
    """The request's id and its trace, for the services to carry on."""
    known = ((b"x-request-id", request_id.get()), (b"traceparent", current_traceparent()))
    return [(name, value.encode()) for name, value in known if value is not None]


def _kept(headers: Iterable[Header], dropped: frozenset[bytes]) -> list[Header]:
    kept, named = [], []
    for pair in headers:
        if pair[0] not in dropped:
            kept.append(pair)
        elif pair[0] == b"connection" and pair[1] != b"keep-alive":
            named.append(pair[1])
    if not named:
        return kept
    also = _named_by_connection(named)
    return [pair for pair in kept if pair[0] not in also]


def _named_by_connection(values: Iterable[bytes]) -> frozenset[bytes]:
    # A client must not be able to have its Authorization or its trace taken away by naming it.
    named = {word.strip().lower() for value in values for word in value.split(b",")}
    return frozenset(named - {b"authorization", b"content-type", b"idempotency-key"})
