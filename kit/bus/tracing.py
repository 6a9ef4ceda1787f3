"""Trace context on the bus: a header per message, a span per batch.

Without an OpenTelemetry SDK the span is a no-op and nothing is done per message.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.propagate import extract
from opentelemetry.trace import SpanKind

from kit.bus.port import Received

TRACE_HEADER = "traceparent"
LINKS_LIMIT = 32

_tracer = trace.get_tracer("mooring.bus")


@contextmanager
def batch_span(group: str, received: Sequence[Received]) -> Iterator[None]:
    """Run the body in a span that links to the traces its messages come from."""
    with _tracer.start_as_current_span(f"{group} process", kind=SpanKind.CONSUMER) as span:
        if span.is_recording():
            span.set_attribute("messaging.batch.message_count", len(received))
            span.set_attribute("messaging.consumer.group.name", group)
            for context in _contexts(received):
                span.add_link(context)
        yield


def _contexts(received: Sequence[Received]) -> list[trace.SpanContext]:
    parents = {it.headers[TRACE_HEADER] for it in received if TRACE_HEADER in it.headers}
    contexts: list[trace.SpanContext] = []
    for parent in sorted(parents)[:LINKS_LIMIT]:
        context = extract({TRACE_HEADER: parent.decode(errors="replace")})
        contexts.append(trace.get_current_span(context).get_span_context())
    return [it for it in contexts if it.is_valid]
