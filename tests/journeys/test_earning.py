"""From enrolment through purchases to points, tier, stage, and what each user sees of it."""

import httpx
import pytest

from tests.journeys.bodies import accepted, activity, enrol, id_of, purchase
from tests.journeys.reading import (
    balances,
    decision,
    standing,
    statement,
    timeline,
    transitions,
)
from tests.journeys.running import Running

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_a_member_buys_climbs_and_earns_more_for_it(
    platform: Running, till: httpx.AsyncClient, member: str
) -> None:
    await enrol(till, member, enrolled_at="2025-01-10T10:00:00Z")
    await accepted(
        till,
        activity("visit", member, "0", "2025-01-31T12:00:00Z"),
        purchase(member, "1", "2025-02-01T12:00:00Z", 25_000, 15_000),
        purchase(member, "2", "2025-02-10T12:00:00Z", 25_000),
        purchase(member, "3", "2025-02-20T12:00:00Z", 10_010),
    )
    await platform.settled()

    # 400.00 × 1, 250.00 × 1 (it is this one that reaches silver), 100.10 × 1.25 = 125.125
    assert await statement(platform, member) == [
        ("earn", {"base": 400, "tier": 400}),
        ("earn", {"base": 250, "tier": 250}),
        ("earn", {"base": 125, "tier": 100}),
    ]
    assert await balances(platform, member) == {"base": 775, "tier": 750}
    assert await standing(platform, member) == ("silver", "satisfaction")
    assert await transitions(platform, member) == [
        ("2025-01-31T12:00:00Z", "stage", "need", "awareness"),
        ("2025-02-01T12:00:00Z", "stage", "awareness", "acceptance"),
        ("2025-02-10T12:00:00Z", "tier", "member", "silver"),
        ("2025-02-10T12:00:00Z", "stage", "acceptance", "satisfaction"),
    ]
    assert [(each["type"], each.get("amount")) for each in await timeline(platform, member)] == [
        ("visit", None),
        ("purchase", 40_000),
        ("purchase", 25_000),
        ("purchase", 10_010),
    ]
    await platform.verified()


async def test_every_decision_says_whom_it_saw_and_why(
    platform: Running, till: httpx.AsyncClient, member: str
) -> None:
    await enrol(till, member)
    await accepted(
        till,
        purchase(member, "1", "2025-02-01T12:00:00Z", 60_000),
        purchase(member, "2", "2025-02-02T12:00:00Z", 100),
        activity("visit", member, "3", "2025-02-03T12:00:00Z"),
        purchase(member, "4", "2025-02-04T12:00:00Z", 0),
    )
    await platform.settled()
    found = [await decision(platform, id_of(member, number)) for number in "1234"]

    assert [(each["seq"], each["status"]) for each in found] == [
        (1, "granted"),
        (2, "granted"),
        (3, "withheld"),
        (4, "withheld"),
    ]
    assert [
        {name: each["as_of"][name] for name in ("tier", "stage", "card_seq", "waited")}
        for each in found
    ] == [
        {"tier": "member", "stage": "need", "card_seq": 0, "waited": True},
        {"tier": "silver", "stage": "acceptance", "card_seq": 1, "waited": True},
        {"tier": "silver", "stage": "satisfaction", "card_seq": 2, "waited": True},
        {"tier": "silver", "stage": "satisfaction", "card_seq": 3, "waited": True},
    ]
    assert [(each["wallet"], each["points"]) for each in found[1]["grants"]] == [
        ("base", 1),
        ("tier", 1),
    ]
    assert found[2]["reason"] == "no campaign concerns this kind of activity"
    assert found[3]["considered"] == [
        {"campaign_id": "base", "matched": False, "failed": "activity.amount > 0"}
    ]


async def test_a_member_sees_their_own_home_in_one_call(
    platform: Running, till: httpx.AsyncClient, member: str
) -> None:
    await enrol(till, member)
    await accepted(
        till,
        *(
            purchase(member, str(day), f"2025-03-0{day}T12:00:00Z", 1_000 * day)
            for day in range(1, 8)
        ),
    )
    await platform.settled()
    home = await platform.get("/v1/me/home", "member", member)

    assert home["unavailable"] == []
    assert (home["member"]["member_id"], home["member"]["tier"]) == (member, "member")
    assert home["stage"] == "satisfaction"
    assert {each["wallet"]: each["balance"] for each in home["points"]["wallets"]} == {
        "base": 280,
        "tier": 280,
    }
    assert [each["amount"] for each in home["recent"]] == [7_000, 6_000, 5_000, 4_000, 3_000]
    assert (await platform.get(f"/v1/members/{member}/home"))["recent"] == home["recent"]


async def test_the_tier_goes_when_its_spend_leaves_the_window_and_the_multiplier_with_it(
    platform: Running, till: httpx.AsyncClient, member: str
) -> None:
    await enrol(till, member)
    await accepted(
        till,
        purchase(member, "1", "2024-01-15T17:00:00Z", 180_000),
        purchase(member, "2", "2024-01-16T17:00:00Z", 10_000),
        # The last day on which 15 January is within 365 days, in New York, is 13 January.
        purchase(member, "3", "2025-01-14T04:59:59Z", 10_000),
        purchase(member, "4", "2025-01-15T05:00:00Z", 10_000),
    )
    await platform.settled()

    assert await statement(platform, member) == [
        ("earn", {"base": 1800, "tier": 1800}),
        ("earn", {"base": 150, "tier": 100}),
        ("earn", {"base": 150, "tier": 100}),
        ("earn", {"base": 100, "tier": 100}),
    ]
    tiers = [each for each in await transitions(platform, member) if each[1] == "tier"]
    assert tiers == [
        ("2024-01-15T17:00:00Z", "tier", "member", "gold"),
        ("2025-01-14T05:00:00Z", "tier", "gold", "member"),
    ]


async def test_the_balance_as_of_a_past_time_is_what_it_was(
    platform: Running, till: httpx.AsyncClient, member: str
) -> None:
    await enrol(till, member)
    await accepted(till, purchase(member, "1", "2025-02-01T12:00:00Z", 1_000))
    await platform.settled()
    before = await platform.get(f"/v1/members/{member}/points?as_of=2025-06-01T00:00:00Z")
    async with platform.client("agent") as agent:
        unsettled = await agent.get(f"/v1/members/{member}/points?as_of=2099-01-01T00:00:00Z")

    assert (before["entries"], before["wallets"]) == (0, [])
    assert (unsettled.status_code, unsettled.json()["code"]) == (422, "as_of_not_settled")
