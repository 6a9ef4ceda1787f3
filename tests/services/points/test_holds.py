"""Holds over HTTP: each ends once, however often and by whomever it is asked."""

import asyncio

import pytest

from kit.clock import DAY, SECOND, from_micros
from services.points.commands import carry_out
from services.points.domain.holding import PlaceHold
from tests.services.points.club import Club, refused
from tests.services.starting import START

HOLDS = "/v1/members/M1/points/holds"
MINUTE = 60 * SECOND


async def held(club: Club, points: int = 300, who: str = "partner", **more: object) -> str:
    """Place a hold; return where it is."""
    body = {"points": points, "purpose": "table for two", **more}
    answer = await club.post(who, HOLDS, body)
    assert answer.status_code == 201, answer.text
    return f"{HOLDS}/{answer.json()['hold_id']}"


async def test_a_hold_sets_points_aside(club: Club) -> None:
    await club.earn("M1", 1000)
    body = {"points": 300, "purpose": "table for two", "minutes": 15}
    answer = await club.post("M1", HOLDS, body)
    assert answer.status_code == 201
    shown = answer.json()
    assert shown.pop("hold_id").startswith("hold_")
    assert shown == {
        "member_id": "M1",
        "wallet": "base",
        "points": 300,
        "purpose": "table for two",
        "until": "2026-01-01T00:15:00Z",
        "status": "held",
        "balance": 700,
    }
    assert await club.balance("M1") == 700


async def test_open_holds_are_listed_and_those_that_timed_out_are_not(club: Club) -> None:
    await club.earn("M1", 1000)
    later = await held(club, 100, minutes=60)
    sooner = await held(club, 200)
    listed = (await club.get("M1", HOLDS))["items"]
    assert [f"{HOLDS}/{each['hold_id']}" for each in listed] == [sooner, later]
    assert [each["points"] for each in listed] == [200, 100]
    club.clock.now += 30 * MINUTE
    listed = (await club.get("agent", HOLDS))["items"]
    assert [f"{HOLDS}/{each['hold_id']}" for each in listed] == [later]


async def test_the_same_request_again_is_the_same_hold(club: Club) -> None:
    await club.earn("M1", 400)
    body = {"points": 300, "purpose": "dinner"}
    first = await club.post("partner", HOLDS, body, key="k")
    await club.start()  # whoever asks again may meet another process, and points that are gone
    club.clock.now += 10 * MINUTE
    again = await club.post("partner", HOLDS, body, key="k")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert await club.facts("M1") == 2


@pytest.mark.parametrize("changed", [{"points": 299}, {"purpose": "lunch"}, {"minutes": 5}])
async def test_the_same_key_with_another_content_is_a_conflict(
    club: Club, changed: dict[str, object]
) -> None:
    await club.earn("M1", 1000)
    body = {"points": 300, "purpose": "dinner"}
    await club.post("partner", HOLDS, body, key="k")
    answer = await club.post("partner", HOLDS, {**body, **changed}, key="k")
    assert refused(answer) == (409, "idempotency_key_reused")
    assert await club.balance("M1") == 700


async def test_one_key_serves_two_callers(club: Club) -> None:
    await club.earn("M1", 1000)
    body = {"points": 300, "purpose": "dinner"}
    answers = [await club.post(who, HOLDS, body, key="1") for who in ("partner:t1", "partner:t2")]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert await club.balance("M1") == 400


async def test_without_a_key_nothing_happens(club: Club) -> None:
    await club.earn("M1", 1000)
    answer = await club.post("M1", HOLDS, {"points": 300, "purpose": "dinner"}, key="")
    assert refused(answer) == (400, "idempotency_key_missing")
    assert await club.facts("M1") == 1


@pytest.mark.parametrize("points", [0, -1, 2**53, 1.5, "5", None, True, 10**30])
async def test_amounts_that_are_none_are_refused(club: Club, points: object) -> None:
    await club.earn("M1", 1000)
    answer = await club.post("M1", HOLDS, {"points": points, "purpose": "dinner"})
    assert refused(answer) == (422, "invalid_request")
    (error,) = answer.json()["errors"]
    assert error["field"] == "points"
    assert error["fix"]
    assert await club.facts("M1") == 1


