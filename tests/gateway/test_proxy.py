"""What a service gets, and what comes back from it."""

import asyncio
import gzip
import time
from typing import Any

import httpx
import pytest

from gateway.settings import Limits
from tests.gateway.conftest import WAYS, House, Seen, answering, hanging, listening

pytestmark = pytest.mark.parametrize("way", WAYS)


@pytest.mark.parametrize(
    ("role", "method", "path", "service", "arrives_as"),
    [
        ("agent", "POST", "/v1/activities", "events", "/v1/activities"),
        ("agent", "POST", "/v1/activities:batch", "events", "/v1/activities:batch"),
        ("agent", "GET", "/v1/activities/a1/decision", "events", "/v1/activities/a1/decision"),
        ("agent", "GET", "/v1/members/M1/activities", "events", "/v1/members/M1/activities"),
        ("agent", "GET", "/v1/members/M1/activities/a", "events", "/v1/members/M1/activities/a"),
        ("agent", "GET", "/v1/members/M1/points", "points", "/v1/members/M1/points"),
        (
            "agent",
            "GET",
            "/v1/members/M1/points/statement",
            "points",
            "/v1/members/M1/points/statement",
        ),
        ("agent", "POST", "/v1/members/M1/points:adjust", "points", "/v1/members/M1/points:adjust"),
        ("agent", "GET", "/v1/members", "members", "/v1/members"),
        ("agent", "GET", "/v1/members:summary", "members", "/v1/members:summary"),
        ("agent", "POST", "/v1/members:batch", "members", "/v1/members:batch"),
        ("agent", "GET", "/v1/members/points", "members", "/v1/members/points"),
        ("agent", "GET", "/v1/members/M1/stage", "members", "/v1/members/M1/stage"),
        ("agent", "GET", "/v1/members/M1/pointsx", "members", "/v1/members/M1/pointsx"),
        ("agent", "GET", "/v1/members/me/points", "points", "/v1/members/me/points"),
        ("member", "GET", "/v1/me", "members", "/v1/members/M1"),
        ("member", "GET", "/v1/me/card", "members", "/v1/members/M1/card"),
        ("member", "GET", "/v1/me/points", "points", "/v1/members/M1/points"),
        ("member", "GET", "/v1/me/points/statement", "points", "/v1/members/M1/points/statement"),
        ("member", "GET", "/v1/me/activities", "events", "/v1/members/M1/activities"),
    ],
)
async def test_each_path_goes_to_its_service(
    house: House, role: str, method: str, path: str, service: str, arrives_as: str
):
    answer = await house.client.request(method, path, headers=house.headers(role))
    assert (answer.status_code, answer.json()["service"]) == (200, service)
    assert house.asked() == [(service, arrives_as)]


async def test_a_request_arrives_as_it_was_sent(house: House):
    query = "limit=5&cursor=a%2Fb%3D&x=%C3%A9"
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    headers = house.headers("agent") | {
        "content-type": "application/json; charset=utf-8",
        "idempotency-key": "k-1",
        "accept-language": "zh",
        "traceparent": trace,
        "x-request-id": "r-1",
    }
    body = '{"amount": 1, "note": "é"}'.encode()
    await house.client.post(f"/v1/activities?{query}", content=body, headers=headers)
    (seen,) = house.services["events"].seen
    assert (seen.method, seen.query, seen.body) == ("POST", query, body)
    for name, value in headers.items():
        assert seen.headers[name] == value
    assert seen.headers["content-length"] == str(len(body))
    assert seen.headers["x-forwarded-for"] == "127.0.0.1"


