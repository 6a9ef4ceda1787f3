"""Errors about topics that every adapter raises alike."""

from kit.bus.port import TopicSpec
from kit.errors import ServiceError


def partitions_differ(spec: TopicSpec, found: int) -> ServiceError:
    """Adding partitions would move members to others and break their order: never silently."""
    return ServiceError(
        "conflict",
        "topic_partitions_differ",
        "the topic exists with another number of partitions; keep that number or make a new topic",
        topic=spec.name,
        wanted=spec.partitions,
        found=found,
    )