@pytest.mark.parametrize(
    ("wallet", "code", "fix"),
    [
        ("bass", "unknown_wallet", "Did you mean 'base'? Known are base, tier."),
        ("tier", "wallet_not_spendable", "Use one of base."),
    ],
)
async def test_a_wallet_that_cannot_be_spent_is_refused(
    club: Club, wallet: str, code: str, fix: str
) -> None:
    await club.earn("M1", 1000)
    body = {"points": 1, "purpose": "dinner", "wallet": wallet}
    answer = await club.post("M1", HOLDS, body)
    assert refused(answer) == (422, code)
    assert [(each["field"], each["fix"]) for each in answer.json()["errors"]] == [("wallet", fix)]


async def test_more_than_there_is_cannot_be_held(club: Club) -> None:
    await club.earn("M1", 299)
    for member, there in (("M1", 299), ("nobody", 0)):
        path = f"/v1/members/{member}/points/holds"
        answer = await club.post("agent", path, {"points": 300, "purpose": "dinner"})
        assert refused(answer) == (409, "insufficient_points")
        assert (answer.json()["needed"], answer.json()["available"]) == (300, there)
    assert await club.facts("nobody") == 0


async def test_a_hold_is_captured_once_and_the_answer_can_be_had_again(club: Club) -> None:
    await club.earn("M1", 1000)
    hold = await held(club)
    first = await club.post("partner", f"{hold}:capture")
    assert first.status_code == 200
    assert first.json()["status"] == "captured"
    assert (first.json()["captured"], first.json()["released"]) == (300, 0)
    for body in ({}, {"points": 300}):
        again = await club.post("operator", f"{hold}:capture", body)
        assert (again.status_code, again.json()) == (200, first.json())
    other = await club.post("partner", f"{hold}:capture", {"points": 299})
    assert refused(other) == (409, "hold_ended")
    assert other.json()["ended"] == "captured"
    assert refused(await club.post("M1", f"{hold}:release")) == (409, "hold_ended")
    assert await club.balance("M1") == 700


async def test_what_is_not_captured_is_given_back(club: Club) -> None:
    await club.earn("M1", 1000)
    hold = await held(club)
    first = await club.post("agent", f"{hold}:capture", {"points": 120})
    assert first.json()["balance"] == 880
    assert (first.json()["captured"], first.json()["released"]) == (120, 180)
    assert refused(await club.post("agent", f"{hold}:capture")) == (409, "hold_ended")
    assert (await club.post("agent", f"{hold}:capture", {"points": 120})).json() == first.json()


async def test_more_than_is_held_cannot_be_captured(club: Club) -> None:
    await club.earn("M1", 1000)
    hold = await held(club)
    answer = await club.post("partner", f"{hold}:capture", {"points": 301})
    assert refused(answer) == (422, "amount_out_of_bounds")
    assert len((await club.get("M1", HOLDS))["items"]) == 1


@pytest.mark.parametrize("who", ["M1", "agent", "operator", "partner"])
async def test_owner_and_staff_release_a_hold(club: Club, who: str) -> None:
    await club.earn("M1", 1000)
    hold = await held(club)
    answer = await club.post(who, f"{hold}:release", {"reason": "rain"})
    assert (answer.json()["status"], answer.json()["balance"]) == ("released", 1000)
    again = await club.post(who, f"{hold}:release", {"reason": "rain"})
    assert again.json() == answer.json()
    capture = await club.post("partner", f"{hold}:capture")
    assert refused(capture) == (409, "hold_ended")
    assert capture.json()["ended"] == "released"


async def test_members_do_not_capture_and_nobody_touches_anothers_holds(club: Club) -> None:
    await club.earn("M1", 1000)
    hold = await held(club)
    assert refused(await club.post("M1", f"{hold}:capture")) == (403, "role_missing")
    assert refused(await club.post("M2", f"{hold}:release")) == (403, "not_your_member")
    assert refused(await club.ask("M2", "GET", HOLDS)) == (403, "not_your_member")
    body = {"points": 1, "purpose": "dinner"}
    assert refused(await club.post("M2", HOLDS, body)) == (403, "not_your_member")
    assert refused(await club.post("marketer", HOLDS, body)) == (403, "role_missing")


