"""What one agent corrects alone within a day: beyond the limit a second person decides."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from kit.auth import LocalIssuer
from kit.clock import DAY, SECOND
from kit.http.idempotency import derived_id
from kit.settings import StoreSettings
from services.points import rebuild
from tests.ports.stores import Stores
from tests.services.points.club import RULES, Club, Process, club_on, refused
from tests.services.starting import TestClock

DAILY = RULES.replace("alone_up_to: 500", "alone_up_to: 500\n    alone_up_to_in_a_day: 1000")
OPEN = "/v1/points/adjustments"


@pytest.fixture
async def club(
    tmp_path: Path, store: StoreSettings, clock: TestClock, issuer: LocalIssuer
) -> AsyncIterator[Club]:
    """At most 500 points alone at once, and 1000 within a day."""
    async for opened in club_on(store, tmp_path, clock, issuer, DAILY):
        yield opened


@pytest.fixture
async def any_club(
    place: Stores, tmp_path: Path, clock: TestClock, issuer: LocalIssuer
) -> AsyncIterator[Club]:
    """The same on each adapter in turn."""
    kind: Any = "sqlite" if place.url.startswith("sqlite") else "mongodb"
    settings = StoreSettings(kind, place.url, place.driver)
    async for opened in club_on(settings, tmp_path, clock, issuer, DAILY):
        yield opened


def of(member: str) -> str:
    return f"/v1/members/{member}/points/adjustments"


async def asked(
    club: Club, who: str, member: str, points: int, key: str | None = None, **more: Any
) -> httpx.Response:
    """Ask for a correction."""
    process: Process | None = more.pop("process", None)
    body = {"points": points, "reason": "goodwill", **more}
    return await club.post(f"agent:{who}", of(member), body, key=key, process=process)


async def outcome(club: Club, who: str, member: str, points: int, **more: Any) -> str:
    """What came of it, in a word: booked, or why it waits."""
    answer = await asked(club, who, member, points, **more)
    assert answer.status_code in (200, 201, 202), answer.text
    shown = answer.json()
    assert (shown["status"] == "open") is (answer.status_code == 202)
    return str(shown.get("waits_because", shown["status"]))


async def test_beyond_the_days_limit_a_correction_waits_whosever_account_it_is(club: Club) -> None:
    outcomes = [
        await outcome(club, "A1", member, points)
        for member, points in (("M1", 500), ("M2", 400), ("M3", 101), ("M3", 100), ("M1", 1))
    ]
    assert outcomes == ["booked", "booked", "daily_limit", "booked", "daily_limit"]
    assert [await club.balance(member) for member in ("M1", "M2", "M3")] == [500, 400, 100]
    assert await club.findings() == []


async def test_what_is_taken_counts_like_what_is_given(club: Club) -> None:
    await club.earn("M1", 100)
    points = [500, -300, -200, -1]
    outcomes = [await outcome(club, "A1", "M1", each) for each in points]
    assert outcomes == ["booked", "booked", "booked", "daily_limit"]
    assert await club.balance("M1") == 100


async def test_each_agent_has_a_limit_of_their_own(club: Club) -> None:
    outcomes = [await outcome(club, who, "M1", 500) for who in ("A1", "A1", "A1", "A2", "A2", "A2")]
    assert outcomes == ["booked", "booked", "daily_limit"] * 2


async def test_what_is_above_one_persons_amount_waits_for_that_and_does_not_count(
    club: Club,
) -> None:
    assert await outcome(club, "A1", "M1", 501) == "amount"
    assert [await outcome(club, "A1", "M1", 500) for _ in range(2)] == ["booked"] * 2


async def test_who_approves_has_corrected_nothing_alone(club: Club) -> None:
    for _ in range(2):
        await outcome(club, "A1", "M1", 500)
    waits = (await asked(club, "A1", "M1", 400)).json()
    request = f"{of('M1')}/{waits['request_id']}"
    own = await club.post("agent:A1", f"{request}:approve")
    assert refused(own) == (409, "same_person")
    approved = (await club.post("agent:A2", f"{request}:approve")).json()
    assert (approved["status"], approved["balance"]) == ("booked", 1_400)
    assert "waits_because" not in approved
    assert [await outcome(club, "A2", "M1", 500) for _ in range(3)] == [
        "booked",
        "booked",
        "daily_limit",
    ]


async def test_a_retry_gets_its_first_answer_and_counts_once(club: Club) -> None:
    first = [await asked(club, "A1", "M1", 500, "k1") for _ in range(3)]
    assert [answer.status_code for answer in first] == [201, 200, 200]
    assert await outcome(club, "A1", "M1", 500) == "booked"
    await club.start()
    again = await asked(club, "A1", "M1", 500, "k1")
    assert (again.status_code, again.json()) == (200, first[0].json())
    waits = await asked(club, "A1", "M1", 300, "k2")
    club.clock.now += 2 * DAY
    later = await asked(club, "A1", "M1", 300, "k2")
    assert (waits.status_code, later.status_code) == (202, 202)
    assert later.json() == waits.json()
    assert later.json()["waits_because"] == "daily_limit"
    other = await asked(club, "A1", "M1", 299, "k2")
    assert refused(other) == (409, "idempotency_key_reused")
    assert [await outcome(club, "A1", "M1", 500) for _ in range(2)] == ["booked"] * 2


async def test_a_day_later_there_is_room_again_and_not_a_moment_before(club: Club) -> None:
    assert await outcome(club, "A1", "M1", 500) == "booked"
    club.clock.now += DAY // 2
    assert await outcome(club, "A1", "M1", 500) == "booked"
    club.clock.now += DAY // 2 - SECOND
    assert await outcome(club, "A1", "M1", 500) == "daily_limit"
    club.clock.now += SECOND
    assert await outcome(club, "A1", "M1", 500) == "booked"
    assert await outcome(club, "A1", "M1", 1) == "daily_limit"


async def test_what_the_account_refuses_does_not_count(club: Club) -> None:
    for _ in range(3):
        assert refused(await asked(club, "A1", "M1", -400)) == (409, "insufficient_points")
    assert [await outcome(club, "A1", "M1", 500) for _ in range(2)] == ["booked"] * 2


async def test_what_is_said_to_have_happened_long_ago_counts_today(club: Club) -> None:
    earlier = "2025-06-01T00:00:00Z"
    outcomes = [await outcome(club, "A1", "M1", 500, occurred_at=earlier) for _ in range(3)]
    assert outcomes == ["booked", "booked", "daily_limit"]


async def test_who_died_between_the_meter_and_the_ledger_counts_once_and_too_much_at_most(
    club: Club,
) -> None:
    for key in ("k1", "k2"):
        id_ = derived_id("adjustment", "A1", "M1", key)
        await club.wiring.meters.count("agent", "A1", id_, 500)
    assert await outcome(club, "A1", "M2", 1) == "daily_limit"
    assert await outcome(club, "A1", "M1", 500, key="k1") == "booked"
    assert await outcome(club, "A1", "M2", 1) == "daily_limit"
    club.clock.now += DAY
    assert await outcome(club, "A1", "M1", 500, key="k2") == "daily_limit"  # it counted yesterday
    assert [await outcome(club, "A1", "M1", 500) for _ in range(2)] == ["booked"] * 2


async def test_the_list_says_why_a_request_waits_also_after_a_rebuild(club: Club) -> None:
    for points in (500, 501, 500, 7):
        club.clock.now += 1
        await outcome(club, "A1", "M1", points)
    await club.follow(twice=True)
    for _ in range(2):
        rows = (await club.get("operator", OPEN))["items"]
        assert [(row["points"], row["waits_because"]) for row in rows] == [
            (7, "daily_limit"),
            (501, "amount"),
        ]
        booked = (await club.get("operator", f"{OPEN}?status=booked"))["items"]
        assert [row.get("waits_because") for row in booked] == [None, None]
        await rebuild.rebuild(club.wiring)
    assert await club.findings() == []


async def test_of_many_at_once_as_many_pass_as_the_day_has_room_for(any_club: Club) -> None:
    club = any_club
    await club.start()
    outcomes = await asyncio.gather(
        *(outcome(club, "A1", f"M{n % 7}", 100, process=club.processes[n % 2]) for n in range(19))
    )
    assert Counter(outcomes) == {"booked": 10, "daily_limit": 9}
    assert sum([await club.balance(f"M{n}") for n in range(7)]) == 1_000
    assert await club.findings() == []


async def test_one_request_from_many_at_once_counts_once(any_club: Club) -> None:
    club = any_club
    await club.start()
    outcomes = await asyncio.gather(
        *(outcome(club, "A1", "M1", 400, key="k", process=club.processes[n % 2]) for n in range(12))
    )
    assert Counter(outcomes) == {"booked": 12}
    assert await club.balance("M1") == 400
    assert [await outcome(club, "A1", "M1", each) for each in (500, 100, 1)] == [
        "booked",
        "booked",
        "daily_limit",
    ]
