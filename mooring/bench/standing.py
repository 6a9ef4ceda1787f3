"""A platform to measure: fresh data, ports of its own, child processes as ``mooring up`` has."""

import random
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from mooring.environment import API_PORTS, Place
from mooring.preparation import prepare
from mooring.up import Platform


@contextmanager
def fresh_place(mongo: str | None = None, kafka: str | None = None) -> Iterator[Place]:
    """A place with an empty data directory, which goes with it, and ports that are free."""
    with tempfile.TemporaryDirectory(prefix="mooring-bench-") as folder:
        first = _free_ports(1 + len(API_PORTS))
        yield Place(
            data=Path(folder), port=first, first_api_port=first + 1, mongo=mongo, kafka=kafka
        )


@asynccontextmanager
async def standing(place: Place, workers: int = 1) -> AsyncIterator[Platform]:
    """The platform of this place, up and ready; stopped at the end, if it still runs."""
    platform = Platform(place)
    place.issuer()
    await prepare(place.store(), place.bus(), place.programme)
    try:
        platform.start_all(workers)
        await platform.ready()
        yield platform
    finally:
        platform.stop()


def _free_ports(count: int) -> int:
    """Return the first of ``count`` consecutive ports that nobody listens on.

    Drawn, so that two runs that start together do not choose alike; below those that systems give
    to outgoing connections.
    """
    for first in random.sample(range(22_000, 32_000, 10), 1_000):
        if all(_is_free(first + offset) for offset in range(count)):
            return first
    raise OSError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
