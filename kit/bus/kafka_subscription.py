"""A member of a Kafka consumer group.

kafka-python's consumer belongs to one thread, so each subscription has a thread of its own. A
rebalance happens inside ``poll`` only, when the loop holds nothing unfinished, so partitions are
given up with everything finished and its commit under way: the broker reads it before the request
to join that follows it on the same connection.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from kafka import (
    ConsumerRebalanceListener,
    KafkaConsumer,
    OffsetAndMetadata,
    TopicPartition,
    errors,
)
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor

from kit.bus.kafka_client import KafkaSettings, common_options, kafka_errors, require_reachable
from kit.bus.port import Received

FETCH_BYTES = 8 * 1024 * 1024
PARTITION_FETCH_BYTES = 1024 * 1024
MAX_POLL_INTERVAL_MS = 300_000
COMMIT_TIMEOUT_MS = 10_000
CLOSE_TIMEOUT_MS = 5_000

Result = TypeVar("Result")


class Cluster(Protocol):
    """What a member asks about the cluster; answered by the bus's admin client."""

    def require(self, names: Sequence[str]) -> None:
        """Raise Unavailable when a topic is not there."""

    def lag_of(self, places: Sequence[TopicPartition], group: str) -> int:
        """Return the group's lag over these partitions."""


class KafkaSubscription:
    """A ``Subscription`` on Kafka. Fencing is the broker's, by the group's generation."""

    def __init__(
        self,
        servers: Sequence[str],
        settings: KafkaSettings,
        topics: Sequence[str],
        group: str,
        cluster: Cluster,
    ) -> None:
        self._servers = servers
        self._settings = settings
        self._topics = list(topics)
        self._group = group
        self._cluster = cluster
        self._consumer: Any = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"consume-{group}")
        self._progress = Progress()
        self._refusal: Exception | None = None  # of the last commit
        self._places: tuple[TopicPartition, ...] = ()
        self._abandoned = False
        self._closed = False

    @property
    def generation(self) -> int:
        """Grows whenever a partition comes to this member."""
        return self._progress.arrivals

    async def poll(self, limit: int, timeout: float) -> list[Received]:
        """Return up to ``limit`` messages, in order per partition."""
        return await self._in_thread(lambda: self._poll(limit, timeout))

    async def commit(self) -> None:
        """Send off the commit of what was polled, and do not wait for the answer.

        Until it is a good one, polls and commits say it again, and ``close`` waits for it. What
        went to another member is passed over.
        """
        if not self._abandoned:  # nobody has seen what an abandoned poll brought
            self._progress.finished()
            self._send_commit()

    async def rewind(self) -> None:
        """Go back to the last commit."""
        await self._in_thread(self._rewind)

    async def lag(self) -> int:
        """Return how many messages of the owned partitions are not committed yet."""
        places = self._places
        return await asyncio.to_thread(self._cluster.lag_of, places, self._group)

    async def close(self) -> None:
        """Leave the group."""
        if not self._closed:
            self._closed = True
            await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
            self._thread.shutdown(wait=False)

    def owned(self) -> set[tuple[str, int]]:
        """Return the partitions this member owns."""
        return {(it.topic, it.partition) for it in self._assignment()}

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        """Run in the consumer's thread. When the caller is cancelled the thread goes on, so what it
        polls reaches nobody: the next poll then begins by going back."""
        running = asyncio.get_running_loop().run_in_executor(self._thread, work)
        try:
            return await running
        except asyncio.CancelledError:
            self._abandoned = True
            raise

    def _assignment(self) -> list[TopicPartition]:
        return sorted(self._consumer.assignment()) if self._consumer is not None else []

    def _connected(self) -> Any:
        if self._consumer is None:
            require_reachable(self._servers, self._settings)
            self._cluster.require(self._topics)
            self._consumer = past_the_coordinator(self._connect())
            self._consumer.subscribe(topics=self._topics, listener=_Listener(self._progress))
        return self._consumer

    def _connect(self) -> Any:
        session_ms = round(self._settings.session_timeout_seconds * 1000)
        return KafkaConsumer(
            **common_options(self._servers, self._settings),
            metrics_enabled=False,
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            partition_assignment_strategy=[CooperativeStickyAssignor],
            allow_auto_create_topics=False,
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=session_ms // 5,
            max_poll_interval_ms=MAX_POLL_INTERVAL_MS,
            fetch_max_bytes=FETCH_BYTES,
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
        )

    def _poll(self, limit: int, timeout: float) -> list[Received]:
        with kafka_errors():
            consumer = self._connected()
            if self._abandoned:
                self._rewind()
            self._commit_again()
            batches = consumer.poll(timeout_ms=round(timeout * 1000), max_records=limit)
            _keep_joining(consumer)
            self._places = tuple(consumer.assignment())
            messages: list[Received] = []
            for place, records in batches.items():
                self._progress.polled(place, records[0].offset, records[-1].offset + 1)
                messages += map(_received, records)
            return messages

    def _send_commit(self) -> None:
        if offsets := self._progress.to_commit():
            with kafka_errors():
                self._consumer.commit_async(_described(offsets), self._answered)

    def _answered(self, offsets: Mapping[TopicPartition, OffsetAndMetadata], answer: Any) -> None:
        """Called by kafka-python, inside the next ``poll`` or ``commit_async``."""
        if isinstance(answer, Exception) and not isinstance(answer, errors.CommitFailedError):
            self._refusal = answer
        else:  # or else they are somebody else's by now
            self._progress.committed({place: it.offset for place, it in offsets.items()})

    def _commit_again(self) -> None:
        refusal, self._refusal = self._refusal, None
        if isinstance(refusal, (errors.RebalanceInProgressError, errors.RetriableError)):
            self._send_commit()
        elif refusal is not None:
            raise refusal

    def _rewind(self) -> None:
        self._abandoned = False
        assigned = set(self._assignment())
        for place, offset in self._progress.begin_again().items():
            if place in assigned:
                self._consumer.seek(place, offset)

    def _close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with kafka_errors():
                try:
                    self._commit_and_wait(consumer)
                finally:
                    consumer.close(autocommit=False, timeout_ms=CLOSE_TIMEOUT_MS)

    def _commit_and_wait(self, consumer: Any) -> None:
        if offsets := self._progress.to_commit():
            with suppress(errors.CommitFailedError, errors.RebalanceInProgressError):
                consumer.commit(_described(offsets), timeout_ms=COMMIT_TIMEOUT_MS)


