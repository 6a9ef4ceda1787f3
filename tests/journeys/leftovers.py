"""What one platform leaves behind on shared servers, put out of the way of the next."""

import time
from contextlib import closing

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import KafkaError
from pymongo import MongoClient

from contracts.topics import ALL_TOPICS
from mooring.settle import GROUPS

EMPTY_WITHIN_SECONDS = 40
UP_TO_THE_END = -1  # in place of an offset


def begin_at_the_end(bootstrap: str) -> None:
    """Let every consumer group begin after all that earlier platforms published.

    Deleting and making 240 partitions anew would take longer than most tests. A group whose members
    were killed is not empty before their sessions end, so this waits for it.
    """
    with closing(KafkaAdminClient(bootstrap_servers=bootstrap)) as admin:
        places = _partitions(admin, [name for it in ALL_TOPICS for name in (it.name, it.dead)])
        for group in GROUPS:
            for one in (group, f"redrive.{group}"):
                _move(admin, one, places)


def delete_messages(bootstrap: str) -> None:
    """Leave nothing on the topics that looks like somebody's real traffic (compacted ones keep)."""
    names = [name for it in ALL_TOPICS for name in (it.name, it.dead) if not it.compacted]
    with closing(KafkaAdminClient(bootstrap_servers=bootstrap)) as admin:
        admin.delete_records(dict.fromkeys(_partitions(admin, names), UP_TO_THE_END))


def _partitions(admin: KafkaAdminClient, names: list[str]) -> list[TopicPartition]:
    """The partitions of those of the topics that exist."""
    return [
        TopicPartition(topic["name"], partition["partition_index"])
        for topic in admin.describe_topics(names)
        if not topic["error_code"]
        for partition in topic["partitions"]
    ]


def _move(admin: KafkaAdminClient, group: str, places: list[TopicPartition]) -> None:
    deadline = time.monotonic() + EMPTY_WITHIN_SECONDS
    while places:
        try:
            outcome = admin.reset_group_offsets(group, dict.fromkeys(places, OffsetSpec.LATEST))
            failed = {it["error"].__name__ for it in outcome.values()} - {"NoError"}
            if not failed:
                return
        except KafkaError as error:
            failed = {type(error).__name__}
        assert time.monotonic() < deadline, f"{group} cannot begin afresh: {failed}"
        time.sleep(0.2)


def drop_database(url: str, name: str) -> None:
    """Remove what a platform stored."""
    with MongoClient[dict[str, object]](url) as client:
        client.drop_database(name)
