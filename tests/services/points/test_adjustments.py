"""Manual corrections over HTTP: small ones alone, larger ones by two people."""

import asyncio

import pytest

from services.points import rebuild
from tests.services.points.club import Club, refused

OF_M1 = "/v1/members/M1/points/adjustments"
ALL = "/v1/points/adjustments"


async def waiting(club: Club, points: int = 501, who: str = "agent:A1") -> str:
    """Ask for a correction that needs a second person; return where it is."""
    answer = await club.post(who, OF_M1, {"points": points, "reason": "goodwill"})
    assert answer.status_code == 202, answer.text
    return f"{OF_M1}/{answer.json()['request_id']}"


async def test_a_small_correction_is_booked_at_once(club: Club) -> None:
    body = {"points": 500, "reason": "goodwill", "note": "Delivery was late"}
    answer = await club.post("agent:A1", OF_M1, body)
    assert answer.status_code == 201
    shown = answer.json()
    assert shown.pop("request_id").startswith("adjustment_")
    assert shown == {
        "member_id": "M1",
        "wallet": "base",
        "points": 500,
        "reason": "goodwill",
        "status": "booked",
        "asked_by": "A1",
        "asked_at": "2026-01-01T00:00:00Z",
        "note": "Delivery was late",
        "balance": 500,
    }
    taken = await club.post("operator", OF_M1, {"points": -200, "reason": "correction"})
    assert (taken.status_code, taken.json()["balance"]) == (201, 300)
    assert await club.findings() == []


async def test_goodwill_and_corrections_are_booked_against_accounts_of_their_own(
    club: Club,
) -> None:
    for reason, account in (("goodwill", "compensation/"), ("correction", "adjustment/")):
        await club.post("agent", OF_M1, {"points": 10, "reason": reason})
        (fact,) = await club.wiring.entries.read("account:M1", await club.facts("M1") - 1)
        assert account.encode() in bytes(fact.body)


async def test_the_same_request_again_is_the_same_correction(club: Club) -> None:
    body = {"points": 500, "reason": "goodwill"}
    first = await club.post("agent:A1", OF_M1, body, key="k")
    await club.start()
    again = await club.post("agent:A1", OF_M1, body, key="k")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    for changed in ({"points": 499}, {"reason": "correction"}, {"note": "x"}):
        answer = await club.post("agent:A1", OF_M1, {**body, **changed}, key="k")
        assert refused(answer) == (409, "idempotency_key_reused")
    assert await club.balance("M1") == 500


