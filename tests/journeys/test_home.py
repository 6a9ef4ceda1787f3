"""The home screen when a part of the platform is out."""

import httpx
import pytest

from tests.journeys.bodies import accepted, enrol, purchase
from tests.journeys.reading import balances
from tests.journeys.running import Running, without

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_home_shows_what_is_there_and_names_what_is_not(
    platform: Running, till: httpx.AsyncClient, member: str
) -> None:
    await enrol(till, member)
    await accepted(till, purchase(member, "1", "2025-02-01T12:00:00Z", 1_000))
    await platform.settled()
    whole = await platform.get("/v1/me/home", "member", member)
    parts = {"members-api": "member", "points-api": "points", "events-api": "recent"}
    for process, part in parts.items():
        async with without(platform, process):
            home = await platform.get("/v1/me/home", "member", member)
        lost = {part: None, "unavailable": [part]} | ({"stage": None} if part == "member" else {})
        assert home == _timeless(whole | lost, home)
    async with without(platform, *parts), platform.client("member", member) as app:
        nothing = await app.get("/v1/me/home")
    assert (nothing.status_code, nothing.json()["code"]) == (503, "home_unavailable")
    again = await platform.get("/v1/me/home", "member", member)
    assert again == _timeless(whole, again)


def _timeless(expected: dict[str, object], found: dict[str, object]) -> dict[str, object]:
    """The balances say as of when they are, and that is another moment each time."""
    points = expected["points"]
    if isinstance(points, dict) and isinstance(found["points"], dict):
        return expected | {"points": points | {"as_of": found["points"]["as_of"]}}
    return expected


async def test_intake_goes_on_while_a_worker_is_out_and_the_backlog_drains_after_it(
    platform: Running, till: httpx.AsyncClient, member: str
) -> None:
    await enrol(till, member)
    for number, worker in enumerate(("members-worker", "events-worker", "points-worker"), 1):
        async with without(platform, worker):
            await accepted(till, purchase(member, str(number), "2025-02-01T12:00:00Z", 1_000))
    await platform.settled()
    assert await balances(platform, member) == {"base": 30, "tier": 30}
    await platform.verified()


async def test_a_service_that_is_out_is_a_503_that_says_which_and_when_to_come_back(
    platform: Running, till: httpx.AsyncClient, member: str
) -> None:
    async with without(platform, "events-api"):
        answer = await till.post(
            "/v1/activities", json=purchase(member, "1", "2025-02-01T12:00:00Z", 1_000)
        )
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert "retry-after" in answer.headers
    assert "events" in str(answer.json())
