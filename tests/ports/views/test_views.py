"""Views: compare-and-set, and finding documents by declared fields."""

import asyncio
from collections import Counter
from collections.abc import Mapping

import pytest

from kit.views.port import Collection, Document, IndexValue, Query, Views
from tests.ports.stores import Stores

CARDS = Collection(
    "cards",
    {"tier": str, "stage": str, "spend": int},
    (("tier", "spend"), ("stage",), ("spend",)),
)
PLAIN = Collection("plain")


@pytest.fixture
async def views(stores: Stores) -> Views:
    """Prepared, empty views."""
    return await prepared(stores)


async def prepared(stores: Stores) -> Views:
    views = stores.open().views
    await views.prepare([CARDS, PLAIN])
    return views


def card(
    id_: str, version: int = 0, body: str = "{}", index: Mapping[str, IndexValue] | None = None
) -> Document:
    return Document(id_, version, body.encode(), index or {})


async def test_a_saved_document_is_loaded_byte_for_byte(views: Views) -> None:
    body = '{"name": "Zoë 王", "n": 1.50}'
    index = {"tier": "gold", "stage": "need", "spend": 2**40}
    assert await views.save(CARDS, [card("M1", body=body, index=index)]) == []
    loaded = await views.load(CARDS, ["M1", "M2"])
    assert loaded == {"M1": Document("M1", 1, body.encode(), index)}


async def test_fields_that_a_document_lacks_are_none(views: Views) -> None:
    await views.save(CARDS, [card("M1", index={"tier": "gold"})])
    loaded = await views.load(CARDS, ["M1"])
    assert loaded["M1"].index == {"tier": "gold", "stage": None, "spend": None}


async def test_each_save_raises_the_version_and_replaces_the_whole(views: Views) -> None:
    await views.save(CARDS, [card("M1", index={"tier": "gold", "spend": 1})])
    assert await views.save(CARDS, [card("M1", 1, '{"b": 2}', {"stage": "need"})]) == []
    (document,) = (await views.load(CARDS, ["M1"])).values()
    assert document == Document(
        "M1", 2, b'{"b": 2}', {"tier": None, "stage": "need", "spend": None}
    )


@pytest.mark.parametrize("version", [0, 1, 3])
async def test_a_save_on_another_version_loses_and_changes_nothing(
    views: Views, version: int
) -> None:
    await views.save(PLAIN, [card("M1")])
    await views.save(PLAIN, [card("M1", 1, '{"now": 2}')])
    assert await views.save(PLAIN, [card("M1", version, '{"late": 1}')]) == ["M1"]
    assert (await views.load(PLAIN, ["M1"]))["M1"] == Document("M1", 2, b'{"now": 2}')


async def test_a_save_of_a_version_of_what_is_not_there_loses(views: Views) -> None:
    assert await views.save(PLAIN, [card("M1", 4)]) == ["M1"]
    assert await views.load(PLAIN, ["M1"]) == {}


async def test_only_the_losers_of_a_batch_lose(views: Views) -> None:
    await views.save(PLAIN, [card(f"M{n}") for n in range(6)])
    await views.save(PLAIN, [card("M1", 1), card("M4", 1)])
    batch = [card(f"M{n}", 1, '{"b": 1}') for n in range(6)]
    batch += [card("M9", 1), card("N1"), card("M0x")]
    assert sorted(await views.save(PLAIN, batch)) == ["M1", "M4", "M9"]
    versions = {
        id_: document.version
        for id_, document in (await views.load(PLAIN, [d.id for d in batch])).items()
    }
    assert versions == {f"M{n}": 2 for n in range(6)} | {"N1": 1, "M0x": 1}


async def test_a_document_twice_in_one_save_is_refused(views: Views) -> None:
    with pytest.raises(ValueError, match="only once"):
        await views.save(PLAIN, [card("M1"), card("M1", 1)])
    assert await views.load(PLAIN, ["M1"]) == {}