async def test_what_concerns_one_hop_or_only_the_gateway_is_not_passed_on(house: House):
    headers = house.headers() | {
        "connection": "keep-alive, x-secret, authorization",
        "x-secret": "1",
        "keep-alive": "timeout=5",
        "te": "trailers",
        "proxy-authorization": "Basic x",
        "cookie": "session=1",
        "x-forwarded-for": "8.8.8.8",
        "x-forwarded-host": "evil.example",
        "forwarded": "for=8.8.8.8",
        "x-real-ip": "8.8.8.8",
    }
    await house.client.get("/v1/me/points", headers=headers)
    (seen,) = house.services["points"].seen
    assert sorted(seen.headers) == [
        "accept",
        "accept-encoding",
        "authorization",
        "host",
        "traceparent",
        "user-agent",
        "x-forwarded-for",
        "x-request-id",
    ]
    assert seen.headers["x-forwarded-for"] == "127.0.0.1"
    assert seen.headers["authorization"] == headers["authorization"]


async def test_an_answer_comes_back_as_it_was_given(house: House):
    given = {
        "location": "/v1/activities/a1",
        "etag": '"7"',
        "x-odd": "é",
        "cache-control": "no-store",
    }
    extra = {"connection": "x-hop", "x-hop": "1", "set-cookie": "a=1", "server": "uvicorn"}
    house.services["events"].answer = answering(201, {"id": "a1"}, given | extra)
    answer = await house.client.post("/v1/activities", headers=house.headers(), content=b"{}")
    assert (answer.status_code, answer.json()) == (201, {"id": "a1"})
    for name, value in given.items():
        assert answer.headers[name] == value
    assert not set(extra) & set(answer.headers)


async def test_a_services_problem_is_passed_back_untouched(house: House):
    document = {"code": "invalid_request", "errors": [{"field": "amount"}]}
    problem = {"content-type": "application/problem+json"}
    house.services["events"].answer = answering(422, document, problem)
    answer = await house.client.post("/v1/activities", headers=house.headers(), content=b"{}")
    assert (answer.status_code, answer.json()) == (422, document)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_redirect_is_passed_back_and_never_followed(house: House):
    house.services["points"].answer = answering(302, {}, {"location": "http://169.254.169.254/"})
    answer = await house.client.get("/v1/me/points", headers=house.headers())
    assert answer.status_code == 302
    assert len(house.asked()) == 1


async def test_a_compressed_answer_stays_compressed(house: House):
    async def zipped(_: Seen) -> tuple[int, dict[str, str], bytes]:
        return 200, {"content-encoding": "gzip", "content-type": "text/plain"}, gzip.compress(b"hi")

    house.services["points"].answer = zipped
    answer = await house.client.get("/v1/me/points", headers=house.headers())
    assert (answer.headers["content-encoding"], answer.text) == ("gzip", "hi")


async def test_large_bodies_stream_through_both_ways(house: House):
    async def double(seen: Seen) -> tuple[int, dict[str, str], bytes]:
        return 200, {"content-type": "application/octet-stream"}, seen.body * 2

    house.services["events"].answer = double
    block = bytes(range(256)) * 1024

    async def chunks() -> Any:
        for _ in range(20):
            yield block

    answer = await house.client.post(
        "/v1/activities:batch", headers=house.headers("agent"), content=chunks()
    )
    assert answer.content == block * 40


async def test_a_head_request_gets_headers_alone(house: House):
    answer = await house.client.head("/v1/me/points", headers=house.headers())
    assert (answer.status_code, answer.content) == (200, b"")
    assert house.services["points"].seen[0].method == "HEAD"


