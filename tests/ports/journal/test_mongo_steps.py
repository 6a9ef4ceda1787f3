"""The journal on a document database: a crash between any two of its commands."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from pymongo.errors import DocumentTooLarge

from kit.errors import Unavailable
from kit.journal.mongo import FEW, IN_LINE, ROUNDS, MongoJournal
from kit.journal.outlook import WHOLE_EVERY_SECONDS
from kit.journal.port import Draft, Journal
from kit.journal.rows import parts
from kit.mongo.driver import Client, Documents, Refused
from kit.mongo.store import MongoStore
from tests.ports.stores import Stores, draft, gapless, outcomes, places, run, whole

pytestmark = pytest.mark.connected


class Counting(Documents):
    """A collection that counts its commands; ``refuse`` is an id the driver will not encode."""

    def __init__(self, documents: Documents, refuse: str = "") -> None:
        super().__init__(documents._collection)
        self.inserts, self.finds, self.refuse = 0, 0, refuse

    async def insert(self, rows: Sequence[dict[str, Any]], *, ordered: bool = False) -> Any:
        self.inserts += 1
        if any(row["_id"] == self.refuse for row in rows):
            raise DocumentTooLarge(self.refuse)
        return await super().insert(rows, ordered=ordered)

    async def find(self, *where: Any, **how: Any) -> Any:
        self.finds += 1
        return await super().find(*where, **how)


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

    async def delete(self, where: Any) -> None:
        await super().delete(where)
        self._live()

    def _live(self) -> None:
        self.left -= 1
        if self.left <= 0:
            raise Unavailable("this process", "has died")


@pytest.fixture(params=["mongo-motor", "mongo-pymongo"])
def adapter(request: pytest.FixtureRequest) -> str:
    """Only these adapters take several commands for one append."""
    return str(request.param)


class Watched:
    """The collections of a client; ``wrap`` watches the facts."""

    def __init__(self, client: Client, wrap: Callable[[Documents], Documents]) -> None:
        self._client, self._wrap = client, wrap

    def documents(self, name: str) -> Documents:
        documents = self._client.documents(name)
        return self._wrap(documents) if name.endswith(".journal") else documents


def another(stores: Stores, wrap: Callable[[Documents], Documents] = lambda d: d) -> MongoJournal:
    store = stores.open()
    assert isinstance(store, MongoStore)
    return MongoJournal(Watched(store._client, wrap), "tests.facts")


def dying(stores: Stores, writes: int) -> MongoJournal:
    return another(stores, lambda documents: Dying(documents, writes))


def counting(stores: Stores, refuse: str = "") -> tuple[MongoJournal, Counting]:
    counts: list[Counting] = []

    def count(documents: Documents) -> Documents:
        counts.append(Counting(documents, refuse))
        return counts[-1]

    journal = another(stores, count)
    return journal, counts[0]


@pytest.mark.parametrize(("longest", "writes"), [(4, 1), (4, 2), (4, 3), (4, 4), (9, 1), (9, 2)])
async def test_an_append_that_dies_between_two_commands_is_completed_by_its_retry(
    stores: Stores, longest: int, writes: int
) -> None:
    """Four rounds, and one round and a long insert in line; more streams than begin in line."""
    journal = await stores.journal()
    batch = [*run("a:1", 1, longest), *run("a:2", 1, 2), draft("a:3", 1), *run("b:1", 1, 3)]
    batch += [draft(f"c:{number}", 1) for number in range(IN_LINE)]
    with pytest.raises(Unavailable):
        await dying(stores, writes).append(batch)
    there = await whole(journal)
    assert gapless(there)
    assert len(there) == 4 + IN_LINE
    await retried(journal, batch)
    assert await whole(journal) == {
        "a:1": list(range(1, longest + 1)),
        "a:2": [1, 2],
        "a:3": [1],
        "b:1": [1, 2, 3],
        **{f"c:{number}": [1] for number in range(IN_LINE)},
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
    for part in parts([*run("a:1", 1, 1300), *run("a:2", 1, 200)], FEW):
        await journal.append(part)
    facts = await journal.unpublished(limit=1500)
    with pytest.raises(Unavailable):
        await dying(stores, 1).mark_published(facts)
    left = await journal.unpublished(limit=1500)
    assert places(left) == [
        *(("a:1", n) for n in range(1001, 1301)),
        *(("a:2", n) for n in range(1, 201)),
    ]


@pytest.mark.parametrize("writes", [1, 2])
async def test_a_large_append_that_dies_is_published_as_far_as_it_came(
    stores: Stores, writes: int
) -> None:
    """Behind one of two inserts, or both: what is there is published, and its retry's rest."""
    journal = await stores.journal()
    streams = [f"a:{n:02}" for n in range(FEW)]
    batch = [each for stream in streams for each in run(stream, 1, 2)]
    with pytest.raises(Unavailable):
        await dying(stores, writes).append(batch)
    facts = await journal.unpublished()
    assert len(facts) == writes * FEW
    await journal.mark_published(facts)
    await retried(journal, batch)
    rest = await journal.unpublished()
    await journal.mark_published(rest)
    assert sorted(places(facts + rest)) == [(stream, seq) for stream in streams for seq in (1, 2)]
    next_relay = another(stores)
    again = await next_relay.unpublished()
    assert {fact.id for fact in again} <= {fact.id for fact in facts}
    await next_relay.mark_published(again)
    assert await another(stores).unpublished() == []


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