async def test_of_many_writers_of_one_version_exactly_one_wins(stores: Stores) -> None:
    handles = [await prepared(stores) for _ in range(3)]
    for version in (0, 1):
        lost = await asyncio.gather(
            *(handles[n % 3].save(PLAIN, [card("M1", version, f"[{n}]")]) for n in range(30))
        )
        assert Counter(map(tuple, lost)) == {(): 1, ("M1",): 29}
        (winner,) = (n for n, losers in enumerate(lost) if not losers)
        document = (await handles[0].load(PLAIN, ["M1"]))["M1"]
        assert document == Document("M1", version + 1, f"[{winner}]".encode())


async def test_writers_of_crossed_batches_learn_exactly_what_they_lost(stores: Stores) -> None:
    handles = [await prepared(stores) for _ in range(4)]
    ids = [f"M{n:03d}" for n in range(100)]

    async def write(number: int) -> set[str]:
        order = ids if number % 2 else ids[::-1]
        batch = [card(id_, 0, f'"{number}"') for id_ in order]
        return set(ids) - set(await handles[number].save(PLAIN, batch))

    async with asyncio.timeout(60):
        won = await asyncio.gather(*map(write, range(4)))
    assert sum(map(len, won)) == 100
    stored = await handles[0].load(PLAIN, ids)
    assert all(stored[id_].body == f'"{n}"'.encode() for n in range(4) for id_ in won[n])
    assert {document.version for document in stored.values()} == {1}


async def test_counters_under_contention_lose_no_increment(stores: Stores) -> None:
    handles = [await prepared(stores) for _ in range(3)]

    async def add(number: int) -> None:
        views, left = handles[number], 10
        while left:
            there = (await views.load(PLAIN, ["n"])).get("n", card("n", 0, "0"))
            value = int(there.body) + 1
            left -= not await views.save(PLAIN, [card("n", there.version, str(value))])

    async with asyncio.timeout(60):
        await asyncio.gather(*map(add, range(3)))
    assert (await handles[0].load(PLAIN, ["n"]))["n"] == Document("n", 30, b"30")


async def test_deleted_documents_are_gone_and_may_be_written_anew(views: Views) -> None:
    await views.save(PLAIN, [card("M1"), card("M2"), card("M3")])
    await views.save(PLAIN, [card("M2", 1)])
    await views.delete(PLAIN, ["M1", "M2", "none"])
    await views.delete(PLAIN, [])
    assert set(await views.load(PLAIN, ["M1", "M2", "M3"])) == {"M3"}
    assert await views.save(PLAIN, [card("M1"), card("M2", 2)]) == ["M2"]


async def test_many_documents_are_saved_and_loaded_at_once(views: Views) -> None:
    ids = [f"M{n}" for n in range(2500)]
    assert await views.save(PLAIN, [card(id_) for id_ in ids]) == []
    assert await views.save(PLAIN, [card(id_, 1, "[]") for id_ in ids]) == []
    loaded = await views.load(PLAIN, ids)
    assert {(d.version, d.body) for d in loaded.values()} == {(2, b"[]")}
    assert len(loaded) == 2500
    assert await views.load(PLAIN, []) == {}
    assert await views.save(PLAIN, []) == []


async def fill(views: Views) -> None:
    """Ten cards: gold 0, 2, 4, 6, 8 and silver 1, 3, 5, 7, 9 with a spend of 100 × (n // 3)."""
    await views.save(
        CARDS,
        [
            card(
                f"M{n}",
                index={
                    "tier": "silver" if n % 2 else "gold",
                    "stage": None if n == 4 else "need" if n < 3 else "loyalty",
                    "spend": None if n == 9 else 100 * (n // 3),
                },
            )
            for n in reversed(range(10))
        ],
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(), "0123456789"),
        (Query(limit=3), "012"),
        (Query(after=(None, "M6")), "789"),
        (Query({"tier": "gold"}), "02468"),
        (Query({"tier": "gold"}, after=(None, "M2"), limit=2), "46"),
        (Query({"tier": "gold", "stage": "loyalty"}), "68"),
        (Query({"stage": None}), "4"),
        (Query({"tier": "bronze"}), ""),
        (Query({"tier": "gold"}, "spend", 100), "468"),
        (Query({"tier": "gold"}, "spend", 100, 200), "4"),
        (Query({"tier": "silver"}, "spend", upper=200), "135"),
        (Query({}, "spend"), "9012345678"),
        (Query({}, "spend", after=(None, "M9"), limit=2), "01"),
        (Query({}, "spend", after=(None, "M1"), limit=2), "90"),
        (Query({}, "spend", after=(0, "M1"), limit=3), "234"),
        (Query({}, "spend", 0, 201, after=(100, "M4")), "5678"),
        (Query({}, "spend", after=(200, "M8")), ""),
        (Query({}, "tier", "gold", "gole", after=("gold", "M4")), "68"),
        (Query({}, "tier", "s"), "13579"),
    ],
)
async def test_documents_are_found_in_the_order_of_the_query(
    views: Views, query: Query, expected: str
) -> None:
    await fill(views)
    found = await views.find(CARDS, query)
    assert "".join(document.id[1:] for document in found) == expected