async def test_a_larger_one_waits_for_a_second_person_and_keeps_both_names(club: Club) -> None:
    request = await waiting(club)
    assert await club.balance("M1") == 0
    own = await club.post("agent:A1", f"{request}:approve")
    assert refused(own) == (409, "same_person")
    answers = [await club.post("operator:O1", f"{request}:approve") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    shown = answers[0].json()
    assert (shown["asked_by"], shown["decided_by"], shown["status"], shown["balance"]) == (
        "A1",
        "O1",
        "booked",
        501,
    )
    third = await club.post("operator:O2", f"{request}:approve")
    assert refused(third) == (409, "adjustment_ended")
    assert third.json()["ended"] == "approved"
    rejected = await club.post("agent:A1", f"{request}:reject", {"reason": "wrong"})
    assert refused(rejected) == (409, "adjustment_ended")
    assert await club.balance("M1") == 501
    assert await club.findings() == []


async def test_a_request_is_rejected_with_a_reason_by_others_or_taken_back(club: Club) -> None:
    for who in ("operator:O1", "agent:A1"):
        request = await waiting(club)
        answers = [
            await club.post(who, f"{request}:reject", {"reason": "Not agreed"}) for _ in range(2)
        ]
        assert answers[0].json() == answers[1].json()
        assert answers[0].json()["status"] == "rejected"
        assert answers[0].json()["rejected_because"] == "Not agreed"
        late = await club.post("operator:O2", f"{request}:approve")
        assert refused(late) == (409, "adjustment_ended")
        assert late.json()["ended"] == "rejected"
    assert await club.balance("M1") == 0


async def test_open_requests_are_listed_until_they_are_decided(club: Club) -> None:
    await club.post("agent:A1", OF_M1, {"points": 5, "reason": "goodwill"})
    club.clock.now += 1
    first = await waiting(club, -700)
    club.clock.now += 1
    second = await waiting(club, 800)
    await club.follow()

    async def points(who: str, path: str) -> list[int]:
        return [each["points"] for each in (await club.get(who, path))["items"]]

    assert await points("operator", ALL) == [800, -700]
    assert await points("agent", OF_M1) == [800, -700, 5]
    await club.post("operator:O1", f"{second}:approve")
    await club.post("operator:O1", f"{first}:reject", {"reason": "No"})
    await club.follow(twice=True)
    for _ in range(2):
        assert await points("operator", ALL) == []
        assert await points("operator", f"{ALL}?status=booked") == [800, 5]
        (row,) = (await club.get("operator", f"{ALL}?status=rejected"))["items"]
        assert (row["asked_by"], row["decided_by"], row["rejected_because"]) == ("A1", "O1", "No")
        await rebuild.rebuild(club.wiring)
    page = await club.get("agent", f"{OF_M1}?limit=2")
    rest = await club.get("agent", f"{OF_M1}?limit=2&cursor={page['next']}")
    assert [each["points"] for each in page["items"] + rest["items"]] == [800, -700, 5]


async def test_only_agents_and_operators_correct_and_nobody_their_own_account(club: Club) -> None:
    body = {"points": 5, "reason": "goodwill"}
    for who in ("M1", "partner", "marketer"):
        assert refused(await club.post(who, OF_M1, body)) == (403, "role_missing")
        assert refused(await club.ask(who, "GET", OF_M1)) == (403, "role_missing")
    assert refused(await club.ask("agent", "GET", ALL)) == (403, "role_missing")
    both = club.issuer.token("agent", "M1")
    answer = await club.processes[0].client.post(
        OF_M1, json=body, headers={"authorization": f"Bearer {both}", "idempotency-key": "k"}
    )
    assert refused(answer) == (403, "own_account")
    assert await club.facts("M1") == 0


async def test_a_reason_the_programme_does_not_have_is_refused_with_the_nearest(
    club: Club,
) -> None:
    answer = await club.post("agent", OF_M1, {"points": 5, "reason": "good_will"})
    assert refused(answer) == (422, "unknown_reason")
    assert answer.json()["known"] == ["goodwill", "correction"]
    (error,) = answer.json()["errors"]
    assert error == {
        "field": "reason",
        "message": "'good_will' is not known",
        "fix": "Did you mean 'goodwill'? Known are goodwill, correction.",
    }


async def test_tier_points_may_be_corrected_and_unknown_wallets_not(club: Club) -> None:
    body = {"points": 50, "reason": "correction", "wallet": "tier"}
    assert (await club.post("agent", OF_M1, body)).status_code == 201
    assert await club.balance("M1", "tier") == 50
    answer = await club.post("agent", OF_M1, {**body, "wallet": "tears"})
    assert refused(answer) == (422, "unknown_wallet")


@pytest.mark.parametrize("points", [0, 2**53, -(2**53), 1.5, "5", None])
async def test_amounts_that_are_none_are_refused(club: Club, points: object) -> None:
    answer = await club.post("agent", OF_M1, {"points": points, "reason": "goodwill"})
    assert refused(answer) == (422, "invalid_request")
    assert [each["field"] for each in answer.json()["errors"]] == ["points"]


async def test_no_more_is_taken_than_there_is_when_it_is_booked(club: Club) -> None:
    await club.earn("M1", 600)
    request = await waiting(club, -600)
    await club.post("agent", OF_M1, {"points": -1, "reason": "correction"})
    answer = await club.post("operator", f"{request}:approve")
    assert refused(answer) == (409, "insufficient_points")
    await club.post("agent", OF_M1, {"points": 1, "reason": "correction"})
    assert (await club.post("operator", f"{request}:approve")).json()["balance"] == 0


async def test_a_request_nobody_made_is_missing(club: Club) -> None:
    path = f"{OF_M1}/adjustment_aaaaaaaaaaaaaaaaaaaaaaaa"
    assert refused(await club.post("agent", f"{path}:approve")) == (404, "unknown_adjustment")
    rejected = await club.post("agent", f"{path}:reject", {"reason": "No"})
    assert refused(rejected) == (404, "unknown_adjustment")
    request = await waiting(club)
    elsewhere = request.replace("/M1/", "/M2/")
    assert refused(await club.post("operator", f"{elsewhere}:approve")) == (
        404,
        "unknown_adjustment",
    )


async def test_many_corrections_of_one_account_at_once_are_all_booked(club: Club) -> None:
    body = {"points": 1, "reason": "goodwill"}
    answers = await asyncio.gather(*(club.post("agent", OF_M1, body) for _ in range(60)))
    assert [answer.status_code for answer in answers] == [201] * 60
    assert await club.balance("M1") == 60


async def test_of_many_decisions_one_wins(any_club: Club) -> None:
    club = any_club
    request = await waiting(club)
    await club.start()

    async def decide(place: int) -> str:
        process = club.processes[place % 2]
        action, body = ("approve", {}) if place % 4 < 2 else ("reject", {"reason": "No"})
        path, who = f"{request}:{action}", f"operator:O{place}"
        answer = await club.post(who, path, body, process=process)
        shown = answer.json()
        return str(shown["decided_by"] if answer.status_code == 200 else shown["code"])

    outcomes = await asyncio.gather(*(decide(place) for place in range(40)))
    assert outcomes.count("adjustment_ended") == 39
    await club.start()
    assert await club.facts("M1") == 2
