"""How kafka-python connects: a socket that is given up on the way is closed."""

import asyncio
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from kafka.net.inet import KafkaNetSocket

from kit.bus.kafka_client import KafkaSettings, common_options
from kit.bus.kafka_socket import DirectSocket

Door = tuple[Any, ...]
"""What ``getaddrinfo`` says of a port that takes connections."""


@pytest.fixture
def door() -> Iterator[Door]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        yield socket.getaddrinfo(host, port, socket.AF_UNSPEC, socket.SOCK_STREAM)[0]


class Kept(DirectSocket):
    """Shows the socket it made."""

    SCHEMES = ("kept",)
    made: socket.socket

    def socket(self, *args: Any) -> socket.socket:
        self.made = super().socket(*args)
        return self.made


def test_every_client_connects_with_it() -> None:
    url = common_options(["broker:9092"], KafkaSettings())["proxy_url"]
    assert type(KafkaNetSocket(url)) is DirectSocket


async def test_it_connects(door: Door) -> None:
    async def writable(sock: socket.socket, timeout_at: float | None) -> None:
        await asyncio.sleep(0.01)

    net = SimpleNamespace(wait_write=writable)
    with await DirectSocket().connect(
        net, door, [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    ) as made:
        assert made.getpeername() == door[-1]
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


async def test_what_is_cancelled_while_it_connects_leaves_no_open_socket(door: Door) -> None:
    waiting = asyncio.Event()

    async def never(sock: socket.socket, timeout_at: float | None) -> None:
        waiting.set()
        await asyncio.Event().wait()

    way = Kept("kept://")
    connecting = asyncio.create_task(way.connect(SimpleNamespace(wait_write=never), door))
    await waiting.wait()
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    assert way.made.fileno() == -1