async def test_text_is_ordered_by_code_point(views: Views) -> None:
    names = ["", " ", "-", "A", "B", "Z", "a", "aa", "b", "é", "王", "🔑"]
    await views.save(CARDS, [card(f"M{n}", index={"tier": t}) for n, t in enumerate(names)])
    found = await views.find(CARDS, Query(order_by="tier"))
    assert [document.index["tier"] for document in found] == names
    behind = await views.find(CARDS, Query(order_by="tier", lower="B", after=("a", "M6")))
    assert [document.index["tier"] for document in behind] == names[7:]


async def test_paging_by_cursor_meets_every_document_once(views: Views) -> None:
    await fill(views)
    met: list[str] = []
    after = None
    while found := await views.find(CARDS, Query({}, "spend", after=after, limit=3)):
        met += [document.id for document in found]
        after = (found[-1].index["spend"], found[-1].id)
    assert "".join(id_[1:] for id_ in met) == "9012345678"


@pytest.mark.parametrize(
    "query", [Query({"colour": "red"}), Query(order_by="colour"), Query(lower=3), Query(upper="x")]
)
async def test_a_query_on_what_is_not_declared_is_refused(views: Views, query: Query) -> None:
    with pytest.raises(ValueError, match=r"declares no field|order_by"):
        await views.find(CARDS, query)


async def test_documents_are_counted_whole_and_by_value(views: Views) -> None:
    assert await views.count(CARDS) == {"": 0}
    assert await views.count(CARDS, "tier") == {}
    await fill(views)
    assert await views.count(CARDS) == {"": 10}
    assert await views.count(CARDS, "tier") == {"gold": 5, "silver": 5}
    assert await views.count(CARDS, "stage") == {"": 1, "need": 3, "loyalty": 6}
    assert await views.count(CARDS, "spend") == {"": 1, "0": 3, "100": 3, "200": 3}
    with pytest.raises(ValueError, match="declares no field"):
        await views.count(CARDS, "colour")


async def test_a_dropped_collection_is_empty_and_usable_and_the_others_stay(views: Views) -> None:
    await fill(views)
    await views.save(PLAIN, [card("M1")])
    await views.drop(CARDS)
    assert await views.count(CARDS) == {"": 0}
    assert await views.count(PLAIN) == {"": 1}
    assert await views.save(CARDS, [card("M1", index={"tier": "gold"})]) == []
    assert [d.id for d in await views.find(CARDS, Query({"tier": "gold"}, "spend"))] == ["M1"]


async def test_services_do_not_see_each_others_views(stores: Stores) -> None:
    mine, other = stores.open("events").views, stores.open("points").views
    await mine.prepare([PLAIN])
    await other.prepare([PLAIN])
    await mine.save(PLAIN, [card("M1")])
    assert await other.load(PLAIN, ["M1"]) == {}


async def test_a_collection_that_gains_a_field_keeps_its_documents(stores: Stores) -> None:
    views = await prepared(stores)
    await views.save(PLAIN, [card("M1", body="[1]")])
    wider = Collection("plain", {"due": int}, (("due",),))
    later = stores.open().views
    await later.prepare([wider])
    assert await later.load(wider, ["M1"]) == {"M1": Document("M1", 1, b"[1]", {"due": None})}
    assert await later.save(wider, [card("M1", 1, "[2]", {"due": 7})]) == []
    assert [d.id for d in await later.find(wider, Query({}, "due", 7, 8))] == ["M1"]
