import json
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey

from kit.auth.keys import RemoteKeys
from kit.errors import Unavailable


class KeyServer:
    """A key set on the other side of an httpx transport, which may be rotated or broken."""

    def __init__(self, *keys: ECKey) -> None:
        self.keys = keys
        self.asked = 0
        self.status = 200
        self.body: bytes | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        document = {"keys": [key.as_dict(private=False) for key in self.keys]}
        return httpx.Response(self.status, content=self.body or json.dumps(document).encode())


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def new_key(kid: str) -> ECKey:
    return ECKey.generate_key("P-256", {"use": "sig", "kid": kid})


def source(server: KeyServer, clock: Any) -> RemoteKeys:
    return RemoteKeys(
        "https://login.example/keys", transport=httpx.MockTransport(server), clock=clock
    )


async def test_keys_are_fetched_once_and_kept():
    server, clock = KeyServer(new_key("a")), Clock()
    keys = source(server, clock)
    assert [(await keys.find("a")).kid for _ in range(5)] == ["a"] * 5  # type: ignore[union-attr]
    assert server.asked == 1


async def test_an_unknown_key_id_is_asked_for_but_not_at_every_request():
    server, clock = KeyServer(new_key("a")), Clock()
    keys = source(server, clock)
    await keys.find("a")
    server.keys = (new_key("a"), new_key("b"))
    assert await keys.find("b") is None
    clock.now = 11
    assert (await keys.find("b")).kid == "b"  # type: ignore[union-attr]
    for _ in range(10):
        assert await keys.find("made-up") is None
    assert server.asked == 2


async def test_a_withdrawn_key_goes_when_the_set_is_no_longer_fresh():
    server, clock = KeyServer(new_key("a"), new_key("b")), Clock()
    keys = source(server, clock)
    assert await keys.find("b") is not None
    server.keys = server.keys[:1]
    clock.now = 601
    assert await keys.find("b") is None


async def test_known_keys_stay_while_the_issuer_is_out():
    server, clock = KeyServer(new_key("a")), Clock()
    keys = source(server, clock)
    await keys.find("a")
    server.status = 500
    clock.now = 601
    assert await keys.find("a") is not None
    assert server.asked == 2


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, None), (200, b"no json"), (200, b"[]"), (200, b'{"keys": 3}'), (200, b" " * 300_000)],
)
async def test_without_any_key_set_the_issuer_is_unavailable(status: int, body: bytes | None):
    server = KeyServer(new_key("a"))
    server.status, server.body = status, body
    with pytest.raises(Unavailable):
        await source(server, Clock()).find("a")