async def test_what_is_appended_at_a_time_travels_in_one_command(stores: Stores) -> None:
    await stores.journal()
    journal, counts = counting(stores)
    answers = await asyncio.gather(*(journal.append(run(f"a:{n}", 1, 2)) for n in range(IN_LINE)))
    assert {o for answer in answers for o in outcomes(answer)} == {"appended"}
    assert counts.inserts == 1


async def test_callers_that_want_the_same_place_learn_who_has_it(stores: Stores) -> None:
    await stores.journal()
    journal, _ = counting(stores)
    first, again = draft("a:1", 1, "k"), draft("a:1", 2, "other")
    answers = await asyncio.gather(
        journal.append([first, again]),
        journal.append([draft("a:1", 1, "late"), draft("a:1", 2)]),
        journal.append([first]),
        journal.append([draft("a:1", 1, "k", b"another input")]),
        journal.append([draft("b:1", 1)]),
    )
    assert [outcomes(answer) for answer in answers] == [
        ["appended", "appended"],
        ["seq_conflict", "not_tried"],
        ["duplicate"],
        ["key_conflict"],
        ["appended"],
    ]
    assert await whole(journal) == {"a:1": [1, 2], "b:1": [1]}


async def test_the_drafts_of_one_stream_are_one_command(stores: Stores) -> None:
    await stores.journal()
    journal, counts = counting(stores)
    assert outcomes(await journal.append(run("a:1", 1, 4))) == ["appended"] * 4
    assert counts.inserts == 1


async def test_many_that_are_refused_are_told_in_few_commands(stores: Stores) -> None:
    await stores.journal()
    journal, counts = counting(stores)
    batch = [each for n in range(IN_LINE) for each in run(f"a:{n}", 1, 2)]
    await journal.append(batch)
    counts.inserts = 0
    assert outcomes(await journal.append(batch)) == ["duplicate", "not_tried"] * IN_LINE
    assert counts.inserts == 2


async def test_long_streams_are_one_command_however_many_and_few_when_they_are_refused(
    stores: Stores,
) -> None:
    await stores.journal()
    journal, counts = counting(stores)
    batch = [each for n in range(IN_LINE + 4) for each in run(f"a:{n}", 1, ROUNDS + 1)]
    assert outcomes(await journal.append(batch)) == ["appended"] * len(batch)
    assert counts.inserts == 1
    counts.inserts = 0
    refused = ["duplicate"] + ["not_tried"] * ROUNDS
    assert outcomes(await journal.append(batch)) == refused * (IN_LINE + 4)
    assert counts.inserts == 2


async def test_what_the_driver_refuses_of_one_caller_is_not_anothers(stores: Stores) -> None:
    await stores.journal()
    journal, _ = counting(stores, refuse="a:1/000000000001")
    bad, good = await asyncio.gather(
        journal.append([draft("a:1", 1)]), journal.append([draft("a:2", 1)]), return_exceptions=True
    )
    assert isinstance(bad, DocumentTooLarge)
    assert not isinstance(good, BaseException)
    assert outcomes(good) == ["appended"]


async def test_what_is_looked_up_at_a_time_is_one_question(stores: Stores) -> None:
    written = await stores.journal()
    await written.append([draft(f"a:{n}", 1, f"k{n}") for n in range(20)])
    journal, counts = counting(stores)
    found = await asyncio.gather(
        *(journal.find(f"a:{n}", [f"k{n}", f"k{n + 1}"]) for n in range(20)),
        journal.find("a:none", ["k1"]),
    )
    assert [places(list(each.values())) for each in found] == [
        *([(f"a:{n}", 1)] for n in range(20)),
        [],
    ]
    assert counts.finds == 1
    tails = await asyncio.gather(*(journal.read_many({f"a:{n}": 0}) for n in range(20)))
    assert [places(tail[f"a:{n}"]) for n, tail in enumerate(tails)] == [
        [(f"a:{n}", 1)] for n in range(20)
    ]
    assert counts.finds == 2


async def test_a_fact_that_is_appended_late_is_found_behind_what_was_published(
    stores: Stores,
) -> None:
    """As by a writer whose clock is slow: most questions begin later than its fact."""
    written = await stores.journal()
    now = msgspec.structs.replace(draft("a:1", 1), posted_at=2_000_000_000_000_000)
    await written.append([now])
    relayed = another(stores)
    await relayed.mark_published(await relayed.unpublished())
    await relayed.changed(0.01)
    assert relayed._outlook.since() > now.posted_at - 2_000_000
    await written.append([draft("a:2", 1)])
    await asyncio.wait_for(relayed.changed(WHOLE_EVERY_SECONDS + 2), WHOLE_EVERY_SECONDS + 1)
    assert places(await relayed.unpublished()) == [("a:2", 1)]


async def test_there_is_nothing_unpublished_only_if_all_was_asked_for(stores: Stores) -> None:
    journal = await stores.journal()
    now = msgspec.structs.replace(draft("a:1", 1), posted_at=2_000_000_000_000_000)
    await journal.append([now])
    await journal.mark_published(await journal.unpublished())
    await journal.append([draft("a:2", 1)])
    assert places(await journal.unpublished()) == [("a:2", 1)]


async def test_a_wait_in_vain_is_not_asked_about_again_unless_something_was_appended(
    stores: Stores,
) -> None:
    await stores.journal()
    journal, counts = counting(stores)
    for expected in ([], [("a:1", 1)]):
        await journal.unpublished()
        await journal.changed(0.01)
        counts.finds = 0
        if expected:
            await journal.append([draft("a:1", 1)])
        assert places(await journal.unpublished()) == expected
        assert (counts.finds > 0) == bool(expected)
