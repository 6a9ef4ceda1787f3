"""Publishing to Kafka so that order per key survives failures and retries.

An idempotent producer keeps the order of what lands, but not of what fails: if the first of two
record batches of a partition times out and the second lands, a retry of both puts the second
before the first. So a *wave* holds at most one record batch per partition, which the broker takes
whole or not at all, and the next wave starts when the one before has landed.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from kafka import KafkaProducer, errors

from kit.bus.kafka_client import KafkaSettings, common_options, kafka_errors, require_reachable
from kit.bus.partitioner import partition_for
from kit.bus.port import Message

BATCH_BYTES = 512 * 1024
RECORD_OVERHEAD_BYTES = 96
HEADER_OVERHEAD_BYTES = 12
LINGER_MS = 1_000  # never waited for: each wave ends with a flush

Placed = tuple[int, Message]


class KafkaPublisher:
    """A producer, used by one thread; made when first needed, and anew after every failure.

    kafka-python 3.0.12's idempotent producer does not come back once a batch has expired on it
    (a broker was away for longer than the delivery timeout): all that follows expires, too.
    """

    def __init__(self, servers: Sequence[str], settings: KafkaSettings) -> None:
        self._servers = servers
        self._settings = settings
        self._producer: Any = None

    def publish(self, messages: Sequence[Message]) -> None:
        """Publish and wait until all replicas in sync have everything."""
        with kafka_errors():
            producer = self._connected()
            try:
                for wave in waves(_placed(producer, messages)):
                    self._publish_wave(producer, wave)
            except errors.KafkaError:
                self.close(0.0)
                raise

    def _connected(self) -> Any:
        if self._producer is None:
            require_reachable(self._servers, self._settings)
            timeout_ms = round(self._settings.publish_timeout_seconds * 1000)
            options = common_options(self._servers, self._settings)
            options["request_timeout_ms"] = timeout_ms // 2  # so that there is time for a retry
            self._producer = KafkaProducer(
                **options,
                metrics_enabled=False,
                acks="all",
                enable_idempotence=True,
                linger_ms=LINGER_MS,
                batch_size=BATCH_BYTES,
                delivery_timeout_ms=timeout_ms,
                max_block_ms=round(self._settings.connect_timeout_seconds * 1000),
                allow_auto_create_topics=False,
            )
        return self._producer

    def _publish_wave(self, producer: Any, wave: Sequence[Placed]) -> None:
        futures = [
            producer.send(
                message.topic,
                value=message.value,
                key=message.key.encode("utf-8", "surrogateescape"),
                headers=list(message.headers.items()),
                partition=partition,
            )
            for partition, message in wave
        ]
        producer.flush(self._settings.publish_timeout_seconds)
        failure = next((it.exception for it in futures if it.failed()), None)
        if failure is not None:
            raise failure

    def close(self, seconds: float) -> None:
        """Flush for at most so long, then let go."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            producer.close(timeout=seconds)
        except errors.KafkaTimeoutError:  # it then leaves its thread at work
            producer._sender.force_close()


def _placed(producer: Any, messages: Sequence[Message]) -> list[Placed]:
    """Say which partition each message goes to; a topic's are counted once."""
    counts: dict[str, int] = {}
    for topic in {message.topic for message in messages}:
        partitions = producer.partitions_for(topic)
        if not partitions:
            raise errors.UnknownTopicOrPartitionError(topic)
        counts[topic] = len(partitions)
    return [(partition_for(it, counts[it.topic]), it) for it in messages]


def waves(placed: Sequence[Placed]) -> Iterator[list[Placed]]:
    """Cut messages into waves, in order, each with at most a record batch's bytes per partition."""
    wave: list[Placed] = []
    filled: dict[tuple[str, int], int] = {}
    for partition, message in placed:
        place = (message.topic, partition)
        size = _size(message)
        if wave and filled.get(place, 0) + size > BATCH_BYTES:
            yield wave
            wave, filled = [], {}
        filled[place] = filled.get(place, 0) + size
        wave.append((partition, message))
    if wave:
        yield wave


def _size(message: Message) -> int:
    """An upper bound of what the record takes."""
    headers = sum(
        len(name) + len(value) + HEADER_OVERHEAD_BYTES for name, value in message.headers.items()
    )
    return len(message.value) + 4 * len(message.key) + headers + RECORD_OVERHEAD_BYTES