def _described(offsets: dict[TopicPartition, int]) -> dict[TopicPartition, OffsetAndMetadata]:
    return {place: OffsetAndMetadata(offset, "", -1) for place, offset in offsets.items()}


class Progress:
    """What was polled, and what is finished and not known to be committed, per partition."""

    def __init__(self) -> None:
        self.arrivals = 0
        self._first: dict[TopicPartition, int] = {}
        self._following: dict[TopicPartition, int] = {}
        self._finished: dict[TopicPartition, int] = {}

    def polled(self, place: TopicPartition, first: int, following: int) -> None:
        """Messages from ``first`` on were handed out."""
        self._first.setdefault(place, first)
        self._following[place] = following

    def to_commit(self) -> dict[TopicPartition, int]:
        """Return the offset to commit for each partition."""
        return dict(self._finished)

    def finished(self) -> None:
        """All that was polled is done, though the broker has not noted it: never go back to it."""
        self._finished.update(self._following)
        self._first.clear()
        self._following.clear()

    def committed(self, offsets: Mapping[TopicPartition, int]) -> None:
        """The broker has noted these; what was finished since is still to be committed."""
        for place, offset in offsets.items():
            if self._finished.get(place) == offset:
                del self._finished[place]

    def begin_again(self) -> dict[TopicPartition, int]:
        """Return where each partition was before what is not finished."""
        first = dict(self._first)
        self._first.clear()
        self._following.clear()
        return first

    def lost(self, places: Iterable[TopicPartition]) -> None:
        """These partitions have gone to another member."""
        for place in places:
            for offsets in (self._first, self._following, self._finished):
                offsets.pop(place, None)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc] # kafka-python is untyped
    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Others own them from here on."""
        self._progress.lost(list(revoked))

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """They begin at the group's committed offset, whatever we knew of them."""
        self._progress.arrivals += 1
        self._progress.lost(list(assigned))


def past_the_coordinator(consumer: Any) -> Any:
    """Let polls ask for the group's coordinator only when it is not known.

    kafka-python 3.0.12 has its network thread look with every poll, and waits for that: two
    changes of thread out of six, and an eighth of what a message by itself costs.
    """
    coordinator = consumer._coordinator
    ask = coordinator.ensure_coordinator_ready

    def ensure(timeout_ms: float | None = None) -> bool:
        return not coordinator.coordinator_unknown() or bool(ask(timeout_ms))

    coordinator.ensure_coordinator_ready = ensure
    return consumer


def _keep_joining(consumer: Any) -> None:
    """Make the next poll go on with a join that this one had no time to finish.

    kafka-python 3.0.12 otherwise forgets a join that new metadata had called for: it notes the
    metadata as dealt with when the join begins, and a poll that times out before the end leaves
    the member without partitions and without heartbeats for good. Seen in two of six starts.
    """
    coordinator = consumer._coordinator
    if coordinator.rejoining:
        coordinator.request_rejoin()


def _received(record: Any) -> Received:
    return Received(
        record.topic,
        record.partition,
        record.offset,
        (record.key or b"").decode("utf-8", "surrogateescape"),
        record.value or b"",
        record.timestamp * 1000,
        {name: value or b"" for name, value in record.headers},
    )
