"""Fresh places to run a platform at: embedded, or on the real servers with either driver."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from mooring.environment import Place
from tests.journeys.running import free_ports

EMBEDDED = "embedded"
CONNECTED = ("kafka+motor", "kafka+pymongo")
ADAPTERS = [EMBEDDED, *(pytest.param(name, marks=pytest.mark.connected) for name in CONNECTED)]


@contextmanager
def fresh_place(adapter: str, data: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    """A place where nothing has happened yet; what it used of a server is dropped afterwards."""
    port, first_api_port, *_ = free_ports()
    if adapter == EMBEDDED:
        yield Place(data, port=port, first_api_port=first_api_port)
        return
    # Imported here because few runs need the drivers.
    from tests.journeys.leftovers import begin_at_the_end, delete_messages, drop_database

    documents = request.getfixturevalue("document_server")
    kafka = request.getfixturevalue("kafka_server")
    begin_at_the_end(kafka.bootstrap)
    name = f"journey_{uuid4().hex[:12]}"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MOORING_MONGO_DRIVER", adapter.removeprefix("kafka+"))
        yield Place(
            data,
            port=port,
            first_api_port=first_api_port,
            mongo=f"{documents.url.rstrip('/')}/{name}",
            kafka=f"kafka://{kafka.bootstrap}",
        )
    delete_messages(kafka.bootstrap)
    drop_database(documents.url, name)
