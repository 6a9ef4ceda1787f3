"""The header that tells a repeated request from a new one."""

from collections.abc import AsyncIterator

import httpx
import pytest

from kit.http.app import create_app
from kit.http.idempotency import IdempotencyKey, derived_id
from kit.http.json_body import Router


@pytest.fixture
async def api() -> AsyncIterator[httpx.AsyncClient]:
    router = Router()

    @router.post("/v1/things")
    async def make(key: IdempotencyKey) -> str:
        return key

    app = create_app("things", "1", [router])
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client,
    ):
        yield client


async def test_a_key_reaches_the_endpoint(api: httpx.AsyncClient) -> None:
    answer = await api.post("/v1/things", headers={"Idempotency-Key": "k-1"})
    assert (answer.status_code, answer.json()) == (200, "k-1")


async def test_without_a_key_the_answer_says_what_to_send(api: httpx.AsyncClient) -> None:
    answer = await api.post("/v1/things")
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_missing")
    assert "Send the header Idempotency-Key: 1 to 128" in answer.json()["detail"]


@pytest.mark.parametrize("key", ["", "x" * 129, "two words", "tab\there", "é"])
async def test_a_key_of_another_form_is_refused(api: httpx.AsyncClient, key: str) -> None:
    answer = await api.post("/v1/things", headers=[(b"idempotency-key", key.encode())])
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert [one["field"] for one in answer.json()["errors"]] == ["header.idempotency-key"]


async def test_the_documentation_says_that_it_is_needed(api: httpx.AsyncClient) -> None:
    (parameter,) = (await api.get("/openapi.json")).json()["paths"]["/v1/things"]["post"][
        "parameters"
    ]
    assert (parameter["name"], parameter["required"]) == ("idempotency-key", True)
    assert "x-needed" not in parameter["schema"]


def test_an_id_follows_from_all_its_parts() -> None:
    made = derived_id("hold", "member:M1", "M1", "k")
    assert (made, len(made)) == (derived_id("hold", "member:M1", "M1", "k"), 29)
    assert made.startswith("hold_")
    others = {derived_id("hold", *parts) for parts in (("member:M1", "M2", "k"), ("member:M1M1k",))}
    assert made not in others
