"""Household pools over HTTP: who may do what, and that nothing is lost on the way."""

import pytest

from kit.clock import DAY
from services.points import rebuild
from tests.services.points.club import Club, refused

POOLS = "/v1/pools"


async def founded(club: Club, who: str = "M1") -> str:
    """Found a pool; return its path."""
    answer = await club.post(who, POOLS)
    assert answer.status_code == 201, answer.text
    return f"{POOLS}/{answer.json()['pool_id']}"


async def joined(club: Club, pool: str, member: str, role: str = "contributor") -> None:
    body = {"member_id": member, "role": role}
    assert (await club.post("M1", f"{pool}/members", body)).status_code == 200
    assert (await club.post(member, f"{pool}/members/{member}:join")).status_code == 200


async def family(club: Club) -> str:
    """M1 owns, M2 may spend, M3 may not; M1 put in 600, M3 300."""
    pool = await founded(club)
    await joined(club, pool, "M2", "spender")
    await joined(club, pool, "M3")
    for member, points in (("M1", 600), ("M3", 300)):
        await club.earn(member, 1000)
        answer = await club.post(member, f"{pool}/contributions", {"points": points})
        assert answer.status_code == 201, answer.text
    await club.follow()
    return pool


def owner(pool: str) -> str:
    return f"@{pool.removeprefix(f'{POOLS}/')}"


async def test_a_pool_is_founded_once_for_a_request(club: Club) -> None:
    first = await club.post("M1", POOLS, key="k")
    again = await club.post("M1", POOLS, key="k")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.json()["pool_id"].startswith("pool_")
    assert first.json()["members"] == [
        {
            "member_id": "M1",
            "role": "owner",
            "status": "joined",
            "contributed": 0,
            "fair_share": [],
        }
    ]
    other = await club.post("M2", POOLS, key="k")
    assert other.json()["pool_id"] != first.json()["pool_id"]


async def test_what_is_put_in_is_shown_with_everybodys_share(club: Club) -> None:
    pool = await family(club)
    shown = await club.get("M2", pool)
    assert shown["wallets"] == [{"wallet": "base", "points": 900}]
    assert [
        (each["member_id"], each["role"], each["contributed"], each["fair_share"])
        for each in shown["members"]
    ] == [
        ("M1", "owner", 600, [{"wallet": "base", "points": 600}]),
        ("M2", "spender", 0, []),
        ("M3", "contributor", 300, [{"wallet": "base", "points": 300}]),
    ]
    assert await club.get("agent", pool) == shown
    assert await club.findings() == []


async def test_a_contribution_is_made_once_for_a_request(club: Club) -> None:
    pool = await founded(club)
    await club.earn("M1", 300)
    path, body = f"{pool}/contributions", {"points": 300}
    first = await club.post("M1", path, body, key="k")
    entries = await club.wiring.entries.unpublished()
    await club.wiring.follower.handle(entries)  # and dies before it can say so
    await club.start()
    again = await club.post("M1", path, body, key="k")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert (first.json()["status"], first.json()["receiver"]) == ("arriving", owner(pool))
    other = await club.post("M1", path, {"points": 299}, key="k")
    assert refused(other) == (409, "idempotency_key_reused")
    await club.follow(twice=True)
    assert (await club.balance("M1"), await club.balance(owner(pool))) == (0, 300)
    assert await club.findings() == []


@pytest.mark.parametrize(("who", "allowed"), [("M1", True), ("M2", True), ("M3", False)])
async def test_who_spends_depends_on_the_role(club: Club, who: str, allowed: bool) -> None:
    pool = await family(club)
    answer = await club.post(who, f"{pool}/transfers", {"to": "M2", "points": 200})
    await club.follow()
    there = (await club.balance(owner(pool)), await club.balance("M2"))
    if allowed:
        assert (answer.status_code, answer.json()["sender"]) == (201, owner(pool))
        assert there == (700, 200)
    else:
        assert refused(answer) == (403, "pool_role_missing")
        assert there == (900, 0)
    assert await club.findings() == []


async def test_points_leave_a_pool_for_its_members_alone(club: Club) -> None:
    pool = await family(club)
    assert (await club.post("M1", f"{pool}/members", {"member_id": "M5"})).status_code == 200
    for to in ("M4", "M5"):  # a stranger, and one who was invited and has not joined
        answer = await club.post("M1", f"{pool}/transfers", {"to": to, "points": 200})
        assert refused(answer) == (409, "not_joined")
    assert await club.balance(owner(pool)) == 900


