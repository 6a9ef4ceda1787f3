"""Traces and HTTP metrics.

A trace context is a W3C ``traceparent`` text everywhere: in a header, in a fact, in a message. So
it can be stored and passed on where no tracing library runs. Spans are made only when
``MOORING_OTLP_ENDPOINT`` is set; otherwise the text is handed from hop to hop unchanged.
"""

import random
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from importlib import import_module

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Span, SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import Counter, Histogram

from kit.settings import SettingsError, TelemetrySettings

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
_traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)
_tracer: Tracer | None = None

HTTP_REQUESTS = Counter(
    "mooring_http_requests_total",
    "HTTP requests answered.",
    ("service", "method", "route", "status"),
)
HTTP_SECONDS = Histogram(
    "mooring_http_request_seconds",
    "Seconds from the request's arrival to the end of the answer.",
    ("service", "method", "route"),
    buckets=_SECONDS,
)


def valid_traceparent(text: str | None) -> str | None:
    """The text if it is a usable ``traceparent``, else None."""
    if text is None or not _TRACEPARENT.fullmatch(text) or text.startswith("ff"):
        return None
    empty = text[3:35] == "0" * 32 or text[36:52] == "0" * 16
    return None if empty else text


def new_traceparent() -> str:
    """A new trace, not sampled. Ids need be unique, not secret, so the fast generator serves."""
    trace_id, span_id = random.getrandbits(128) or 1, random.getrandbits(64) or 1
    return f"00-{trace_id:032x}-{span_id:016x}-00"


def current_traceparent() -> str | None:
    """The trace this piece of work belongs to: what a fact, a message or a call carries on."""
    return _traceparent.get()


def trace_id(traceparent: str | None) -> str | None:
    """The 32 hex digits by which people look a trace up."""
    return traceparent[3:35] if traceparent else None


def span(
    name: str, parent: str | None, kind: SpanKind = SpanKind.INTERNAL
) -> AbstractContextManager[Span | None]:
    """Work done for ``parent`` (a traceparent; None begins a trace). Yields the span, if any."""
    if _tracer is None:
        return _HandedOn(parent or new_traceparent())
    return _recorded(_tracer, name, parent, kind)


class _HandedOn:
    """A context manager by hand: every request enters one, and a generator costs 3 µs more."""

    __slots__ = ("_reset", "_trace")

    def __init__(self, traceparent: str) -> None:
        self._trace = traceparent

    def __enter__(self) -> None:
        self._reset = _traceparent.set(self._trace)

    def __exit__(self, *_: object) -> None:
        _traceparent.reset(self._reset)


@contextmanager
def _recorded(tracer: Tracer, name: str, parent: str | None, kind: SpanKind) -> Iterator[Span]:
    context = _propagator.extract({"traceparent": parent} if parent else {})
    with tracer.start_as_current_span(name, context=context, kind=kind) as started:
        reset = _traceparent.set(_traceparent_of(started))
        try:
            yield started
        finally:
            _traceparent.reset(reset)


_propagator = TraceContextTextMapPropagator()


def _traceparent_of(started: Span) -> str:
    context = started.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def configure_tracing(service: str, settings: TelemetrySettings) -> TracerProvider | None:
    """Send spans to the collector, if one is configured. Shut the result down at the end."""
    if settings.otlp_endpoint is None:
        return None
    return trace_with(service, BatchSpanProcessor(_otlp_exporter(settings.otlp_endpoint)))


def trace_with(service: str, processor: SpanProcessor) -> TracerProvider:
    """Make spans and hand them to ``processor``.

    The provider is not made global: FastAPI would then trace every request a second time.
    """
    global _tracer
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(processor)
    _tracer = provider.get_tracer("mooring")
    return provider


def stop_tracing(provider: TracerProvider | None) -> None:
    """Send what is left and make no more spans."""
    global _tracer
    _tracer = None
    if provider is not None:
        provider.shutdown()


def _otlp_exporter(endpoint: str) -> SpanExporter:
    try:
        module = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ImportError as error:
        raise SettingsError(
            ["MOORING_OTLP_ENDPOINT: the exporter is not installed; install `mooring[trace]`"]
        ) from error
    exporter: SpanExporter = module.OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")
    return exporter


class HttpMetrics:
    """Requests and seconds by route template, for one service.

    The labelled children are kept, because finding them costs more than counting.
    """

    def __init__(self, service: str) -> None:
        self._service = service
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request. ``route`` is a template, never a path with ids in it."""
        key = (method, route, status)
        children = self._children.get(key) or self._make(key)
        children[0].inc()
        children[1].observe(seconds)

    def _make(self, key: tuple[str, str, int]) -> tuple[Counter, Histogram]:
        method, route, status = key
        known = method if method in _METHODS else "OTHER"
        children = (
            HTTP_REQUESTS.labels(self._service, known, route, str(status)),
            HTTP_SECONDS.labels(self._service, known, route),
        )
        if known == method:
            self._children[key] = children
        return children
