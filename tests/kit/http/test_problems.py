import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from pydantic import BaseModel

from kit.auth import LocalIssuer
from kit.errors import Kind
from kit.http.app import create_app
from kit.http.problems import STATUS, TITLES

JSON = {"content-type": "application/json"}
LINES = {"activity": {"type": "purchase", "lines": [{"amount": 1}]}}


async def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    document: dict[str, Any] = answer.json()
    assert (answer.status_code, document["status"], document["code"]) == (status, status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert document["type"] == f"/problems/{code}"
    assert document["instance"] == answer.request.url.path
    assert len(document["trace_id"]) == 32
    return document


def test_every_kind_has_a_status_and_a_title():
    assert set(STATUS) == set(TITLES) == set(Kind.__args__)  # type: ignore[attr-defined]


async def test_an_error_shows_its_facts(client: httpx.AsyncClient):
    found = await problem(await client.get("/v1/errors/refused"), 409, "not_enough")
    assert (found["detail"], found["needed"], found["available"]) == ("It needs 5.", 5, 3)


@pytest.mark.parametrize(("name", "seconds"), [("gone", "1"), ("slow_down", "7")])
async def test_what_may_be_tried_again_says_when(
    client: httpx.AsyncClient, name: str, seconds: str
):
    assert (await client.get(f"/v1/errors/{name}")).headers["retry-after"] == seconds


@pytest.mark.parametrize(("name", "code"), [("broken", "sum_not_zero"), ("bug", "internal")])
async def test_what_is_wrong_inside_stays_inside(client: httpx.AsyncClient, name: str, code: str):
    answer = await client.get(f"/v1/errors/{name}")
    found = await problem(answer, 500, code)
    assert set(found) == {"type", "title", "status", "detail", "code", "instance", "trace_id"}
    assert "secret" not in answer.text
    assert "M1" not in answer.text


async def test_the_trace_of_the_caller_is_the_trace_of_the_problem(client: httpx.AsyncClient):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01", "x-request-id": "abc-1"}
    answer = await client.get("/v1/errors/bug", headers=headers)
    assert answer.json()["trace_id"] == trace
    assert answer.headers["x-request-id"] == "abc-1"


@pytest.mark.parametrize(
    "traceparent",
    ["", "00-xyz", f"00-{'0' * 32}-00f067aa0ba902b7-01", f"ff-{'a' * 32}-{'b' * 16}-01"],
)
async def test_a_trace_that_is_none_begins_a_new_one(client: httpx.AsyncClient, traceparent: str):
    answer = await client.get(
        "/nowhere", headers={"traceparent": traceparent, "x-request-id": "a b"}
    )
    found = await problem(answer, 404, "no_such_path")
    assert found["trace_id"] not in traceparent
    assert answer.headers["x-request-id"] != "a b"


async def test_the_wrong_method_says_which_are_right(client: httpx.AsyncClient):
    answer = await client.put("/v1/things", json={})
    assert answer.headers["allow"] == "POST"
    await problem(answer, 405, "method_not_allowed")


async def test_a_redirect_never_tells_where_the_service_lives(client: httpx.AsyncClient):
    assert (await client.get("/v1/errors/")).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"",
        b'{"activity": NaN}',
        b'{"activity": [1e999]}',
        b'{"activity": Infinity}',
        b"\xff\xfe",
        b'{"a": "\xff\xfe"}',
        b"[" * 100_000,
        b'{"a": "\\ud800"}',
    ],
    ids=lambda body: repr(body[:20]),
)
async def test_what_is_no_json_is_malformed(
    client: httpx.AsyncClient, agent: dict[str, str], body: bytes
):
    client.headers.update(agent | JSON)
    answer = await client.post("/v1/things", content=body[:1900])
    expected = (422, "invalid_request") if body == b"" else (400, "malformed_json")
    found = await problem(answer, *expected)
    assert found["detail"]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/xml", "application/x-www-form-urlencoded"]
)
async def test_a_body_that_is_not_declared_as_json_is_refused(
    client: httpx.AsyncClient, agent: dict[str, str], kind: str
):
    headers = agent | {"content-type": kind}
    answer = await client.post("/v1/things", content=json.dumps(LINES), headers=headers)
    await problem(answer, 400, "content_type")


