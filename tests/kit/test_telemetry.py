import sys
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from kit.settings import SettingsError, TelemetrySettings
from kit.telemetry import (
    configure_tracing,
    current_traceparent,
    new_traceparent,
    span,
    stop_tracing,
    trace_id,
    trace_with,
    valid_traceparent,
)

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def exported() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = trace_with("points", SimpleSpanProcessor(exporter))
    yield exporter
    stop_tracing(provider)


def test_without_a_collector_the_trace_is_handed_on_as_it_came():
    with span("work", PARENT) as live:
        assert live is None
        assert current_traceparent() == PARENT
    assert current_traceparent() is None


def test_work_that_belongs_to_no_trace_begins_one():
    with span("work", None):
        begun = current_traceparent()
        assert valid_traceparent(begun) == begun


def test_new_traces_differ():
    assert len({new_traceparent() for _ in range(100)}) == 100


def test_a_collector_gets_spans_that_hang_together(exported: InMemorySpanExporter):
    with span("outer", PARENT):
        stored = current_traceparent()
    with span("inner", stored):
        pass
    outer, inner = exported.get_finished_spans()
    assert trace_id(stored) == trace_id(PARENT) == f"{outer.context.trace_id:032x}"
    assert outer.parent is not None
    assert f"{outer.parent.span_id:016x}" == "00f067aa0ba902b7"
    assert inner.parent is not None
    assert inner.parent.span_id == outer.context.span_id


def test_a_collector_without_its_exporter_stops_the_start(monkeypatch: pytest.MonkeyPatch):
    absent = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(SettingsError, match="MOORING_OTLP_ENDPOINT"):
        configure_tracing("points", TelemetrySettings("http://collector:4318"))


def test_without_an_endpoint_nothing_is_set_up():
    assert configure_tracing("points", TelemetrySettings(None)) is None
