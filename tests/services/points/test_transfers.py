"""Transfers over HTTP: two accounts, one decision, and nothing lost in between."""

import asyncio
from collections import Counter

import pytest

from kit.clock import DAY
from services.points import rebuild
from tests.services.points.club import HOUR, Club, refused

TRANSFERS = "/v1/members/{}/points/transfers"
SENT, RECEIVED = TRANSFERS.format("M1"), TRANSFERS.format("M2")


async def offered(club: Club, points: int = 300, **more: object) -> str:
    """Offer M1's points to M2; return the transfer's id."""
    answer = await club.post("M1", SENT, {"to": "M2", "points": points, **more})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["transfer_id"])


async def balances(club: Club) -> tuple[int, int]:
    return await club.balance("M1"), await club.balance("M2")


async def test_an_offer_leaves_the_sender_and_waits_for_the_receiver(club: Club) -> None:
    await club.earn("M1", 1000)
    answer = await club.post("M1", SENT, {"to": "M2", "points": 300, "note": " Happy birthday "})
    assert answer.status_code == 201
    offer = answer.json()
    assert offer.pop("transfer_id").startswith("transfer_")
    assert offer == {
        "sender": "M1",
        "receiver": "M2",
        "wallet": "base",
        "points": 300,
        "status": "offered",
        "sent_at": "2026-01-01T00:00:00Z",
        "until": "2026-01-15T00:00:00Z",
        "note": "Happy birthday",
        "balance": 700,
    }
    assert await balances(club) == (700, 0)
    await club.follow()
    (waiting,) = (await club.get("M2", f"{RECEIVED}?direction=received&status=offered"))["items"]
    assert (waiting["sender"], waiting["points"], waiting["note"]) == ("M1", 300, "Happy birthday")
    assert (await club.get("M1", f"{SENT}?direction=sent"))["items"] == [waiting]
    assert (await club.get("M1", f"{SENT}?direction=received"))["items"] == []


