"""The home screen: put together at once, and degrading part by part."""

import asyncio
import time
from typing import Any

import pytest

from gateway.settings import Limits
from tests.gateway.conftest import WAYS, House, Seen, answering, hanging

CARD = {"member_id": "M1", "tier": "silver", "stage": "satisfaction"}
POINTS = {"member_id": "M1", "wallets": [{"wallet": "base", "balance": 1250}]}
RECENT = {"items": [{"type": "visit", "occurred_at": "2026-03-01T09:30:00Z"}], "next": None}
WHOLE = {
    "member": CARD,
    "points": POINTS,
    "stage": "satisfaction",
    "recent": RECENT["items"],
    "unavailable": [],
}
pytestmark = pytest.mark.parametrize("way", WAYS)
PART_OF = {"members": "member", "points": "points", "events": "recent"}


@pytest.fixture
def full(house: House) -> House:
    house.services["members"].answer = answering(200, CARD)
    house.services["points"].answer = answering(200, POINTS)
    house.services["events"].answer = answering(200, RECENT)
    return house


def without(part: str) -> dict[str, Any]:
    lost = {part: None, "unavailable": [part]} | ({"stage": None} if part == "member" else {})
    return WHOLE | lost


async def home(house: House) -> dict[str, Any]:
    answer = await house.client.get("/v1/me/home", headers=house.headers())
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    document: dict[str, Any] = answer.json()
    return document


async def test_home_is_put_together_from_three_services(full: House):
    assert await home(full) == WHOLE
    assert sorted(full.asked()) == [
        ("events", "/v1/members/M1/activities"),
        ("members", "/v1/members/M1/card"),
        ("points", "/v1/members/M1/points"),
    ]
    assert full.services["events"].seen[0].query == "limit=5"
    tokens = {service.seen[0].headers["authorization"] for service in full.services.values()}
    traces = {service.seen[0].headers["traceparent"] for service in full.services.values()}
    assert (tokens, len(traces)) == ({full.headers()["authorization"]}, 1)


async def test_the_services_are_asked_at_once(full: House):
    release = asyncio.Event()
    for service in full.services.values():
        service.answer = hanging(release)
    asking = asyncio.create_task(home(full))
    while len(full.asked()) < 3:
        await asyncio.sleep(0.005)
    release.set()
    assert (await asking)["unavailable"] == []


@pytest.mark.parametrize("service", PART_OF)
async def test_a_part_that_is_down_is_named_and_the_rest_is_there(full: House, service: str):
    full.take_down(service)
    assert await home(full) == without(PART_OF[service])


class TestHanging:
    """Where parts have little time; elsewhere they have plenty, for a busy machine."""

    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(home_part_ms=600)

    @pytest.mark.parametrize("service", PART_OF)
    async def test_a_part_that_hangs_is_left_out_in_time(self, full: House, service: str):
        release = asyncio.Event()
        full.services[service].answer = hanging(release)
        began = time.monotonic()
        assert await home(full) == without(PART_OF[service])
        assert 0.55 < time.monotonic() - began < 5
        release.set()


@pytest.mark.parametrize("service", PART_OF)
@pytest.mark.parametrize("status", [302, 401, 403, 429, 500, 503])
async def test_a_part_that_answers_anything_else_is_left_out(
    full: House, service: str, status: int
):
    full.services[service].answer = answering(status, {"detail": "no"})
    assert await home(full) == without(PART_OF[service])


@pytest.mark.parametrize("content", ["text", [1], None])
async def test_a_part_that_is_no_document_is_left_out(full: House, content: Any):
    full.services["points"].answer = answering(200, content)
    assert await home(full) == without("points")


@pytest.mark.parametrize("body", [b"", b"{", b'{"a": "\xff"}', b'{"a":' * 5000, b"NaN"])
async def test_a_part_that_cannot_be_read_is_left_out(full: House, body: bytes):
    async def garbage(_: Seen) -> tuple[int, dict[str, str], bytes]:
        return 200, {"content-type": "application/json"}, body

    full.services["points"].answer = garbage
    assert await home(full) == without("points")


async def test_a_large_part_is_read_to_its_end_and_an_absurd_one_is_left_out(full: House):
    large = POINTS | {"note": "x" * 200_000}
    full.services["points"].answer = answering(200, large)
    assert await home(full) == WHOLE | {"points": large}
    full.services["points"].answer = answering(200, POINTS | {"note": "x" * 300_000})
    assert await home(full) == without("points")


async def test_a_part_whose_service_has_no_room_is_left_out(full: House):
    full.parts.upstreams["events"].in_flight.now = 256
    assert await home(full) == without("recent")


async def test_several_parts_may_be_missing(full: House):
    full.services["points"].answer = answering(500, {})
    full.services["events"].answer = answering(500, {})
    found = await home(full)
    assert (found["member"], found["unavailable"]) == (CARD, ["points", "recent"])


async def test_a_home_without_any_part_is_unavailable(full: House):
    for service in full.services.values():
        service.answer = answering(500, {})
    assert (await full.problem(503, "GET", "/v1/me/home"))["code"] == "home_unavailable"


async def test_a_member_nobody_knows_has_no_home(full: House):
    full.services["members"].answer = answering(404, {})
    assert (await full.problem(404, "GET", "/v1/me/home"))["code"] == "no_such_member"


async def test_nothing_earned_and_nothing_done_yet_is_no_outage(full: House):
    full.services["points"].answer = answering(404, {})
    full.services["events"].answer = answering(404, {})
    assert await home(full) == WHOLE | {"points": None, "recent": None}


async def test_staff_see_a_members_home_and_other_members_do_not(full: House):
    answer = await full.client.get("/v1/members/M1/home", headers=full.headers("agent"))
    assert answer.json() == WHOLE
    own = await full.client.get("/v1/members/M1/home", headers=full.headers())
    assert own.json() == WHOLE
    asked = len(full.asked())
    await full.problem(403, "GET", "/v1/members/M2/home")
    assert len(full.asked()) == asked
