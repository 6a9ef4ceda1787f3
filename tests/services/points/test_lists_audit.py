"""The audit of the lists: rows that lie are found, rows that are behind are given time."""

import asyncio

import msgspec
import pytest
from msgspec.structs import replace

from kit.views.port import Collection, Document
from services.points import rebuild
from services.points.audit_lists import examine
from services.points.listing import (
    ADJUSTMENTS,
    COLLECTIONS,
    POOL_MEMBERS,
    ROWS,
    TRANSFERS,
)
from tests.services.points.club import Club

SENT, RECEIVED = "/v1/members/M1/points/transfers", "/v1/members/M2/points/transfers"
CORRECTIONS = "/v1/members/M1/points/adjustments"


async def lived(club: Club) -> None:
    """A transfer of each end, a correction of each, a pool with somebody in and out of it."""
    await club.earn("M1", 1000)
    ids = []
    for points in (10, 20, 30):
        answer = await club.post("agent", SENT, {"to": f"M{points}", "points": points})
        ids.append(answer.json()["transfer_id"])
    for member, id_, action in (("M10", ids[0], "accept"), ("M20", ids[1], "decline")):
        path = f"/v1/members/{member}/points/transfers/{id_}:{action}"
        assert (await club.post(member, path, {"sender": "M1"})).status_code == 200
    for points, action in ((5, None), (600, "approve"), (700, "reject"), (800, None)):
        body = {"points": points, "reason": "goodwill"}
        request = (await club.post("agent", CORRECTIONS, body)).json()["request_id"]
        if action is not None:
            body = {} if action == "approve" else {"reason": "No"}
            await club.post("operator", f"{CORRECTIONS}/{request}:{action}", body)
    pool = f"/v1/pools/{(await club.post('M1', '/v1/pools')).json()['pool_id']}"
    for member in ("M2", "M3"):
        await club.post("M1", f"{pool}/members", {"member_id": member})
        await club.post(member, f"{pool}/members/{member}:join")
    await club.post("M3", f"{pool}/members/M3:leave")
    await club.follow()


async def rows(club: Club, collection: Collection) -> list[Document]:
    """All rows of a list."""
    found: dict[str, Document] = {}
    async for facts in club.wiring.entries.scan():
        ids = {f"{fact.owner[1:]}.{member}" for fact in facts for member in ("M1", "M2", "M3")}
        for fact in facts:
            body = msgspec.json.decode(fact.body)
            for terms in (body, body.get("transfer") or {}, body.get("adjustment") or {}):
                ids |= {v for k, v in terms.items() if k.endswith("_id") and isinstance(v, str)}
        found |= await club.wiring.store.views.load(collection, sorted(ids))
    return list(found.values())


async def test_what_was_followed_or_rebuilt_is_found_to_be_right(club: Club) -> None:
    await lived(club)
    for _ in range(2):
        assert [len(await rows(club, each)) for each in COLLECTIONS] == [3, 4, 3]
        verdict = await examine(club.wiring, 0)
        assert (verdict.findings, verdict.unsettled) == ([], [])
        await rebuild.rebuild(club.wiring)


async def test_entries_that_come_again_in_any_order_change_nothing(club: Club) -> None:
    await lived(club)
    before = [await rows(club, each) for each in COLLECTIONS]
    async for facts in club.wiring.entries.scan():
        for fact in reversed(facts):
            await club.wiring.follower.handle([fact])
    assert [await rows(club, each) for each in COLLECTIONS] == before


@pytest.mark.parametrize("collection", COLLECTIONS, ids=lambda each: each.name)
async def test_a_row_that_was_changed_is_found(club: Club, collection: Collection) -> None:
    await lived(club)
    views = club.wiring.store.views
    kind, _ = ROWS[collection.name]
    changes = {
        TRANSFERS.name: {"points": 999},
        ADJUSTMENTS.name: {"by": "somebody else"},
        POOL_MEMBERS.name: {"role": "spender"},
    }
    documents = await rows(club, collection)
    for document in documents:
        row = replace(msgspec.json.decode(document.body, type=kind), **changes[collection.name])
        changed = Document(document.id, document.version, msgspec.json.encode(row), document.index)
        assert await views.save(collection, [changed]) == []
        async with asyncio.timeout(10):  # a lie is given no time to become true
            (finding,) = (await examine(club.wiring, 60)).findings
        assert finding.startswith(f"{collection.name} {document.id}: ")
        back = Document(document.id, document.version + 1, document.body, document.index)
        assert await views.save(collection, [back]) == []


@pytest.mark.parametrize("collection", COLLECTIONS, ids=lambda each: each.name)
async def test_a_row_that_no_list_shows_or_that_is_gone_is_found(
    club: Club, collection: Collection
) -> None:
    await lived(club)
    views = club.wiring.store.views
    document = next(each for each in await rows(club, collection) if any(each.index.values()))
    hidden = Document(document.id, document.version, document.body, {})
    assert await views.save(collection, [hidden]) == []
    (finding,) = (await examine(club.wiring, 0)).findings
    assert "it is found by" in finding
    await views.delete(collection, [document.id])
    (finding,) = (await examine(club.wiring, 0)).findings
    assert finding == f"{collection.name} {document.id}: it is not in the list"


async def test_rows_that_are_behind_and_move_are_not_broken(club: Club) -> None:
    await lived(club)
    answer = await club.post("agent", CORRECTIONS, {"points": 5, "reason": "goodwill"})
    request = answer.json()["request_id"]
    entries = await club.wiring.entries.unpublished()
    assert (await examine(club.wiring, 0)).findings == [
        f"adjustments {request}: it is not in the list"
    ]
    examining = asyncio.create_task(examine(club.wiring, 2))
    await asyncio.sleep(0.1)
    await club.wiring.follower.handle(entries)
    verdict = await examining
    assert verdict.findings == []
    assert verdict.unsettled == [
        f"adjustments {request}: it is not in the list, but that has moved since"
    ]
