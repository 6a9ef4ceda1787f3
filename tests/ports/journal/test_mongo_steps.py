"""The journal on a document database: a crash between any two of its commands."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from kit.errors import Unavailable
from kit.journal.mongo import MongoJournal
from kit.journal.port import Draft, Journal
from kit.mongo.driver import Client, Documents, Refused
from kit.mongo.store import MongoStore
from tests.ports.stores import Stores, draft, gapless, outcomes, places, run, whole

pytestmark = pytest.mark.connected


class Dying(Documents):
    """A collection whose process dies behind the n-th write, before it hears of the answer."""

    def __init__(self, documents: Documents, writes: int) -> None:
        super().__init__(documents._collection)
        self.left = writes

    async def insert(self, rows: Sequence[dict[str, Any]], *, ordered: bool = False) -> Any:
        refused: list[Refused] = await super().insert(rows, ordered=ordered)
        self._live()
        return refused

    async def unset(self, where: Any, field: str) -> None:
        await super().unset(where, field)
        self._live()

    def _live(self) -> None:
        self.left -= 1
        if self.left <= 0:
            raise Unavailable("this process", "has died")


@pytest.fixture(params=["mongo-motor", "mongo-pymongo"])
def adapter(request: pytest.FixtureRequest) -> str:
    """Only these adapters take several commands for one append."""
    return str(request.param)


def dying(stores: Stores, writes: int) -> MongoJournal:
    store = stores.open()
    assert isinstance(store, MongoStore)
    journal = store.journal("tests.facts")
    assert isinstance(journal, MongoJournal)
    journal._facts = Dying(journal._facts, writes)
    return journal


@pytest.mark.parametrize(("longest", "writes"), [(4, 1), (4, 2), (4, 3), (4, 4), (9, 1), (9, 2)])
async def test_an_append_that_dies_between_two_commands_is_completed_by_its_retry(
    stores: Stores, longest: int, writes: int
) -> None:
    """Four rounds, and one round and a long insert in line."""
    journal = await stores.journal()
    batch = [*run("a:1", 1, longest), *run("a:2", 1, 2), draft("a:3", 1), *run("b:1", 1, 3)]
    with pytest.raises(Unavailable):
        await dying(stores, writes).append(batch)
    there = await whole(journal)
    assert gapless(there)
    assert len(there) == 4
    await retried(journal, batch)
    assert await whole(journal) == {
        "a:1": list(range(1, longest + 1)),
        "a:2": [1, 2],
        "a:3": [1],
        "b:1": [1, 2, 3],
    }


async def retried(journal: Journal, batch: list[Draft]) -> None:
    """Append again what is not known to be there, as a caller does that reads its streams anew."""
    left = batch
    while left:
        answers = list(zip(left, await journal.append(left), strict=True))
        assert "key_conflict" not in outcomes([answer for _, answer in answers])
        left = [d for d, a in answers if a.outcome not in ("appended", "duplicate")]


async def test_marks_half_taken_off_leave_the_rest_in_order(stores: Stores) -> None:
    journal = await stores.journal()
    await journal.append([*run("a:1", 1, 1300), *run("a:2", 1, 200)])
    facts = await journal.unpublished(limit=1500)
    with pytest.raises(Unavailable):
        await dying(stores, 1).mark_published(facts)
    left = await journal.unpublished(limit=1500)
    assert places(left) == [
        *(("a:1", n) for n in range(1001, 1301)),
        *(("a:2", n) for n in range(1, 201)),
    ]


async def test_a_later_fact_alone_in_view_waits_for_the_earlier_one(stores: Stores) -> None:
    """As a query may find it that meets a writer halfway: the earlier mark is out of its sight."""
    journal = await stores.journal()
    await journal.append(run("a:1", 1, 5))
    assert isinstance(journal, MongoJournal)
    facts = journal._facts._collection
    await facts.update_one({"_id": "a:1/000000000002"}, {"$set": {"out": "9/late"}})
    assert places(await journal.unpublished(limit=2)) == [("a:1", 1)]
    await journal.mark_published(await journal.unpublished(limit=2))
    assert places(await journal.unpublished(limit=2)) == [("a:1", 2), ("a:1", 3)]


async def test_indexes_are_used_for_what_the_relay_asks(stores: Stores) -> None:
    store = stores.open()
    assert isinstance(store, MongoStore)
    await store.journal("tests.facts").prepare()
    names = await index_names(store._client, "tests.facts.journal")
    assert names == {
        "_id_": {"_id": 1},
        "stream_1_key_1": {"stream": 1, "key": 1},
        "out_1": {"out": 1},
    }


async def index_names(client: Client, collection: str) -> dict[str, dict[str, int]]:
    information = await client.documents(collection)._collection.index_information()
    return {name: dict(about["key"]) for name, about in information.items()}


async def test_concurrent_appends_of_one_handle_are_independent(stores: Stores) -> None:
    journal = await stores.journal()
    answers = await asyncio.gather(*(journal.append([draft(f"a:{n}", 1)]) for n in range(64)))
    assert {o for answer in answers for o in outcomes(answer)} == {"appended"}
