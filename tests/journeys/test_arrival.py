"""Activities that come too early for their member, too late, or again."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.journeys.bodies import (
    accepted,
    activity,
    enrol,
    id_of,
    purchase,
    record,
    statuses,
)
from tests.journeys.reading import balances, decision, standing, statement, timeline
from tests.journeys.running import Running, until, without

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_activities_of_an_unknown_member_are_parked_and_decided_once_they_enrol(
    platform: Running, till: httpx.AsyncClient, member: str
) -> None:
    await accepted(
        till,
        purchase(member, "1", "2025-02-01T12:00:00Z", 70_000),
        purchase(member, "2", "2025-02-02T12:00:00Z", 10_000),
    )
    await platform.settled()
    async with platform.client("agent") as agent:
        assert (await agent.get(f"/v1/members/{member}")).status_code == 404
    parked = await decision(platform, id_of(member, "2"))
    assert (parked["status"], parked["reason"]) == ("waiting", "not_enrolled")
    assert await balances(platform, member) == {}

    await enrol(till, member)
    await platform.settled()
    assert await statement(platform, member) == [
        ("earn", {"base": 700, "tier": 700}),
        ("earn", {"base": 125, "tier": 100}),
    ]
    assert (await decision(platform, id_of(member, "2")))["as_of"]["tier"] == "silver"
    assert await standing(platform, member) == ("silver", "satisfaction")
    await platform.verified()


async def test_a_late_activity_is_decided_as_of_its_own_time_and_leaves_later_decisions_alone(
    platform: Running, till: httpx.AsyncClient, member: str, twin: str
) -> None:
    def three(whose: str) -> list[dict[str, object]]:
        return [
            purchase(whose, "1", "2025-01-15T12:00:00Z", 60_000),
            purchase(whose, "2", "2025-02-01T12:00:00Z", 60_000),
            purchase(whose, "3", "2025-02-20T12:00:00Z", 10_000),
        ]

    await enrol(till, member, twin)
    await accepted(till, *three(twin))
    first, second, third = three(member)
    await accepted(till, second, third)
    await platform.settled()
    await accepted(till, first)
    await platform.settled()

    assert [changes["base"] for _, changes in await statement(platform, twin)] == [600, 750, 125]
    assert [changes["base"] for _, changes in await statement(platform, member)] == [600, 125, 600]
    late = await decision(platform, id_of(member, "1"))
    assert (late["seq"], late["as_of"]["tier"], late["as_of"]["stage"]) == (3, "member", "need")
    assert await standing(platform, member) == await standing(platform, twin)
    assert await standing(platform, twin) == ("silver", "satisfaction")
    assert (await balances(platform, member))["tier"] == (await balances(platform, twin))["tier"]
    await platform.verified()


async def test_tier_and_stage_end_the_same_in_every_order_of_arrival(
    platform: Running, till: httpx.AsyncClient, member: str, twin: str
) -> None:
    def four(whose: str) -> list[dict[str, object]]:
        return [
            purchase(whose, "1", "2025-01-15T12:00:00Z", 100_000),
            purchase(whose, "2", "2025-01-25T12:00:00Z", 80_000),
            activity("review", whose, "3", "2025-01-26T12:00:00Z", rating=5),
            activity("review", whose, "4", "2025-01-25T13:00:00Z", rating=1),
        ]

    await enrol(till, member, twin)
    for arriving in four(twin):
        await accepted(till, arriving)
    for arriving in four(member)[::-1]:
        await accepted(till, arriving)
        await platform.settled()
    await platform.settled()
    assert await standing(platform, member) == await standing(platform, twin)
    assert await standing(platform, twin) == ("gold", "satisfaction")


async def test_a_duplicate_gets_the_same_answer_and_changes_nothing(
    platform: Running, till: httpx.AsyncClient, member: str, twin: str
) -> None:
    await enrol(till, member, twin)
    body = purchase(member, "1", "2025-02-01T12:00:00Z", 1_000)
    other = purchase(member, "1", "2025-02-01T12:00:00Z", 1_001)
    theirs = body | {"member_id": twin}
    first = await till.post("/v1/activities", json=body)
    again = await till.post("/v1/activities", json=body)
    reused = await till.post("/v1/activities", json=other)
    taken = await till.post("/v1/activities", json=theirs)
    batch = await record(till, other, body, theirs, body)
    await platform.settled()

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == {"status": "accepted", "activity_id": id_of(member, "1"), "seq": 1}
    assert again.json() == first.json() | {"status": "duplicate"}
    assert (reused.status_code, reused.json()["code"]) == (409, "activity_id_reused")
    assert (taken.status_code, taken.json()["code"]) == (409, "activity_id_taken")
    assert statuses(batch) == ["refused", "duplicate", "refused", "duplicate"]
    assert [batch[place]["problem"]["code"] for place in (0, 2)] == [
        "activity_id_reused",
        "activity_id_taken",
    ]
    assert [each["amount"] for each in await timeline(platform, member)] == [1_000]
    assert await timeline(platform, twin) == []
    assert await statement(platform, member) == [("earn", {"base": 10, "tier": 10})]
    assert await balances(platform, twin) == {}


async def test_the_same_activity_at_once_through_many_doors_is_one_activity(
    platform: Running, till: httpx.AsyncClient, member: str
) -> None:
    await enrol(till, member)
    body = purchase(member, "1", "2025-02-01T12:00:00Z", 1_000)
    single = [till.post("/v1/activities", json=body) for _ in range(15)]
    batches = [record(till, body, body) for _ in range(10)]
    answers = await asyncio.gather(*single)
    results = [one for batch in await asyncio.gather(*batches) for one in batch]
    await platform.settled()

    assert {answer.status_code for answer in answers} <= {200, 201}
    found = [answer.json()["status"] for answer in answers] + statuses(results)
    assert (found.count("accepted"), found.count("duplicate")) == (1, 34) or (
        found.count("duplicate") == 35
    )
    assert await balances(platform, member) == {"base": 10, "tier": 10}
    assert len(await timeline(platform, member)) == 1


async def test_enrolling_again_is_a_duplicate_and_with_another_content_a_conflict(
    platform: Running, till: httpx.AsyncClient, member: str
) -> None:
    body = {"member_id": member, "channel": "store", "name": "Ana Lima"}
    first = await till.post("/v1/members", json=body)
    again = await till.post("/v1/members", json=body)
    other = await till.post("/v1/members", json=body | {"channel": "app"})
    found = await platform.get(f"/v1/members/{member}")

    assert (first.status_code, again.status_code) == (201, 200)
    assert (other.status_code, other.json()["code"]) == (409, "already_enrolled")
    assert (found["name"], found["channel"], found["completeness"]) == ("Ana Lima", "store", 20)


async def test_a_fresh_purchase_is_not_held_up_by_an_outage_of_members_and_a_historic_one_is(
    platform: Running, till: httpx.AsyncClient, member: str, twin: str
) -> None:
    def now() -> str:
        return datetime.now(UTC).isoformat()

    await enrol(till, member, twin)
    await accepted(
        till,
        purchase(member, "1", "2025-01-01T12:00:00Z", 60_000),
        purchase(twin, "1", "2025-01-01T12:00:00Z", 60_000),
    )
    await platform.settled()
    async with without(platform, "members-worker"):
        await accepted(till, purchase(member, "2", now(), 1_000))
        await accepted(till, purchase(member, "3", now(), 1_000))
        await accepted(till, purchase(twin, "2", "2025-01-02T12:00:00Z", 1_000))
        await accepted(till, purchase(twin, "3", "2025-01-03T12:00:00Z", 1_000))
        await until(lambda: _granted(platform, id_of(member, "3")))
        hurried = await decision(platform, id_of(member, "3"))
        held = await decision(platform, id_of(twin, "3"))
    await platform.settled()

    assert {key: hurried["as_of"][key] for key in ("tier", "card_seq", "waited")} == {
        "tier": "member",  # 600.00 was spent more than a year before
        "card_seq": 1,
        "waited": False,
    }
    assert (held["status"], held["reason"]) == ("waiting", "card_behind")
    assert (await decision(platform, id_of(member, "2")))["as_of"]["waited"] is True
    assert (await decision(platform, id_of(twin, "3")))["as_of"]["waited"] is True
    assert [each for _, each in await statement(platform, twin)][1:] == [
        {"base": 13, "tier": 10},  # silver: 12.50, half up
        {"base": 13, "tier": 10},
    ]
    await platform.verified()


async def _granted(platform: Running, activity_id: str) -> bool:
    found = await decision(platform, activity_id)
    return bool(found["status"] == "granted")


async def test_a_long_life_is_read_page_by_page_and_nothing_twice(
    platform: Running, till: httpx.AsyncClient, member: str
) -> None:
    """1,203 activities, all of them parked until the member enrols."""
    start = datetime(2024, 1, 1, tzinfo=UTC)
    life = [
        purchase(member, str(number), (start + timedelta(hours=number)).isoformat(), 100)
        for number in range(1_203)
    ]
    for first in range(0, len(life), 1_000):
        await accepted(till, *life[first : first + 1_000])
    await platform.settled()
    await enrol(till, member)
    await platform.settled()

    activities = await _pages(platform, f"/v1/members/{member}/activities")
    entries = await _pages(platform, f"/v1/members/{member}/points/statement")
    assert [each["seq"] for each in activities] == list(range(1_203, 0, -1))
    assert [each["entry_id"] for each in entries] == [
        f"{member}-{seq}" for seq in range(1_203, 0, -1)
    ]
    # 600 purchases to silver at 1 point, 603 at 1.25, which is 1 by itself each time.
    assert await balances(platform, member) == {"base": 1_203, "tier": 1_203}
    assert (await standing(platform, member))[0] == "silver"
    await platform.verified()


async def _pages(platform: Running, path: str) -> list[dict[str, Any]]:
    """Every item of a list, following its cursors."""
    items: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = await platform.get(f"{path}?limit=100{cursor}")
        items += page["items"]
        if page.get("next") is None:
            return items
        cursor = f"&cursor={page['next']}"