async def test_a_hold_nobody_placed_is_missing(club: Club) -> None:
    await club.earn("M1", 1000)
    path = f"{HOLDS}/hold_aaaaaaaaaaaaaaaaaaaaaaaa"
    for action in ("capture", "release"):
        answer = await club.post("agent", f"{path}:{action}")
        assert refused(answer) == (404, "unknown_hold")


async def test_a_redemptions_hold_ends_with_the_redemption_alone(club: Club) -> None:
    await club.earn("M1", 1000)
    id_ = "rdm_aaaaaaaaaaaaaaaaaaaaaaaa"
    until = START + 30 * MINUTE
    command = PlaceHold("M1", "k", id_, "base", 300, START, until, "redemption", "M1", "mug")
    await carry_out(club.wiring.ledger, club.wiring.rules.policy, command, "k", b"k")
    await club.start()
    for action in ("capture", "release"):
        answer = await club.post("agent", f"{HOLDS}/{id_}:{action}")
        assert refused(answer) == (409, "hold_of_redemption")
        assert answer.json()["reward_id"] == "mug"
    (listed,) = (await club.get("M1", HOLDS))["items"]
    assert (listed["hold_id"], listed["reward_id"]) == (id_, "mug")


async def test_a_hold_whose_time_is_over_cannot_be_captured_whoever_notices_first(
    club: Club,
) -> None:
    await club.earn("M1", 1000)
    hold = await held(club)
    club.clock.now += 30 * MINUTE
    for _ in range(2):  # nobody had written it down before the first of them
        answer = await club.post("partner", f"{hold}:capture")
        assert refused(answer) == (409, "hold_ended")
        assert answer.json()["ended"] == "timed_out"
    assert await club.balance("M1") == 1000
    assert await club.findings() == []


async def test_a_hold_that_times_out_while_it_is_captured_ends_once(club: Club) -> None:
    await club.earn("M1", 1000)
    hold = await held(club)
    until = club.clock.now + 30 * MINUTE
    await club.start()
    club.clock.now = until - 1

    async def duty() -> None:
        await asyncio.sleep(0)
        await club.processes[0].wiring.duties.run(until)

    first, _ = await asyncio.gather(club.post("partner", f"{hold}:capture"), duty())
    club.clock.now = until
    ended = first.json()["status" if first.status_code == 200 else "ended"]
    assert ended in ("captured", "timed_out")
    await club.start()
    assert await club.balance("M1") == (700 if ended == "captured" else 1000)
    assert await club.findings() == []


@pytest.mark.parametrize("processes", [1, 2])
async def test_of_a_hundred_captures_one_wins(any_club: Club, processes: int) -> None:
    club = any_club
    await club.earn("M1", 1000)
    hold = await held(club)
    while len(club.processes) < processes:
        await club.start()
    answers = await asyncio.gather(
        *(
            club.post(
                "partner",
                f"{hold}:capture",
                {"points": points},
                process=club.processes[points % processes],
            )
            for points in range(101, 201)
        )
    )
    won = [answer for answer in answers if answer.status_code == 200]
    lost = {refused(answer) for answer in answers if answer.status_code != 200}
    assert (len(won), lost) == (1, {(409, "hold_ended")})
    await club.start()
    assert await club.balance("M1") == 1000 - won[0].json()["captured"]
    assert await club.facts("M1") == 3


async def test_of_captures_and_releases_at_once_one_wins(club: Club) -> None:
    await club.earn("M1", 1000)
    hold = await held(club)
    actions = ("capture", "release") * 20
    answers = await asyncio.gather(*(club.post("agent", f"{hold}:{each}") for each in actions))
    done = {answer.json()["status"] for answer in answers if answer.status_code == 200}
    assert len(done) == 1
    assert await club.facts("M1") == 3