async def test_strangers_see_and_do_nothing_whether_there_is_a_pool_or_not(club: Club) -> None:
    pool = await family(club)
    await club.earn("M4", 500)
    for path in (pool, f"{POOLS}/pool_aaaaaaaaaaaaaaaaaaaaaaaa"):
        for answer in (
            await club.ask("M4", "GET", path),
            await club.ask("M4", "GET", f"{path}/statement"),
            await club.post("M4", f"{path}/contributions", {"points": 100}),
            await club.post("M4", f"{path}/transfers", {"to": "M4", "points": 100}),
            await club.post("M4", f"{path}/members", {"member_id": "M4"}),
        ):
            assert refused(answer) == (403, "not_in_pool")
        assert refused(await club.post("M4", f"{path}/members/M4:join")) == (
            404,
            "unknown_invitation",
        )
    assert refused(await club.ask("agent", "GET", path)) == (404, "unknown_pool")
    assert refused(await club.ask("partner", "GET", pool)) == (403, "role_missing")
    assert (await club.balance("M4"), await club.balance(owner(pool))) == (500, 900)


async def test_only_the_owner_invites_and_only_oneself_joins(club: Club) -> None:
    pool = await family(club)
    answer = await club.post("M2", f"{pool}/members", {"member_id": "M4"})
    assert refused(answer) == (403, "pool_role_missing")
    body = {"member_id": "M4", "role": "owner"}
    assert refused(await club.post("M1", f"{pool}/members", body)) == (422, "invalid_request")
    await club.post("M1", f"{pool}/members", {"member_id": "M4"})
    assert refused(await club.post("M1", f"{pool}/members/M4:join")) == (403, "not_your_member")
    await club.earn("M4", 100)
    early = await club.post("M4", f"{pool}/contributions", {"points": 50})
    assert refused(early) == (409, "not_joined")
    assert (await club.post("M4", f"{pool}/members/M4:join")).status_code == 200


