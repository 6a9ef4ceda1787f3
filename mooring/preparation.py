"""What a release needs before its processes start: topics, collections, indexes."""

from pathlib import Path

from contracts.topics import ALL_TOPICS
from kit.bus.open import open_bus
from kit.bus.port import TopicSpec
from kit.settings import BusSettings, StoreSettings
from mooring.services import opened

EMBEDDED_PARTITIONS = 8


def topic_specs(bus: BusSettings) -> list[TopicSpec]:
    """Every topic and its dead letters; the embedded bus has fewer partitions."""
    specs = []
    for topic in ALL_TOPICS:
        partitions = EMBEDDED_PARTITIONS if bus.kind == "sqlite" else topic.partitions
        specs.append(TopicSpec(topic.name, partitions, topic.compacted))
        specs.append(TopicSpec(topic.dead, partitions))
    return specs


async def prepare(store: StoreSettings, bus: BusSettings, programme: Path) -> None:
    """Create topics, collections and indexes. Harmless when they are there."""
    broker = open_bus(bus)
    try:
        await broker.prepare(topic_specs(bus))
    finally:
        await broker.close()
    async with opened(store, programme) as services:
        await services.members.prepare()
        await services.points.prepare()
        await services.events.prepare()
