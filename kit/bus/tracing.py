"""Trace context on the bus: a header per message, a span per batch.

While no spans are made, nothing is done per message and some microseconds per batch.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry.trace import SpanContext, SpanKind, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from kit.bus.port import Received
from kit.telemetry import span, valid_traceparent

TRACE_HEADER = "traceparent"
LINKS_LIMIT = 32

_propagator = TraceContextTextMapPropagator()


@contextmanager
def batch_span(group: str, received: Sequence[Received]) -> Iterator[None]:
    """Run the body in a span: the child of a single message's trace, or linked to those of many."""
    parent = traceparent_of(received[0]) if len(received) == 1 else None
    with span(f"{group} process", parent, SpanKind.CONSUMER) as started:
        if started is not None:
            started.set_attribute("messaging.batch.message_count", len(received))
            started.set_attribute("messaging.consumer.group.name", group)
            for context in _contexts(received) if parent is None else ():
                started.add_link(context)
        yield


def traceparent_of(received: Received) -> str | None:
    """The trace a message belongs to; None when it has none, or one that nobody can read."""
    header = received.headers.get(TRACE_HEADER)
    return valid_traceparent(header.decode(errors="replace")) if header else None


def _contexts(received: Sequence[Received]) -> Iterator[SpanContext]:
    parents = {parent for it in received if (parent := traceparent_of(it)) is not None}
    for parent in sorted(parents)[:LINKS_LIMIT]:
        context = _propagator.extract({TRACE_HEADER: parent})
        yield get_current_span(context).get_span_context()
