"""The embedded bus: topics and groups as SQLite files below one directory, shared by processes.

``DIR/<topic>.db`` holds a topic, ``DIR/groups/<group>.db`` the books of a consumer group. Reads
and commits run on the event loop (20 µs to some ms); publishing waits for the disk and so goes to
the writer thread of the topic's file.
"""

from collections.abc import Sequence
from pathlib import Path

from kit.bus.port import Message, TopicSpec
from kit.bus.sqlite_group import GroupFile
from kit.bus.sqlite_subscription import SqliteSubscription
from kit.bus.sqlite_topic import TopicFile, create_topic
from kit.sqlite.connections import outages

LEASE_SECONDS = 5.0


class SqliteBus:
    """A ``Bus`` on a directory. ``lease_seconds``: how long a silent consumer keeps its share."""

    def __init__(self, directory: Path, lease_seconds: float = LEASE_SECONDS) -> None:
        self._directory = directory
        self._lease_seconds = lease_seconds
        self._topics: dict[str, TopicFile] = {}
        self._subscriptions: list[SqliteSubscription] = []

    async def prepare(self, topics: Sequence[TopicSpec]) -> None:
        """Create topic files; harmless when they are there, an error when partitions differ."""
        with outages("the bus"):
            for spec in topics:
                create_topic(self._topic_path(spec.name), spec)

    async def publish(self, messages: Sequence[Message]) -> None:
        """Append to each topic in one transaction that is on disk when this returns."""
        by_topic: dict[str, list[Message]] = {}
        for message in messages:
            by_topic.setdefault(message.topic, []).append(message)
        with outages("the bus"):
            for name, batch in by_topic.items():
                await self.topic(name).publish(batch)

    def subscribe(self, topics: Sequence[str], group: str) -> SqliteSubscription:
        """Return a member of the group; it joins with its first poll."""
        member = SqliteSubscription(
            topics, self._group_path(group), self.topic, self._lease_seconds
        )
        self._subscriptions.append(member)
        return member

    async def lag(self, topics: Sequence[str], group: str) -> int:
        """Return how many messages the group has not committed, over all partitions."""
        with outages("the bus"):
            committed = self._committed(topics, group)
            return sum(
                following - max(first, committed[name].get(partition, 0))
                for name in topics
                for partition, (first, following) in enumerate(self.topic(name).heads())
            )

    def _committed(self, topics: Sequence[str], group: str) -> dict[str, dict[int, int]]:
        path = self._group_path(group)
        if not path.exists():
            return {name: {} for name in topics}
        books = GroupFile(path)
        try:
            return {name: books.committed(name) for name in topics}
        finally:
            books.close()

    async def trim(self, name: str) -> int:
        """Delete what every group that knows the topic has committed; return how many messages.

        A compacted topic keeps each key's latest. Housekeeping: nothing calls this by itself, as a
        group that starts later would miss what is gone.
        """
        with outages("the bus"):
            topic = self.topic(name)
            groups = [path.stem for path in sorted((self._directory / "groups").glob("*.db"))]
            known = [c for c in (self._committed([name], group)[name] for group in groups) if c]
            below = {
                partition: min((c.get(partition, 0) for c in known), default=0)
                for partition in range(topic.partitions)
            }
            return await topic.trim(below)

    async def close(self) -> None:
        """Let subscriptions leave their groups, finish writing, close the files."""
        for subscription in self._subscriptions:
            await subscription.close()
        for topic in self._topics.values():
            await topic.close()
        self._topics.clear()

    def topic(self, name: str) -> TopicFile:
        """Return the open topic. Raises Unavailable while it has not been created."""
        if name not in self._topics:
            self._topics[name] = TopicFile(self._topic_path(name))
        return self._topics[name]

    def _topic_path(self, name: str) -> Path:
        return self._directory / f"{name}.db"

    def _group_path(self, group: str) -> Path:
        return self._directory / "groups" / f"{group}.db"
