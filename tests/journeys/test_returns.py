"""What comes back: whole baskets, parts to the last cent, too much, too early."""

import httpx
import pytest

from tests.journeys.bodies import (
    Body,
    accepted,
    activity,
    enrol,
    id_of,
    purchase,
    record,
    returning,
)
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


def life_of(member: str, *also: Body) -> list[Body]:
    """A visit, three purchases and a share; ``also`` happens after the second purchase."""
    return [
        activity("visit", member, "v", "2025-01-05T12:00:00Z"),
        purchase(member, "1", "2025-01-10T12:00:00Z", 20_000),
        purchase(member, "2", "2025-01-20T12:00:00Z", 30_000),
        *also,
        purchase(member, "3", "2025-02-01T12:00:00Z", 9_000),
        activity("share", member, "s", "2025-02-02T12:00:00Z"),
    ]


async def test_a_basket_returned_in_full_right_away_is_as_if_it_had_never_been_bought(
    platform: Running, till: httpx.AsyncClient, member: str, twin: str
) -> None:
    await enrol(till, member, twin)
    await accepted(till, *life_of(twin))
    await accepted(
        till,
        *life_of(
            member,
            purchase(member, "r", "2025-01-21T12:00:00Z", 99_999, 80_001),
            returning(member, "b", "2025-01-21T12:05:00Z", "r"),
        ),
    )
    await platform.settled()

    assert await balances(platform, member) == await balances(platform, twin)
    assert await balances(platform, twin) == {"base": 590, "tier": 590}
    assert await standing(platform, member) == await standing(platform, twin)
    assert await standing(platform, twin) == ("member", "satisfaction")
    last = (await statement(platform, member))[-1], (await statement(platform, twin))[-1]
    assert last[0] == last[1] == ("earn", {"base": 90, "tier": 90})
    await platform.verified()


async def test_the_trace_of_purchase_and_return_is_kept(
    platform: Running, till: httpx.AsyncClient, member: str
) -> None:
    await enrol(till, member)
    await accepted(
        till,
        purchase(member, "1", "2025-01-21T12:00:00Z", 100_000, 80_000),
        returning(member, "2", "2025-01-21T12:05:00Z", "1"),
    )
    await platform.settled()

    assert [each["type"] for each in await timeline(platform, member)] == ["purchase", "return"]
    assert await statement(platform, member) == [
        ("earn", {"base": 1800, "tier": 1800}),
        ("return", {"base": -1800, "tier": -1800}),
    ]
    assert (await decision(platform, id_of(member, "2")))["returned"]["full"] is True
    assert await transitions(platform, member) == [
        ("2025-01-21T12:00:00Z", "tier", "member", "gold"),
        ("2025-01-21T12:00:00Z", "stage", "need", "awareness"),
        ("2025-01-21T12:00:00Z", "stage", "awareness", "acceptance"),
        ("2025-01-21T12:05:00Z", "tier", "gold", "member"),
        ("2025-01-21T12:05:00Z", "stage", "acceptance", "awareness"),
        ("2025-01-21T12:05:00Z", "stage", "awareness", "need"),
    ]
    assert await standing(platform, member) == ("member", "need")


async def test_lines_come_back_in_parts_to_the_last_cent_and_not_one_more(
    platform: Running, till: httpx.AsyncClient, member: str
) -> None:
    await enrol(till, member)
    await accepted(
        till,
        purchase(member, "1", "2025-01-10T12:00:00Z", 333, 1_005, 662),  # 20 points: 3 + 10 + 7
        returning(member, "2", "2025-01-11T12:00:00Z", "1", (2, 500)),
        returning(member, "3", "2025-01-12T12:00:00Z", "1", (2, 505), (1, 332)),
        returning(member, "4", "2025-01-13T12:00:00Z", "1", (1, 1)),
    )
    await platform.settled()
    assert await statement(platform, member) == [
        ("earn", {"base": 20, "tier": 20}),
        ("return", {"base": -4, "tier": -4}),
        ("return", {"base": -8, "tier": -8}),
        ("return", {"base": -1, "tier": -1}),
    ]

    over = returning(member, "5", "2025-01-14T12:00:00Z", "1", (3, 663))
    gone = returning(member, "6", "2025-01-14T12:00:00Z", "1", (2, 1))
    for refused in (over, gone):
        answer = await till.post("/v1/activities", json=refused)
        assert (answer.status_code, answer.json()["code"]) == (409, "return_exceeds_purchase")
        assert answer.json()["left"] == [
            {"line": 1, "amount": 0},
            {"line": 2, "amount": 0},
            {"line": 3, "amount": 662},
        ]
    none = returning(member, "7", "2025-01-14T12:00:00Z", "1", (9, 1))
    answer = await till.post("/v1/activities", json=none)
    assert (answer.status_code, answer.json()["code"]) == (409, "unknown_line")
    assert len(await timeline(platform, member)) == 4

    await accepted(till, returning(member, "8", "2025-01-15T12:00:00Z", "1"))
    nothing = await till.post(
        "/v1/activities", json=returning(member, "9", "2025-01-16T12:00:00Z", "1")
    )
    assert (nothing.status_code, nothing.json()["code"]) == (409, "return_exceeds_purchase")
    await platform.settled()
    assert await balances(platform, member) == {"base": 0, "tier": 0}
    assert await standing(platform, member) == ("member", "need")
    await platform.verified()


