"""Every store adapter, behind one fixture: ``stores.open()`` is one more process on the same data.

The adapters are ``sqlite``, and the document database through ``mongo-motor`` and
``mongo-pymongo``; the latter two are connected tests.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import get_args
from uuid import uuid4

import pytest

from contracts.envelope import Fact
from kit.journal.port import Appended, Draft, Journal
from kit.store import Driver, Store, open_store

ADAPTERS = [
    "sqlite",
    pytest.param("mongo-motor", marks=pytest.mark.connected),
    pytest.param("mongo-pymongo", marks=pytest.mark.connected),
]
JOURNAL = "tests.facts"


@dataclass
class Stores:
    """Opens stores on one place, and closes them after the test."""

    url: str
    driver: Driver
    opened: list[Store] = field(default_factory=list)

    def open(self, service: str = "tests") -> Store:
        store = open_store(self.url, service, self.driver)
        self.opened.append(store)
        return store

    async def journal(self) -> Journal:
        journal = self.open().journal(JOURNAL)
        await journal.prepare()
        return journal

    async def close(self) -> None:
        for store in self.opened:
            await store.close()


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> str:
    """Each adapter in turn."""
    return str(request.param)


@pytest.fixture
def place(request: pytest.FixtureRequest, adapter: str, tmp_path: Path) -> Stores:
    """A fresh place to store things."""
    if adapter == "sqlite":
        return Stores(f"sqlite:{tmp_path}", "motor")
    driver = {name: name for name in get_args(Driver)}[adapter.removeprefix("mongo-")]
    server = request.getfixturevalue("document_server")
    return Stores(f"{server.url.rstrip('/')}/test_{uuid4().hex[:12]}", driver)


@pytest.fixture
async def stores(place: Stores) -> AsyncIterator[Stores]:
    """Opens stores; what it opened is closed afterwards."""
    yield place
    await place.close()


@pytest.fixture
async def journal(stores: Stores) -> Journal:
    """A prepared, empty journal."""
    return await stores.journal()


_keys = count(1)


def draft(
    stream: str, seq: int, key: str | None = None, input_hash: bytes = b"same", body: str = "{}"
) -> Draft:
    """A draft; without ``key`` it bears one that nothing else bears."""
    return Draft(
        stream=stream,
        seq=seq,
        key=key or f"key-{next(_keys)}",
        input_hash=input_hash,
        type="Tested",
        occurred_at=1_700_000_000_000_000 + seq,
        posted_at=1_700_000_000_000_500,
        body=body.encode(),
        trace="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )


def run(stream: str, first: int, last: int) -> list[Draft]:
    """Drafts first … last of a stream."""
    return [draft(stream, seq) for seq in range(first, last + 1)]


def outcomes(appended: Sequence[Appended]) -> list[str]:
    """What became of the drafts, as words."""
    return [one.outcome for one in appended]


def places(facts: Sequence[Fact]) -> list[tuple[str, int]]:
    """Where the facts stand."""
    return [(fact.stream, fact.seq) for fact in facts]


async def whole(journal: Journal, batch: int = 1000) -> dict[str, list[int]]:
    """Return the seqs of every stream, as a scan meets them."""
    streams: dict[str, list[int]] = {}
    async for facts in journal.scan(batch):
        for fact in facts:
            streams.setdefault(fact.stream, []).append(fact.seq)
    return streams


def gapless(streams: dict[str, list[int]]) -> bool:
    """Whether every stream counts from 1 without gaps."""
    return all(seqs == list(range(1, len(seqs) + 1)) for seqs in streams.values())
