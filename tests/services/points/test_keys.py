"""Sent again under its key every write is the same write; with another content it is none."""

from tests.services.points.club import Club, refused

HOLDS, POOLS = "/v1/members/M1/points/holds", "/v1/pools"
SENT = "/v1/members/M1/points/transfers"
REUSED = (409, "idempotency_key_reused")


async def twice(club: Club, who: str, path: str, body: dict[str, object]) -> None:
    """Ask under one key in two processes; the account has moved once, and the answer is one."""
    first = await club.post(who, path, body, key=path)
    assert first.status_code in (200, 201), first.text
    await club.start()
    again = await club.post(who, path, body, key=path)
    assert (again.status_code, again.json()) == (200, first.json())


async def pool_of_two(club: Club) -> str:
    await club.earn("M1", 1000)
    pool = f"{POOLS}/{(await club.post('M1', POOLS)).json()['pool_id']}"
    await twice(club, "M1", f"{pool}/members", {"member_id": "M2", "role": "spender"})
    return pool


async def test_every_step_of_a_pool_is_taken_once(club: Club) -> None:
    pool = await pool_of_two(club)
    await twice(club, "M2", f"{pool}/members/M2:join", {})
    await twice(club, "M1", f"{pool}/contributions", {"points": 100})
    await club.follow()
    await twice(club, "M2", f"{pool}/transfers", {"to": "M2", "points": 30})
    await club.follow()
    facts = await club.facts(f"@{pool.rpartition('/')[2]}")
    await twice(club, "M2", f"{pool}/members/M2:leave", {})
    assert await club.facts(f"@{pool.rpartition('/')[2]}") == facts + 1
    assert await club.findings() == []


async def test_another_content_under_a_key_of_a_pool_is_a_conflict(club: Club) -> None:
    pool = await pool_of_two(club)
    other = {"member_id": "M3", "role": "spender"}
    assert refused(await club.post("M1", f"{pool}/members", other, key=f"{pool}/members")) == REUSED
    leave = await club.post("M1", f"{pool}/members/M2:leave", key=f"{pool}/members")
    assert refused(leave) == REUSED
    assert [each["member_id"] for each in (await club.get("M1", pool))["members"]] == ["M1", "M2"]


async def test_every_end_of_a_hold_a_transfer_and_a_correction_is_the_same_again(
    club: Club,
) -> None:
    await club.earn("M1", 1000)
    for action, body in (("capture", {"points": 4}), ("release", {"reason": "no"})):
        asked = {"points": 10, "purpose": "dinner"}
        hold = (await club.post("agent", HOLDS, asked, key=action)).json()["hold_id"]
        await twice(club, "agent", f"{HOLDS}/{hold}:{action}", body)
    for action, who in (("accept", "M2"), ("decline", "M2"), ("withdraw", "M1")):
        asked = {"to": "M2", "points": 10}
        id_ = (await club.post("agent", SENT, asked, key=action)).json()["transfer_id"]
        path = f"/v1/members/{who}/points/transfers/{id_}:{action}"
        await twice(club, who, path, {} if who == "M1" else {"sender": "M1"})
        club.clock.now += 24 * 3_600_000_000
    corrections = "/v1/members/M1/points/adjustments"
    for action, body in (("approve", {}), ("reject", {"reason": "No"})):
        asked = {"points": 700, "reason": "goodwill"}
        id_ = (await club.post("agent", corrections, asked, key=action)).json()["request_id"]
        await twice(club, "operator", f"{corrections}/{id_}:{action}", body)
    await club.follow()
    assert await club.findings() == []
    assert await club.balance("M1") == 1000 - 4 - 10 + 700