async def test_a_refused_return_may_come_again_mended_under_the_same_id(
    platform: Running, till: httpx.AsyncClient, member: str
) -> None:
    await enrol(till, member)
    await accepted(till, purchase(member, "1", "2025-01-10T12:00:00Z", 1_000))
    wrong = returning(member, "2", "2025-01-11T12:00:00Z", "1", (1, 1_001))
    [refused] = await record(till, wrong)
    await accepted(till, returning(member, "2", "2025-01-11T12:00:00Z", "1", (1, 1_000)))
    await platform.settled()
    assert refused["problem"]["code"] == "return_exceeds_purchase"
    assert await balances(platform, member) == {"base": 0, "tier": 0}


async def test_only_a_purchase_of_the_members_own_can_be_returned(
    platform: Running, till: httpx.AsyncClient, member: str, twin: str
) -> None:
    await enrol(till, member, twin)
    await accepted(
        till,
        purchase(member, "1", "2025-01-10T12:00:00Z", 1_000),
        returning(member, "2", "2025-01-11T12:00:00Z", "1", (1, 400)),
        activity("visit", member, "3", "2025-01-12T12:00:00Z"),
        purchase(twin, "1", "2025-01-10T12:00:00Z", 1_000),
    )
    of_a_return = returning(member, "4", "2025-01-13T12:00:00Z", "2")
    of_a_visit = returning(member, "5", "2025-01-13T12:00:00Z", "3")
    of_itself = returning(member, "6", "2025-01-13T12:00:00Z", "6")
    of_the_twins = returning(member, "7", "2025-01-13T12:00:00Z", "1") | {
        "purchase": {"activity_id": id_of(twin, "1")}
    }
    results = await record(till, of_a_return, of_a_visit, of_itself, of_the_twins)
    await platform.settled()

    assert [result["problem"]["code"] for result in results] == [
        "not_a_purchase",
        "not_a_purchase",
        "not_a_purchase",
        "purchase_of_another_member",
    ]
    assert len(await timeline(platform, member)) == 3
    assert (await balances(platform, member))["base"] == 6
    assert (await balances(platform, twin))["base"] == 10


async def test_a_return_that_comes_before_its_purchase_waits_and_then_takes_effect(
    platform: Running, till: httpx.AsyncClient, member: str
) -> None:
    await enrol(till, member)
    early = returning(member, "2", "2025-01-11T12:00:00Z", "1", (1, 4_000))
    await accepted(till, early, purchase(member, "0", "2025-01-09T12:00:00Z", 500))
    await platform.settled()
    waiting = await decision(platform, id_of(member, "2"))
    assert (waiting["status"], waiting["reason"]) == ("withheld", "return waits for its purchase")
    assert await balances(platform, member) == {"base": 5, "tier": 5}

    await accepted(till, purchase(member, "1", "2025-01-10T12:00:00Z", 10_000, 2_000))
    await platform.settled()
    matched = await decision(platform, id_of(member, "2"))
    assert matched["status"] == "returned"
    assert matched["returned"]["lines"] == [
        {"line": 1, "amount": 10_000, "before": 0, "after": 4_000}
    ]
    assert await balances(platform, member) == {"base": 85, "tier": 85}
    assert [each["type"] for each in await timeline(platform, member)] == [
        "return",
        "purchase",
        "purchase",
        "return_matched",
    ]
    await platform.verified()


async def test_what_a_purchase_earned_at_a_higher_tier_is_what_its_return_takes(
    platform: Running, till: httpx.AsyncClient, member: str
) -> None:
    await enrol(till, member)
    await accepted(
        till,
        purchase(member, "1", "2025-01-10T12:00:00Z", 180_000),
        purchase(member, "2", "2025-01-11T12:00:00Z", 1_000, 1_000),
        returning(member, "3", "2025-01-12T12:00:00Z", "1"),
        returning(member, "4", "2025-01-13T12:00:00Z", "2", (2, None)),
    )
    await platform.settled()
    assert await statement(platform, member) == [
        ("earn", {"base": 1800, "tier": 1800}),
        ("earn", {"base": 30, "tier": 20}),  # gold, × 1.5
        ("return", {"base": -1800, "tier": -1800}),
        ("return", {"base": -15, "tier": -10}),  # a member again, and yet × 1.5
    ]