async def test_a_large_hold_asks_members_for_a_second_factor(club: Club) -> None:
    await club.earn("M1", 5000)
    body = {"points": 1001, "purpose": "weekend"}
    answer = await club.post("M1", HOLDS, body)
    assert refused(answer) == (403, "step_up_needed")
    assert (answer.json()["limit"], answer.json()["asked"]) == (1000, 1001)
    assert await club.facts("M1") == 1
    assert (await club.post("M1", HOLDS, {**body, "points": 1000})).status_code == 201
    assert (await club.post("M1+", HOLDS, body)).status_code == 201
    for who in ("agent", "operator", "partner"):
        assert (await club.post(who, HOLDS, {**body, "points": 1001})).status_code in (201, 409)


async def test_a_device_is_seen_so_often_and_only_for_what_comes_to_something(club: Club) -> None:
    for member in ("M1", "M2"):
        await club.earn(member, 1000)
    body = {"points": 100, "purpose": "dinner", "device_id": "phone-1"}
    poor = await club.post("M3", "/v1/members/M3/points/holds", body)
    assert refused(poor) == (409, "insufficient_points")
    statuses = []
    for member in ("M1", "M2", "M1"):
        answer = await club.post(member, f"/v1/members/{member}/points/holds", body, key="k-3")
        statuses.append(answer.status_code)
    assert statuses == [201, 201, 200]
    assert (await club.post("M1", HOLDS, body)).status_code == 201
    fourth = await club.post("M1", HOLDS, body)
    assert refused(fourth) == (429, "device_velocity")
    assert fourth.json()["possible_again_at"] == "2026-01-02T00:00:00Z"
    assert (await club.post("M1", HOLDS, {**body, "device_id": "phone-2"})).status_code == 201


async def test_what_is_imported_does_not_count_for_its_device(club: Club) -> None:
    await club.earn("M1", 1000)
    body = {"points": 1, "purpose": "dinner", "device_id": "till-1"}
    for _ in range(4):
        answer = await club.post("partner", HOLDS, {**body, "occurred_at": "2025-12-31T00:00:00Z"})
        assert answer.status_code == 201
    assert (await club.post("partner", HOLDS, body)).status_code == 201


async def test_points_are_not_held_for_a_while_after_contact_details_changed(club: Club) -> None:
    await club.earn("M1", 1000)
    await club.change_contact("M1")
    body = {"points": 100, "purpose": "dinner"}
    answer = await club.post("M1", HOLDS, body)
    assert refused(answer) == (409, "cooling_off")
    assert answer.json()["until"] == "2026-01-02T00:00:00Z"
    club.clock.now += DAY
    assert (await club.post("M1", HOLDS, body)).status_code == 201


async def test_what_left_an_account_lately_limits_what_may(club: Club) -> None:
    await club.earn("M1", 1000)
    body = {"points": 1, "purpose": "coffee"}
    for _ in range(20):
        assert (await club.post("M1", HOLDS, body)).status_code == 201
    answer = await club.post("M1", HOLDS, body)
    assert refused(answer) == (409, "limit_reached")
    assert answer.json()["limit"] == "velocity_times"
    assert answer.json()["again_at"] == "2026-01-02T00:00:00Z"


async def test_staff_import_the_past_and_members_do_not(club: Club) -> None:
    await club.earn("M1", 1000)
    was = from_micros(START - DAY).isoformat().replace("+00:00", "Z")
    body = {"points": 100, "purpose": "dinner", "occurred_at": was}
    answer = await club.post("partner", HOLDS, body)
    assert answer.json()["until"] == "2025-12-31T00:30:00Z"
    assert refused(await club.post("M1", HOLDS, body)) == (403, "time_not_allowed")
    for wrong in ("2026-01-01T01:00:00Z", "1989-12-31T00:00:00Z", "2025-12-31T00:00:00"):
        answer = await club.post("partner", HOLDS, {**body, "occurred_at": wrong})
        assert answer.status_code == 422
        assert [each["field"] for each in answer.json()["errors"]] == ["occurred_at"]


async def test_the_past_counts_from_the_accounts_own_clock(club: Club) -> None:
    await club.earn("M1", 1000)
    await held(club, 1, minutes=60)  # the account's clock stands at the present now
    hold = await held(club, 100, occurred_at="2025-12-30T00:00:00Z")
    answer = await club.post("partner", f"{hold}:capture", {"occurred_at": "2025-12-30T00:05:00Z"})
    assert (answer.status_code, answer.json()["captured"]) == (200, 100)
