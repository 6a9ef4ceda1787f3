"""The selector that kafka-python waits with."""

import selectors
import socket
from collections.abc import Iterator

import pytest

from kit.bus.kafka_client import KafkaSettings, common_options
from kit.bus.kafka_selector import KafkaSelector

Pair = tuple[socket.socket, socket.socket]


class Secretive(socket.socket):
    """A socket that cannot be described."""

    def __repr__(self) -> str:
        raise AssertionError("somebody wants to know what it looks like")


@pytest.fixture
def pair() -> Iterator[Pair]:
    near, far = socket.socketpair()
    secretive = Secretive(near.family, near.type, near.proto, near.detach())
    with secretive, far:
        yield secretive, far


def test_every_client_waits_with_it() -> None:
    assert common_options(["broker:9092"], KafkaSettings())["selector"] is KafkaSelector


def test_a_socket_that_is_not_there_is_refused_without_being_described(pair: Pair) -> None:
    selector = KafkaSelector()
    with pytest.raises(KeyError) as caught:
        selector.get_key(pair[0])
    assert caught.value.args == (pair[0],)
    selector.close()


def test_it_knows_what_is_waited_for_until_it_is_no_longer(pair: Pair) -> None:
    near, far = pair
    selector = KafkaSelector()
    selector.register(near, selectors.EVENT_READ, "reader")
    selector.modify(near, selectors.EVENT_READ | selectors.EVENT_WRITE, "both")
    assert selector.get_key(near).data == "both"
    far.send(b"x")
    assert [(key.data, events) for key, events in selector.select(1)] == [("both", 3)]
    selector.unregister(near)
    with pytest.raises(KeyError):
        selector.get_key(near)
    assert selector.select(0) == []
    selector.close()


def test_with_it_the_sockets_are_closed_that_were_waited_for(pair: Pair) -> None:
    near, far = pair
    selector = KafkaSelector()
    selector.register(near, selectors.EVENT_WRITE)
    selector.unregister(near)
    selector.close()
    assert near.fileno() == -1
    assert far.recv(1) == b""