async def test_what_is_accepted_arrives_once_however_often(club: Club) -> None:
    await club.earn("M1", 1000)
    transfer = await offered(club)
    answers = [
        await club.post("M2", f"{RECEIVED}/{transfer}:accept", {"sender": "M1"}) for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["status"] == "accepted"
    assert answers[0].json()["balance"] == 300
    await club.follow(twice=True)
    assert await balances(club) == (700, 300)
    (row,) = (await club.get("M2", RECEIVED))["items"]
    assert (row["status"], row["ended_at"]) == ("accepted", "2026-01-01T00:00:00Z")
    assert await club.findings() == []


@pytest.mark.parametrize(
    ("who", "path", "action", "status"),
    [("M2", RECEIVED, "decline", "declined"), ("M1", SENT, "withdraw", "withdrawn")],
)
async def test_what_is_not_wanted_goes_back(
    club: Club, who: str, path: str, action: str, status: str
) -> None:
    await club.earn("M1", 1000)
    transfer = await offered(club)
    body = {"sender": "M1"} if action == "decline" else {}
    answer = await club.post(who, f"{path}/{transfer}:{action}", body)
    assert (answer.status_code, answer.json()["status"]) == (200, status)
    assert (await club.post(who, f"{path}/{transfer}:{action}", body)).json() == answer.json()
    assert await balances(club) == (700, 0)
    await club.follow()
    assert await balances(club) == (1000, 0)
    late = await club.post("M2", f"{RECEIVED}/{transfer}:accept", {"sender": "M1"})
    assert refused(late) == (409, "transfer_ended")
    assert late.json()["ended"] == status
    (row,) = (await club.get("M1", f"{SENT}?direction=sent"))["items"]
    assert row["status"] == status
    assert await club.findings() == []


async def test_what_was_accepted_can_neither_be_declined_nor_withdrawn(club: Club) -> None:
    await club.earn("M1", 1000)
    transfer = await offered(club)
    await club.post("M2", f"{RECEIVED}/{transfer}:accept", {"sender": "M1"})
    for who, path, body in (
        ("M2", f"{RECEIVED}/{transfer}:decline", {"sender": "M1"}),
        ("M1", f"{SENT}/{transfer}:withdraw", {}),
    ):
        answer = await club.post(who, path, body)
        assert refused(answer) == (409, "transfer_ended")
        assert answer.json()["ended"] == "accepted"


@pytest.mark.parametrize("late", [True, False])
async def test_an_offer_nobody_answers_goes_back_when_its_time_is_over(
    club: Club, late: bool
) -> None:
    await club.earn("M1", 1000)
    transfer = await offered(club)
    await club.follow()
    club.clock.now += 14 * DAY
    (row,) = (await club.get("M2", RECEIVED))["items"]
    assert row["status"] == "timed_out"
    if late:  # whoever comes too late may be the first to notice
        answer = await club.post("M2", f"{RECEIVED}/{transfer}:accept", {"sender": "M1"})
        assert refused(answer) == (409, "transfer_ended")
        assert answer.json()["ended"] == "timed_out"
    await club.wiring.duties.run()
    await club.follow()
    assert await balances(club) == (1000, 0)
    assert (await club.get("M1", f"{SENT}?direction=sent"))["items"][0]["status"] == "timed_out"
    assert await club.findings() == []


async def test_only_who_it_is_for_decides_and_sees(club: Club) -> None:
    await club.earn("M1", 1000)
    transfer = await offered(club)
    await club.follow()
    stranger = TRANSFERS.format("M3")
    for action in ("accept", "decline"):
        answer = await club.post("M3", f"{stranger}/{transfer}:{action}", {"sender": "M1"})
        assert refused(answer) == (404, "unknown_transfer")
        answer = await club.post("M3", f"{RECEIVED}/{transfer}:{action}", {"sender": "M1"})
        assert refused(answer) == (403, "not_your_member")
        answer = await club.post("M2", f"{RECEIVED}/{transfer}:{action}", {"sender": "M3"})
        assert refused(answer) == (404, "unknown_transfer")
    assert refused(await club.post("M2", f"{RECEIVED}/{transfer}:withdraw")) == (
        404,
        "unknown_transfer",
    )
    assert (await club.get("M3", stranger))["items"] == []
    assert await club.facts("M2") == 0


async def test_a_transfer_to_oneself_is_refused(club: Club) -> None:
    await club.earn("M1", 1000)
    answer = await club.post("M1", SENT, {"to": "M1", "points": 300})
    assert refused(answer) == (422, "transfer_to_oneself")
    assert await club.facts("M1") == 1


@pytest.mark.parametrize("points", [0, -1, 2**53, 1.5, "5"])
async def test_amounts_that_are_none_are_refused(club: Club, points: object) -> None:
    await club.earn("M1", 1000)
    answer = await club.post("M1", SENT, {"to": "M2", "points": points})
    assert refused(answer) == (422, "invalid_request")
    assert [each["field"] for each in answer.json()["errors"]] == ["points"]


@pytest.mark.parametrize(
    ("body", "status", "code", "limit"),
    [
        ({"points": 9}, 409, "limit_reached", "transfer_minimum"),
        ({"points": 5001}, 409, "limit_reached", "transfer_maximum"),
        ({"points": 1001}, 409, "insufficient_points", None),
        ({"points": 10, "wallet": "tier"}, 422, "wallet_not_spendable", None),
        ({"points": 10, "wallet": "gems"}, 422, "unknown_wallet", None),
        ({"points": 10, "to": "@pool"}, 422, "invalid_request", None),
        ({"points": 10, "note": "a\u0000b"}, 422, "invalid_request", None),
        ({"points": 10, "note": "x" * 141}, 422, "invalid_request", None),
        ({"points": 10, "colour": "red"}, 422, "invalid_request", None),
    ],
)
async def test_what_the_programme_does_not_allow_is_refused(
    club: Club, body: dict[str, object], status: int, code: str, limit: str | None
) -> None:
    await club.earn("M1", 1000)
    answer = await club.post("M1+", SENT, {"to": "M2", **body})
    assert refused(answer) == (status, code)
    assert answer.json().get("limit") == limit
    assert await club.facts("M1") == 1


async def test_the_same_request_again_is_the_same_transfer_in_another_process_too(
    club: Club,
) -> None:
    await club.earn("M1", 300)
    body = {"to": "M2", "points": 300}
    first = await club.post("M1", SENT, body, key="k")
    await club.start()
    again = await club.post("M1", SENT, body, key="k")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    other = await club.post("M1", SENT, {**body, "points": 299}, key="k")
    assert refused(other) == (409, "idempotency_key_reused")
    hold = await club.post(
        "M1", "/v1/members/M1/points/holds", {"points": 1, "purpose": "x"}, key="k"
    )
    assert refused(hold) == (409, "idempotency_key_reused")
    assert await club.facts("M1") == 2


async def test_a_service_that_dies_between_the_two_sides_goes_on_where_it_stopped(
    club: Club,
) -> None:
    await club.earn("M1", 1000)
    transfer = await offered(club)
    entries = await club.wiring.entries.unpublished()
    await club.wiring.follower.handle(entries)  # and dies before it can say so
    await club.start()
    await club.wiring.follower.handle(entries)
    await club.post("M2", f"{RECEIVED}/{transfer}:accept", {"sender": "M1"})
    await club.start()
    again = await club.post("M2", f"{RECEIVED}/{transfer}:accept", {"sender": "M1"})
    assert again.status_code == 200
    await club.follow(twice=True)
    assert await balances(club) == (700, 300)
    assert [await club.facts(member) for member in ("M1", "M2")] == [3, 1]
    assert await club.findings() == []


async def test_facts_of_the_two_sides_may_arrive_in_any_order(club: Club) -> None:
    await club.earn("M1", 1000)
    accepted, declined = await offered(club), await offered(club, 100)
    await club.post("M2", f"{RECEIVED}/{accepted}:accept", {"sender": "M1"})
    await club.post("M2", f"{RECEIVED}/{declined}:decline", {"sender": "M1"})
    entries = await club.wiring.entries.unpublished()
    ours, theirs = ([e for e in entries if e.owner == each] for each in ("M1", "M2"))
    await club.wiring.follower.handle(theirs)
    assert (await club.get("M2", RECEIVED))["items"] == []
    await club.wiring.follower.handle(ours)
    await club.wiring.follower.handle(theirs)
    rows = (await club.get("M2", RECEIVED))["items"]
    assert sorted((row["points"], row["status"]) for row in rows) == [
        (100, "declined"),
        (300, "accepted"),
    ]


async def test_of_a_hundred_decisions_one_wins(any_club: Club) -> None:
    club = any_club
    await club.earn("M1", 1000)
    transfer = await offered(club)
    await club.start()

    async def decide(place: int) -> str:
        process = club.processes[place % 2]
        if place % 3 == 2:
            path, who, body = f"{SENT}/{transfer}:withdraw", "M1", {}
        else:
            action = ("accept", "decline")[place % 3]
            path, who, body = f"{RECEIVED}/{transfer}:{action}", "M2", {"sender": "M1"}
        answer = await club.post(who, path, body, process=process)
        assert answer.status_code in (200, 409), answer.text
        return str(answer.json()["status"]) if answer.status_code == 200 else answer.json()["code"]

    outcomes = set(await asyncio.gather(*(decide(place) for place in range(100))))
    assert len(outcomes - {"transfer_ended"}) == 1
    await club.start()
    await club.follow()
    there = 300 if outcomes == {"accepted", "transfer_ended"} else 0
    assert await balances(club) == (1000 - there, there)


async def test_of_many_transfers_at_once_as_many_leave_as_may(club: Club) -> None:
    await club.earn("M1", 1000)
    answers = await asyncio.gather(
        *(club.post("M1", SENT, {"to": f"R{place}", "points": 10}) for place in range(60))
    )
    outcomes = Counter(answer.json().get("limit", answer.status_code) for answer in answers)
    assert outcomes == {201: 20, "velocity_times": 40}
    assert await club.balance("M1") == 800
    assert await club.findings() == []


async def test_a_payee_is_paid_so_often(club: Club) -> None:
    for member in ("M1", "M3", "M4"):
        await club.earn(member, 1000)
    body = {"to": "M2", "points": 100}
    statuses = [
        (await club.post(member, TRANSFERS.format(member), body)).status_code
        for member in ("M1", "M3")
    ]
    assert statuses == [201, 201]
    third = await club.post("M4", TRANSFERS.format("M4"), body)
    assert refused(third) == (429, "payee_velocity")
    assert third.headers["retry-after"] == str(24 * 3600)
    assert await club.facts("M4") == 1
    club.clock.now += 24 * HOUR
    assert (await club.post("M4", TRANSFERS.format("M4"), body)).status_code == 201


async def test_nobody_fills_a_payees_meter_with_what_they_do_not_have(club: Club) -> None:
    await club.earn("M1", 1000)
    for _ in range(3):
        answer = await club.post("M9", TRANSFERS.format("M9"), {"to": "M2", "points": 100})
        assert refused(answer) == (409, "insufficient_points")
    await offered(club, 100)


async def test_points_stay_for_a_while_after_contact_details_changed(club: Club) -> None:
    await club.earn("M1", 1000)
    await club.change_contact("M1")
    answer = await club.post("M1", SENT, {"to": "M2", "points": 100})
    assert refused(answer) == (409, "cooling_off")
    assert answer.json()["until"] == "2026-01-02T00:00:00Z"
    club.clock.now += 24 * HOUR
    await offered(club, 100)


async def test_a_large_transfer_asks_members_for_a_second_factor(club: Club) -> None:
    await club.earn("M1", 5000)
    body = {"to": "M2", "points": 1001}
    assert refused(await club.post("M1", SENT, body)) == (403, "step_up_needed")
    assert (await club.post("M1+", SENT, body)).status_code == 201
    assert (await club.post("agent", SENT, body)).status_code == 201
    assert refused(await club.post("partner", SENT, body)) == (403, "role_missing")


async def test_lists_page_newest_first_and_are_rebuilt_the_same(club: Club) -> None:
    await club.earn("M1", 1000)
    for points in (10, 20, 30, 40, 50):
        club.clock.now += 1
        to = "M2" if points != 30 else "M3"
        answer = await club.post("agent", SENT, {"to": to, "points": points})
        if answer.status_code != 201:
            body = {"to": "M4", "points": points}
            assert (await club.post("agent", SENT, body)).status_code == 201
    await club.follow()

    async def pages() -> list[dict[str, object]]:
        found: list[dict[str, object]] = []
        query = "?direction=sent&limit=2"
        while True:
            page = await club.get("M1", f"{SENT}{query}")
            found += page["items"]
            if "next" not in page:
                return found
            query = f"?direction=sent&limit=2&cursor={page['next']}"

    before = await pages()
    assert [row["points"] for row in before] == [50, 40, 30, 20, 10]
    assert await rebuild.rebuild(club.wiring) == 1
    assert await pages() == before
    bad = await club.ask("M1", "GET", f"{SENT}?cursor=bm9uc2Vuc2U")
    assert refused(bad) == (422, "bad_cursor")
