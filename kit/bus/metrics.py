"""What consumers and relays report about themselves, and Prometheus as the one who listens."""

from functools import cache
from typing import Protocol

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

_BATCH_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics(Protocol):
    """Called once per batch, never per message."""

    def handled(self, group: str, topic: str, count: int) -> None:
        """Messages whose effect is durable."""

    def dead_lettered(self, group: str, topic: str, reason: str, count: int) -> None:
        """Messages put aside."""

    def batch_took(self, group: str, seconds: float) -> None:
        """Time from the poll's return to the commit's."""

    def backed_off(self, group: str) -> None:
        """A store or the bus was out."""

    def lag(self, group: str, count: int) -> None:
        """Messages of the owned partitions that are not committed."""

    def relayed(self, journal: str, count: int) -> None:
        """Facts that are on the bus and marked."""


@cache
def process_metrics() -> "PrometheusMetrics":
    """The counters that ``/metrics`` of this process shows."""
    return PrometheusMetrics()


class NoMetrics:
    """Nobody listens."""

    def handled(self, group: str, topic: str, count: int) -> None: ...
    def dead_lettered(self, group: str, topic: str, reason: str, count: int) -> None: ...
    def batch_took(self, group: str, seconds: float) -> None: ...
    def backed_off(self, group: str) -> None: ...
    def lag(self, group: str, count: int) -> None: ...
    def relayed(self, journal: str, count: int) -> None: ...


class PrometheusMetrics:
    """Counters on a registry; make one per process."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        topic = ("group", "topic")
        self._handled = Counter(
            "mooring_messages_handled", "Messages with durable effect", topic, registry=registry
        )
        self._dead = Counter(
            "mooring_messages_dead_lettered",
            "Messages put aside",
            (*topic, "reason"),
            registry=registry,
        )
        self._batches = Histogram(
            "mooring_batch_seconds",
            "Time to handle and commit a batch",
            ("group",),
            registry=registry,
            buckets=_BATCH_SECONDS,
        )
        self._outages = Counter(
            "mooring_consumer_backoffs", "Back-offs after an outage", ("group",), registry=registry
        )
        self._lag = Gauge(
            "mooring_consumer_lag", "Messages not committed yet", ("group",), registry=registry
        )
        self._relayed = Counter(
            "mooring_facts_relayed", "Facts published and marked", ("journal",), registry=registry
        )

    def handled(self, group: str, topic: str, count: int) -> None:
        """Count them."""
        self._handled.labels(group, topic).inc(count)

    def dead_lettered(self, group: str, topic: str, reason: str, count: int) -> None:
        """Count them."""
        self._dead.labels(group, topic, reason).inc(count)

    def batch_took(self, group: str, seconds: float) -> None:
        """Observe it."""
        self._batches.labels(group).observe(seconds)

    def backed_off(self, group: str) -> None:
        """Count it."""
        self._outages.labels(group).inc()

    def lag(self, group: str, count: int) -> None:
        """Set it."""
        self._lag.labels(group).set(count)

    def relayed(self, journal: str, count: int) -> None:
        """Count them."""
        self._relayed.labels(journal).inc(count)