async def test_who_leaves_takes_their_share_home_once(club: Club) -> None:
    pool = await family(club)
    await club.post("M1", f"{pool}/transfers", {"to": "M2", "points": 100})
    answers = [await club.post("M3", f"{pool}/members/M3:leave", key="k") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["taken_home"] == [{"wallet": "base", "points": 266}]
    await club.follow(twice=True)
    assert await club.balance("M3") == 700 + 266
    assert await club.balance(owner(pool)) == 800 - 266
    assert refused(await club.ask("M3", "GET", pool)) == (403, "not_in_pool")
    assert await club.findings() == []


async def test_the_owner_has_others_leave_and_leaves_last_with_what_remains(club: Club) -> None:
    pool = await family(club)
    assert refused(await club.post("M2", f"{pool}/members/M3:leave")) == (403, "pool_role_missing")
    early = await club.post("M1", f"{pool}/members/M1:leave")
    assert refused(early) == (409, "limit_reached")
    for member in ("M2", "M3"):
        assert (await club.post("M1", f"{pool}/members/{member}:leave")).status_code == 200
        await club.follow()
    last = await club.post("M1", f"{pool}/members/M1:leave")
    assert last.json()["taken_home"] == [{"wallet": "base", "points": 600}]
    await club.follow()
    ends = [await club.balance(each) for each in ("M1", "M3", owner(pool))]
    assert ends == [1000, 1000, 0]
    assert refused(await club.ask("agent", "GET", pool)) == (404, "unknown_pool")
    assert await club.findings() == []


async def test_a_retry_after_leaving_still_gets_its_first_answer(club: Club) -> None:
    pool = await family(club)
    club.clock.now += DAY  # the pool has been paid as often as a payee may be
    first = await club.post("M3", f"{pool}/contributions", {"points": 10}, key="k")
    await club.follow()
    await club.post("M3", f"{pool}/members/M3:leave")
    again = await club.post("M3", f"{pool}/contributions", {"points": 10}, key="k")
    assert (again.status_code, again.json()) == (200, first.json())


async def test_what_comes_too_late_for_a_pool_goes_back(club: Club) -> None:
    pool = await family(club)
    await club.post("M3", f"{pool}/contributions", {"points": 100})
    await club.post("M3", f"{pool}/members/M3:leave")  # before the contribution has arrived
    await club.follow()
    assert await club.balance("M3") == 1000
    assert await club.balance(owner(pool)) == 600
    assert await club.findings() == []


async def test_a_member_finds_their_pools_and_the_rebuild_finds_the_same(club: Club) -> None:
    first, second = await founded(club), await founded(club)
    await joined(club, first, "M2", "spender")
    await club.post("M1", f"{second}/members", {"member_id": "M2"})
    await club.follow(twice=True)
    expected = sorted(
        [
            (first.removeprefix(f"{POOLS}/"), "spender", "joined"),
            (second.removeprefix(f"{POOLS}/"), "contributor", "invited"),
        ]
    )

    async def listed(member: str) -> list[tuple[str, str, str]]:
        items = (await club.get(member, f"/v1/members/{member}/pools"))["items"]
        return [(each["pool_id"], each["role"], each["status"]) for each in items]

    assert await listed("M2") == expected
    page = await club.get("M2", "/v1/members/M2/pools?limit=1")
    rest = await club.get("M2", f"/v1/members/M2/pools?limit=1&cursor={page['next']}")
    assert [page["items"][0]["pool_id"], rest["items"][0]["pool_id"]] == [p[0] for p in expected]
    await club.post("M2", f"{first}/members/M2:leave")
    await club.follow(twice=True)
    assert await listed("M2") == [each for each in expected if each[2] == "invited"]
    await rebuild.rebuild(club.wiring)
    assert await listed("M2") == [each for each in expected if each[2] == "invited"]
    assert refused(await club.ask("M3", "GET", "/v1/members/M2/pools")) == (403, "not_your_member")


async def test_the_pools_statement_is_for_its_members(club: Club) -> None:
    pool = await family(club)
    await club.post("M2", f"{pool}/transfers", {"to": "M2", "points": 200})
    lines = (await club.get("M3", f"{pool}/statement?limit=2"))["items"]
    assert [(each["kind"], each["changes"][0]["change"]) for each in lines] == [
        ("transfer_out", -200),
        ("transfer_in", 300),
    ]


async def test_large_amounts_ask_for_a_second_factor_in_and_out(club: Club) -> None:
    pool = await founded(club)
    await club.earn("M1", 5000)
    body = {"points": 1001}
    assert refused(await club.post("M1", f"{pool}/contributions", body)) == (403, "step_up_needed")
    assert (await club.post("M1+", f"{pool}/contributions", body)).status_code == 201
    await club.follow()
    out = {"to": "M1", "points": 1001}
    assert refused(await club.post("M1", f"{pool}/transfers", out)) == (403, "step_up_needed")
    assert (await club.post("M1+", f"{pool}/transfers", out)).status_code == 201


@pytest.mark.parametrize("points", [0, -1, 2**53, 1.5, "5"])
async def test_amounts_that_are_none_are_refused(club: Club, points: object) -> None:
    pool = await founded(club)
    for path, more in (("contributions", {}), ("transfers", {"to": "M1"})):
        answer = await club.post("M1", f"{pool}/{path}", {"points": points, **more})
        assert refused(answer) == (422, "invalid_request")
        assert [each["field"] for each in answer.json()["errors"]] == ["points"]


async def test_a_day_later_the_pool_is_the_same(club: Club) -> None:
    pool = await family(club)
    before = await club.get("M1", pool)
    club.clock.now += DAY
    await club.wiring.duties.run()
    await club.start()
    assert await club.get("M1", pool) == before


async def test_a_pool_is_no_way_around_the_limits_of_a_payee(club: Club) -> None:
    pool = await family(club)
    contribution = await club.post("M1", f"{pool}/contributions", {"points": 10})
    assert refused(contribution) == (429, "payee_velocity")
    body = {"to": "M2", "points": 10}
    assert (await club.post("M1", f"{pool}/transfers", body)).status_code == 201
    assert (await club.post("M2", f"{pool}/transfers", body)).status_code == 201
    assert refused(await club.post("M2", f"{pool}/transfers", body)) == (429, "payee_velocity")
    direct = await club.post("M1", "/v1/members/M1/points/transfers", body)
    assert refused(direct) == (429, "payee_velocity")
    club.clock.now += DAY
    assert (await club.post("M2", f"{pool}/transfers", body)).status_code == 201
