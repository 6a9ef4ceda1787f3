"""What is turned away, and that no service hears of it."""

from typing import Any

import pytest
from joserfc.jwk import ECKey

from gateway.settings import Limits
from kit.auth import LocalIssuer
from tests.gateway.conftest import ISSUER, House

CHUNK = b" " * 64 * 1024


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.mark.parametrize("path", ["/v1", "/v1/nowhere", "/v1/activitiesx", "/v2/members", "/x"])
async def test_a_path_that_is_not_public_is_not_found(house: House, path: str):
    assert (await house.problem(404, "GET", path))["code"] == "no_such_path"
    assert house.asked() == []


@pytest.mark.parametrize(
    "raw",
    [
        "//v1/members/M1",
        "/v1//members/M1",
        "/v1/members//points",
        "/v1/members/M1/",
        "/v1/members/M1/../M2",
        "/v1/members/M1/..%2FM2",
        "/v1/members/./M1",
        "/v1/members/M1/%2e%2e/M2",
        "/v1/members/M1/%2E%2E/M2",
        "/v1/members/M1%2Fpoints",
        "/v1/members/M1%2fpoints",
        "/v1/members/M1%5Cpoints",
        "/v1/members/M1\\points",
        "/v1/members/M1%00",
        "/v1/members/M1%0D%0AX:%20y",
        "/v1/members/%4D1",
        "/v1/members/M1%252Fpoints",
        "/v1/members/M1;v=1",
        "/%761/me/home",
        "/v1%2Fme%2Fhome",
        "/v1/members/M1%",
        "/v1/members/M\u00e9",
    ],
)
async def test_a_path_that_could_be_read_in_two_ways_is_refused(house: House, raw: str):
    scope_path = raw.encode("utf-8")
    answered = await asgi_get(house, scope_path, house.headers())
    assert answered == 400
    assert house.asked() == []


async def asgi_get(house: House, raw_path: bytes, headers: dict[str, str]) -> int:
    """Send a path exactly as it is; client libraries tidy it up."""
    status = 0

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "method": "GET",
        "path": "/v1/me/home",
        "raw_path": raw_path,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    await house.app(scope, receive, send)  # type: ignore[arg-type]
    return status


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/v1/members/M1/home", "GET, HEAD"),
        ("GET", "/v1/activities:batch", "DELETE, PATCH, POST, PUT"),
        ("OPTIONS", "/v1/activities", "DELETE, GET, HEAD, PATCH, POST, PUT"),
        ("TRACE", "/v1/me/points", "DELETE, GET, HEAD, PATCH, POST, PUT"),
    ],
)
async def test_a_method_that_does_not_fit_is_refused(
    house: House, method: str, path: str, allowed: str
):
    answer = await house.client.request(method, path, headers=house.headers())
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert house.asked() == []


async def test_without_a_token_nothing_is_asked(house: House):
    for path in ("/v1/me/points", "/v1/me/home", "/v1/members", "/v1/activities/a1"):
        assert (await house.problem(401, "GET", path, headers={}))["code"] == "token_missing"
    assert house.asked() == []


async def test_tokens_that_do_not_hold_are_refused(house: House):
    stranger = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True)
    held = house.issuer._key
    expired = LocalIssuer(held, ISSUER, "mooring", clock=lambda: 1_000_000_000)
    cases = {
        "token_key": LocalIssuer(stranger, ISSUER, "mooring").token("operator"),
        "token_issuer": LocalIssuer(held, "https://evil.example", "mooring").token("operator"),
        "token_audience": LocalIssuer(held, ISSUER, "another").token("operator"),
        "token_expired": expired.token("operator"),
        "token_algorithm": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4Iiwicm9sZXMiOlsib3BlcmF0b3IiXX0.",
        "token_malformed": "nonsense",
    }
    for code, token in cases.items():
        found = await house.problem(401, "GET", "/v1/members/M1", headers=bearer(token))
        assert found["code"] == code
    assert house.asked() == []


async def test_a_member_reaches_their_own_and_nobody_elses(house: House):
    for path in ("/v1/members/M1", "/v1/members/M1/points", "/v1/members/M1/activities"):
        assert (await house.client.get(path, headers=house.headers())).status_code == 200
    asked = len(house.asked())
    for path in ("", "/points", "/activities", "/home", "/points/statement", "/card"):
        for other in ("M2", "M10", "m1", "M1:x"):
            found = await house.problem(403, "GET", f"/v1/members/{other}{path}")
            assert found["code"] == "not_your_member"
    assert len(house.asked()) == asked