@pytest.mark.parametrize(
    ("activity", "field", "message"),
    [
        ({"type": "purchase"}, "activity.lines", "is required and missing"),
        ({"type": "purchase", "lines": []}, "activity.lines", "must have at least 1 items"),
        ({"type": "purchase", "lines": {}}, "activity.lines", "must be a list, not an object"),
        (
            {"type": "purchase", "lines": [{"amount": 1}, {"amount": -1}]},
            "activity.lines[1].amount",
            "must be at least 0",
        ),
        (
            {"type": "purchase", "lines": [{"amount": 10**12}]},
            "activity.lines[0].amount",
            "must be at most 10000",
        ),
        (
            {"type": "purchase", "lines": [{"amount": "1.5"}]},
            "activity.lines[0].amount",
            "must be a whole number, not '1.5'",
        ),
        (
            {"type": "purchase", "lines": [{"amount": 1.5}]},
            "activity.lines[0].amount",
            "must be a whole number, not '1.5'",
        ),
        (
            {"type": "purchase", "lines": [{"amount": 1, "amout": 2}]},
            "activity.lines[0].amout",
            "is not a known field",
        ),
        (
            {"type": "purchase", "lines": [{"amount": 1}], "at": "2026-03-01T09:30:00"},
            "activity.at",
            "must be a time with its zone, not '2026-03-01T09:30:00'",
        ),
        (
            {"type": "purchase", "lines": [{"amount": 1}], "at": "yesterday"},
            "activity.at",
            "must be a time with its zone, not 'yesterday'",
        ),
        (
            {"type": "visit", "store": "too long"},
            "activity.store",
            "must have at most 5 characters",
        ),
        ({"type": "visit", "store": None}, "activity.store", "must be text, not null"),
        ({"type": "party"}, "activity", "`type` is missing or not known"),
        ("x", "activity", "must be an object, not 'x'"),
    ],
)
async def test_a_field_at_fault_is_named_with_what_and_how(
    client: httpx.AsyncClient, agent: dict[str, str], activity: Any, field: str, message: str
):
    answer = await client.post("/v1/things", json={"activity": activity}, headers=agent)
    found = await problem(answer, 422, "invalid_request")
    (error,) = found["errors"]
    assert (error["field"], error["message"]) == (field, message)
    assert error["fix"]


@pytest.mark.parametrize(
    ("query", "field"),
    [("limit=0", "query.limit"), ("limit=x", "query.limit"), ("since=monday", "query.since")],
)
async def test_a_query_parameter_at_fault_is_named(
    client: httpx.AsyncClient, agent: dict[str, str], query: str, field: str
):
    answer = await client.get(f"/v1/members/M1/things?{query}", headers=agent)
    assert (await problem(answer, 422, "invalid_request"))["errors"][0]["field"] == field


async def test_many_errors_are_counted_and_the_list_is_bounded(
    client: httpx.AsyncClient, agent: dict[str, str]
):
    lines = [{"a": 1}] * 100
    body = {"activity": {"type": "purchase", "lines": lines}}
    answer = await client.post("/v1/things", json=body, headers=agent)
    found = await problem(answer, 422, "invalid_request")
    assert found["detail"].startswith("200 fields are not valid: activity.lines[0].amount, ")
    assert len(found["errors"]) == 50


async def test_a_body_over_the_limit_is_refused_by_its_declared_length(
    client: httpx.AsyncClient, agent: dict[str, str]
):
    answer = await client.post("/v1/things", content=b" " * 2001, headers=agent | JSON)
    assert (await problem(answer, 413, "body_too_large"))["limit_bytes"] == 2000


async def test_a_body_over_the_limit_is_refused_while_it_streams(
    client: httpx.AsyncClient, agent: dict[str, str]
):
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 500
            yield b" " * 500

    answer = await client.post("/v1/things", content=chunks(), headers=agent | JSON)
    await problem(answer, 413, "body_too_large")
    assert sent == 2500


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "token_missing"),
        ("Basic dXNlcg==", "token_scheme"),
        ("Bearer", "token_scheme"),
        ("Bearer x.y.z", "token_malformed"),
    ],
)
async def test_a_caller_without_a_usable_token_is_told_so(
    client: httpx.AsyncClient, header: str | None, code: str
):
    headers = {"authorization": header} if header else {}
    answer = await client.post("/v1/things", json=LINES, headers=headers)
    await problem(answer, 401, code)
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_caller_with_another_role_is_told_which_it_takes(
    client: httpx.AsyncClient, issuer: LocalIssuer
):
    headers = {"authorization": f"Bearer {issuer.token('marketer')}"}
    answer = await client.post("/v1/things", json=LINES, headers=headers)
    found = await problem(answer, 403, "role_missing")
    assert found["roles_needed"] == ["agent", "operator"]


async def test_a_member_sees_their_own_and_nobody_elses(
    client: httpx.AsyncClient, issuer: LocalIssuer
):
    headers = {"authorization": f"Bearer {issuer.token('member', 'M1')}"}
    own = await client.get("/v1/members/M1/things", headers=headers)
    assert own.json() == {"who": "member:M1", "limit": 10}
    for other in ("M2", "M1x", "nobody", "m1"):
        answer = await client.get(f"/v1/members/{other}/things", headers=headers)
        await problem(answer, 403, "not_your_member")


async def test_an_agent_sees_every_member(client: httpx.AsyncClient, agent: dict[str, str]):
    answer = await client.get("/v1/members/M2/things", headers=agent)
    assert answer.json()["who"] == "dev:agent"


class Lenient(BaseModel):
    amount: float


def test_a_router_that_would_read_nan_is_refused_at_the_start():
    router = APIRouter()

    @router.post("/v1/lenient")
    async def take(body: Lenient) -> None: ...

    with pytest.raises(TypeError, match="NaN"):
        create_app("x", "1", [router])