class TestTrouble:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(upstream_ms=250, batch_ms=800, in_flight=2, home_part_ms=100)

    async def test_a_service_that_is_down_is_named_and_the_others_go_on(self, house: House):
        house.take_down("points")
        answer = await house.client.get("/v1/me/points", headers=house.headers())
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert (answer.json()["code"], answer.json()["part"]) == ("upstream_down", "points")
        assert "9" not in answer.json()["detail"]
        answer = await house.client.get("/v1/me/activities", headers=house.headers())
        assert answer.status_code == 200

    async def test_a_service_that_is_slow_ends_in_a_timeout_that_names_it(self, house: House):
        release = asyncio.Event()
        house.services["points"].answer = hanging(release)
        began = time.monotonic()
        found = await house.problem(504, "GET", "/v1/me/points")
        assert 0.2 < time.monotonic() - began < 2
        assert (found["code"], found["part"]) == ("upstream_timeout", "points")
        release.set()

    async def test_a_batch_has_more_time(self, house: House):
        async def slow(_: Seen) -> tuple[int, dict[str, str], bytes]:
            await asyncio.sleep(0.4)
            return 200, {}, b"{}"

        house.services["events"].answer = slow
        headers = house.headers("agent")
        answer = await house.client.post("/v1/activities:batch", headers=headers, content=b"[]")
        assert answer.status_code == 200
        found = await house.problem(504, "POST", "/v1/activities", headers=headers, content=b"{}")
        assert found["part"] == "events"

    async def test_a_body_that_does_not_arrive_is_not_the_services_fault(self, house: House):
        async def slow_chunks() -> Any:
            yield b" "
            await asyncio.sleep(1)
            yield b" "

        found = await house.problem(504, "POST", "/v1/activities", content=slow_chunks())
        assert found["code"] == "body_too_slow"

    async def test_a_caller_that_sends_headers_and_no_body_does_not_keep_its_place(
        self, house: House
    ):
        token = house.headers()["authorization"]
        async with listening(house.app) as url:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            head = f"POST /v1/activities HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n"
            writer.write(f"{head}Content-Length: 10\r\n\r\n".encode())
            status = await reader.readline()
            writer.close()
        assert status.startswith(b"HTTP/1.1 504")
        assert house.parts.upstreams["events"].in_flight.now == 0
        assert house.asked() == []

    @pytest.mark.parametrize("sent", [b"", b"12345"])
    async def test_a_body_that_its_caller_gave_up_on_is_never_sent_on_as_if_whole(
        self, house: House, sent: bytes
    ):
        token = house.headers()["authorization"]
        async with listening(house.app) as url:
            _, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            head = f"POST /v1/activities HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n"
            writer.write(f"{head}Content-Length: 10\r\n\r\n".encode() + sent)
            await writer.drain()
            while not house.parts.upstreams["events"].in_flight.now:
                await asyncio.sleep(0.005)
            writer.close()
            while house.parts.upstreams["events"].in_flight.now:
                await asyncio.sleep(0.005)
        assert [one.body for one in house.services["events"].seen] == []

    async def test_more_than_the_bound_under_way_is_turned_away_and_only_to_that_service(
        self, house: House
    ):
        release = asyncio.Event()
        house.services["points"].answer = hanging(release)

        async def ask() -> httpx.Response:
            return await house.client.get("/v1/me/points", headers=house.headers())

        waiting = [asyncio.create_task(ask()) for _ in range(2)]
        while len(house.services["points"].seen) < 2:
            await asyncio.sleep(0.005)
        third = await ask()
        assert (third.status_code, third.json()["code"]) == (503, "overloaded")
        assert third.headers["retry-after"] == "1"
        other = await house.client.get("/v1/me/activities", headers=house.headers())
        assert other.status_code == 200
        release.set()
        assert [(await one).status_code for one in waiting] == [200, 200]
        assert (await ask()).status_code == 200


async def test_requests_are_counted_by_the_line_of_the_table(house: House):
    await house.client.get("/v1/me/points/statement", headers=house.headers())
    metrics = (await house.client.get("/metrics")).text
    assert 'route="/v1/members/{member_id}/points/*",service="gateway",status="200"' in metrics


async def test_ten_megabytes_over_a_real_connection_get_an_answer(house: House):
    async with listening(house.app) as url, httpx.AsyncClient(base_url=url) as client:
        answer = await client.post(
            "/v1/activities", headers=house.headers(), content=b" " * 10_000_000
        )
        assert answer.status_code == 413
        assert (await client.get("/v1/me/points", headers=house.headers())).status_code == 200