async def test_a_members_id_is_compared_as_it_reads_decoded(house: House):
    odd = house.headers(member_id="M 1/é")
    answer = await house.client.get("/v1/members/M%201%C3%A9/points", headers=odd)
    assert answer.status_code == 403
    spaced = house.headers(member_id="M 1é")
    answer = await house.client.get("/v1/members/M%201%C3%A9/points", headers=spaced)
    assert answer.json()["path"] == "/v1/members/M%201%C3%A9/points"
    answer = await house.client.get("/v1/me/points", headers=spaced)
    assert answer.json()["path"] == "/v1/members/M%201%C3%A9/points"


async def test_a_token_whose_member_id_would_change_the_path_reaches_nothing(house: House):
    for member_id in ("M1/points", "..", "M1\\x", "a%2Fb"):
        found = await house.problem(
            400, "GET", "/v1/me/card", headers=house.headers(member_id=member_id)
        )
        assert found["code"] == "bad_path"
    assert house.asked() == []


@pytest.mark.parametrize(
    ("role", "method", "path", "status"),
    [
        ("member", "GET", "/v1/members", 403),
        ("member", "POST", "/v1/members/M2", 403),
        ("marketer", "POST", "/v1/activities", 403),
        ("marketer", "GET", "/v1/me/points", 403),
        ("agent", "GET", "/v1/me/home", 403),
        ("member", "POST", "/v1/members:batch", 403),
        ("member", "POST", "/v1/activities", 200),
        ("member", "POST", "/v1/activities:batch", 200),
        ("partner", "POST", "/v1/activities:batch", 200),
        ("partner", "POST", "/v1/members", 200),
        ("agent", "GET", "/v1/members", 200),
        ("marketer", "GET", "/v1/members:summary", 200),
        ("operator", "PATCH", "/v1/members/M2", 200),
    ],
)
async def test_roles_are_checked_roughly_before_a_service_is_asked(
    house: House, role: str, method: str, path: str, status: int
):
    answer = await house.client.request(method, path, headers=house.headers(role), content=b"{}")
    assert answer.status_code == status
    assert len(house.asked()) == (1 if status == 200 else 0)


async def test_a_body_of_ten_megabytes_is_refused_before_it_is_sent_on(house: House):
    found = await house.problem(413, "POST", "/v1/activities", content=b" " * 10_000_000)
    assert found["limit_bytes"] == 1024 * 1024
    found = await house.problem(
        413,
        "POST",
        "/v1/activities:batch",
        content=b" " * 10_000_000,
        headers=house.headers("agent"),
    )
    assert found["limit_bytes"] == 8 * 1024 * 1024
    assert house.asked() == []


async def test_an_undeclared_body_of_ten_megabytes_is_cut_off(house: House):
    sent = 0

    async def chunks() -> Any:
        nonlocal sent
        for _ in range(160):
            sent += len(CHUNK)
            yield CHUNK

    found = await house.problem(413, "POST", "/v1/activities", content=chunks())
    assert found["code"] == "body_too_large"
    assert sent <= 1024 * 1024 + 2 * len(CHUNK)
    assert house.asked() == []


@pytest.mark.parametrize("key", ["", "a b", "x" * 129, "schl\u00fcssel"])
async def test_an_idempotency_key_that_is_none_is_refused(house: House, key: str):
    headers = {**house.headers(), "idempotency-key": key.encode("latin-1")}
    found = await house.problem(400, "POST", "/v1/activities", headers=headers, content=b"{}")
    assert found["code"] == "idempotency_key"
    assert house.asked() == []


class TestRates:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(member_rate=1, member_burst=3, client_rate=1, client_burst=10)

    async def test_a_member_who_asks_too_often_waits_and_others_do_not(self, house: House):
        first, other = house.headers(member_id="M1"), house.headers(member_id="M2")
        for _ in range(3):
            assert (await house.client.get("/v1/me/points", headers=first)).status_code == 200
        answer = await house.client.get("/v1/me/points", headers=first)
        assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
        assert answer.headers["retry-after"] in ("1", "2")
        assert (await house.client.get("/v1/me/points", headers=other)).status_code == 200
        assert len(house.asked()) == 4

    async def test_a_batch_costs_by_its_size(self, house: House):
        agent, partner = house.headers("agent"), house.headers("partner")
        large = await house.client.post(
            "/v1/activities:batch", headers=agent, content=b" " * 20 * 1024
        )
        assert large.status_code == 200
        assert (await house.client.get("/v1/members", headers=agent)).status_code == 429
        for _ in range(5):
            small = await house.client.post("/v1/activities:batch", headers=partner, content=b"[]")
            assert small.status_code == 200
