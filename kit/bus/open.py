"""The bus that the settings name."""

from kit.bus.port import Bus
from kit.bus.sqlite import SqliteBus
from kit.settings import BusSettings


def open_bus(settings: BusSettings) -> Bus:
    """Return the bus. Kafka's client is loaded only where Kafka is asked for."""
    if settings.kind == "sqlite":
        return SqliteBus(settings.directory / "bus")
    from kit.bus.kafka import KafkaBus

    return KafkaBus(settings.servers)
