"""Topics and offsets of a Kafka cluster, through its admin client."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from kafka import KafkaAdminClient, TopicPartition, errors
from kafka.admin import OffsetSpec

from contracts.topics import DEAD_LETTER_SUFFIX
from kit.bus.kafka_client import KafkaSettings, common_options, kafka_errors, require_reachable
from kit.bus.port import TopicSpec
from kit.bus.topic_errors import partitions_differ
from kit.errors import Unavailable

DAY_MS = 86_400_000
PATIENCE_SECONDS = 5.0
Result = TypeVar("Result")


class KafkaTopics:
    """Used by one thread; connects when first needed."""

    def __init__(self, servers: Sequence[str], settings: KafkaSettings) -> None:
        self._servers = servers
        self._settings = settings
        self._client: Any = None

    def _connected(self) -> Any:
        if self._client is None:
            require_reachable(self._servers, self._settings)
            self._client = KafkaAdminClient(**common_options(self._servers, self._settings))
        return self._client

    def prepare(self, specs: Sequence[TopicSpec]) -> None:
        """Create what is missing; refuse what has another number of partitions."""
        with kafka_errors():
            found = self._partitions([spec.name for spec in specs])
            missing = [spec for spec in specs if spec.name not in found]
            if missing:
                self._create(missing)
                found = self._partitions([spec.name for spec in specs])
        for spec in specs:
            if found.get(spec.name, spec.partitions) != spec.partitions:
                raise partitions_differ(spec, found[spec.name])

    def _partitions(self, names: Sequence[str]) -> dict[str, int]:
        topics = self._connected().describe_topics(list(names))
        return {it["name"]: len(it["partitions"]) for it in topics if not it["error_code"]}

    def _create(self, specs: Sequence[TopicSpec]) -> None:
        wanted = {
            spec.name: {
                "num_partitions": spec.partitions,
                "replication_factor": self._settings.replication_factor,
                "configs": self._configs(spec),
            }
            for spec in specs
        }
        try:
            self._connected().create_topics(wanted, wait_for_metadata=True)
        except errors.TopicAlreadyExistsError:
            self._connected().wait_for_topics(list(wanted))

    def _configs(self, spec: TopicSpec) -> dict[str, str]:
        """A dead letter is kept for good: it is the only one of its kind in the consumer's eyes."""
        configs: dict[str, str] = {}
        if spec.compacted:
            configs["cleanup.policy"] = "compact"
        elif spec.name.endswith(DEAD_LETTER_SUFFIX):
            configs["retention.ms"] = "-1"
        else:
            configs["retention.ms"] = str(self._settings.retention_days * DAY_MS)
        if self._settings.min_insync_replicas is not None:
            configs["min.insync.replicas"] = str(self._settings.min_insync_replicas)
        return configs

    def require(self, names: Sequence[str]) -> dict[str, int]:
        """Return the partition counts. Raises Unavailable when a topic is not there yet."""
        with kafka_errors():
            found = self._partitions(names)
        missing = sorted(set(names) - set(found))
        if missing:
            raise Unavailable(f"topic {missing[0]}", "it has not been created yet")
        return found

    def lag(self, names: Sequence[str], group: str) -> int:
        """Return the group's lag over all partitions of the topics."""
        partitions = self.require(names)
        places = [
            TopicPartition(name, number) for name in names for number in range(partitions[name])
        ]
        return self.lag_of(places, group)

    def lag_of(self, places: Sequence[TopicPartition], group: str) -> int:
        """Return the group's lag over these partitions."""
        if not places:
            return 0
        with kafka_errors():
            client = self._connected()
            first = client.list_partition_offsets(dict.fromkeys(places, OffsetSpec.EARLIEST))
            following = client.list_partition_offsets(dict.fromkeys(places, OffsetSpec.LATEST))
            committed = _patiently(lambda: self._committed(client, places, group))
        return sum(
            max(0, following[it].offset - max(first[it].offset, committed.get(it, 0)))
            for it in places
        )

    def _committed(
        self, client: Any, places: Sequence[TopicPartition], group: str
    ) -> Mapping[TopicPartition, int]:
        offsets = client.list_group_offsets({group: list(places)})[group]
        return {it: found.offset for it, found in offsets.items()}

    def close(self) -> None:
        """Disconnect."""
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _patiently(ask: Callable[[], Result]) -> Result:
    """A new cluster takes some seconds to have a group coordinator, which the client does not
    wait for."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return ask()
        except errors.RetriableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
