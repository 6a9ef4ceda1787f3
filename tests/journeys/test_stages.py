"""The five steps: climbed one by one as the evidence comes, lost as it goes."""

import httpx
import pytest

from tests.journeys.bodies import accepted, activity, enrol, purchase
from tests.journeys.reading import stages, standing, transitions
from tests.journeys.running import Running

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_a_member_climbs_all_five_steps_and_slips_when_the_evidence_goes(
    platform: Running, till: httpx.AsyncClient, member: str
) -> None:
    await enrol(till, member)
    weekly = ("2025-01-05", "2025-01-12", "2025-01-19", "2025-01-26", "2025-02-02", "2025-02-09")
    await accepted(
        till,
        activity("wish", member, "w", "2025-01-01T12:00:00Z"),
        activity("visit", member, "v", "2025-01-02T12:00:00Z"),
        *(purchase(member, day, f"{day}T12:00:00Z", 100) for day in weekly),
        activity("share", member, "s", "2025-02-10T12:00:00Z"),
        # Twice the usual week of silence, then a purchase that is no repeat, then one that is.
        purchase(member, "a", "2025-04-01T12:00:00Z", 100),
        purchase(member, "b", "2025-04-08T12:00:00Z", 100),
        activity("review", member, "bad", "2025-04-09T12:00:00Z", rating=2),
        activity("review", member, "good", "2025-04-10T12:00:00Z", rating=4),
    )
    await platform.settled()

    assert await stages(platform, member) == [
        ("2025-01-02T12:00:00Z", "awareness"),
        ("2025-01-05T12:00:00Z", "acceptance"),
        ("2025-01-12T12:00:00Z", "satisfaction"),
        ("2025-02-10T12:00:00Z", "loyalty"),
        ("2025-02-23T12:00:00.000001Z", "satisfaction"),
        ("2025-02-23T12:00:00.000001Z", "acceptance"),
        ("2025-04-08T12:00:00Z", "satisfaction"),
        ("2025-04-08T12:00:00Z", "loyalty"),
        ("2025-04-09T12:00:00Z", "satisfaction"),
        ("2025-04-09T12:00:00Z", "acceptance"),
        ("2025-04-10T12:00:00Z", "satisfaction"),
        ("2025-04-10T12:00:00Z", "loyalty"),
    ]
    assert (await standing(platform, member))[1] == "loyalty"
    await platform.verified()


async def test_each_transition_begins_where_the_last_one_ended_and_says_what_it_rests_on(
    platform: Running, till: httpx.AsyncClient, member: str
) -> None:
    await enrol(till, member)
    await accepted(
        till,
        activity("visit", member, "1", "2025-01-02T12:00:00Z"),
        purchase(member, "2", "2025-01-05T12:00:00Z", 100),
        purchase(member, "3", "2025-01-12T12:00:00Z", 100),
    )
    await platform.settled()
    found = await platform.get(f"/v1/members/{member}/stage")
    [newest, *_] = found["history"]

    path = [(previous, reached) for _, _, previous, reached in await transitions(platform, member)]
    assert path == [
        ("need", "awareness"),
        ("awareness", "acceptance"),
        ("acceptance", "satisfaction"),
    ]
    assert newest["evidence"] == {
        "contact": True,
        "kept_purchase": True,
        "repeat": True,
        "content": True,
        "open_complaint": False,
        "sustained": False,
        "advocacy": False,
    }
    assert newest["dwell_seconds"] == 7 * 86_400
    assert (newest["after_seq"], newest["facts"]["kept_purchases"]) == (3, 2)
    assert (found["stage"], found["next_stage"]["stage"]) == ("satisfaction", "loyalty")
    assert found["next_stage"]["missing"] == ["sustained", "advocacy"]


async def test_awareness_is_lost_after_ninety_days_without_contact_and_a_wish_is_none(
    platform: Running, till: httpx.AsyncClient, member: str
) -> None:
    await enrol(till, member)
    await accepted(
        till,
        activity("visit", member, "1", "2025-01-01T12:00:00Z"),
        activity("wish", member, "2", "2025-04-01T12:00:00Z"),
    )
    await platform.settled()
    assert await stages(platform, member) == [("2025-01-01T12:00:00Z", "awareness")]
    await accepted(till, activity("wish", member, "3", "2025-04-01T12:00:01Z"))
    await platform.settled()
    assert await stages(platform, member) == [
        ("2025-01-01T12:00:00Z", "awareness"),
        ("2025-04-01T12:00:00.000001Z", "need"),
    ]
