"""Redemptions over HTTP."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from kit.auth import LocalIssuer
from kit.auth.wiring import token_verifier
from kit.http.app import create_app
from kit.settings import AuthSettings
from services.points.rewards.endpoints_redemptions import router
from services.points.rewards.redeeming import redemption_id_of
from services.points.rewards.redemptions import Redemptions
from tests.services.points.rewards.redeeming import balance, entries, shop, stock
from tests.services.starting import AUDIENCE, ISSUER

MINE = "/v1/members/M1/redemptions"
RDM = redemption_id_of("M1", "k1")
REDEEMED = {
    "redemption_id": RDM,
    "member_id": "M1",
    "reward_id": "mug",
    "quantity": 1,
    "wallet": "base",
    "points": 800,
    "money": 0,
    "status": "confirmed",
    "reserved_at": "2026-01-01T00:00:00Z",
    "reserved_until": "2026-01-01T00:15:00Z",
    "confirmed_at": "2026-01-01T00:00:00Z",
}
Bearer = Callable[..., dict[str, str]]
Client = httpx.AsyncClient


@pytest.fixture
def bearer(issuer: LocalIssuer) -> Bearer:
    return lambda *who: {"authorization": f"Bearer {issuer.token(*who)}"}


@pytest.fixture
async def api(
    redemptions: Redemptions, issuer: LocalIssuer, tmp_path: Path, bearer: Bearer
) -> AsyncIterator[Client]:
    verifier = token_verifier(AuthSettings(ISSUER, AUDIENCE, None, tmp_path / "key.jwk"))
    app: FastAPI = create_app("points", "1", [router], verifier=verifier)
    app.state.redemptions = redemptions
    await shop(redemptions, 5, 5_000)
    transport = httpx.ASGITransport(app)
    async with Client(transport=transport, base_url="http://points") as client:
        client.headers.update(bearer("member", "M1"))
        yield client


async def redeem(api: Client, key: str = "k1", **body: Any) -> httpx.Response:
    headers = {"idempotency-key": key}
    return await api.post(MINE, json={"reward_id": "mug", **body}, headers=headers)


async def test_a_member_redeems_once_however_often_it_is_sent(
    api: Client, redemptions: Redemptions
) -> None:
    answers = [await redeem(api) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 200, 200]
    assert [answer.json() for answer in answers] == [REDEEMED] * 3
    assert await balance(redemptions) == 4_200
    assert await stock(redemptions) == (4, 0, 1)
    assert (await api.get(f"{MINE}/{RDM}")).json() == REDEEMED
    assert (await api.get(MINE)).json() == {"member_id": "M1", "items": [REDEEMED]}


async def test_a_life_over_http(api: Client, bearer: Bearer) -> None:
    held = await redeem(api, confirm=False)
    assert (held.status_code, held.json()["status"]) == (201, "reserved")
    assert (await api.post(f"{MINE}/{RDM}:fulfil")).status_code == 403
    early = await api.post(f"{MINE}/{RDM}:fulfil", headers=bearer("partner"))
    assert (early.status_code, early.json()["code"]) == (409, "not_confirmed")
    for _ in range(2):
        assert (await api.post(f"{MINE}/{RDM}:confirm")).json()["status"] == "confirmed"
    for _ in range(2):
        done = await api.post(f"{MINE}/{RDM}:fulfil", headers=bearer("partner"))
        assert (done.status_code, done.json()["status"]) == (200, "fulfilled")
    late = await api.post(f"{MINE}/{RDM}:cancel", json={"reason": "x"}, headers=bearer("agent"))
    assert (late.status_code, late.json()["code"]) == (409, "redemption_ended")


async def test_a_refusal_says_everything_that_is_in_the_way(
    api: Client, redemptions: Redemptions
) -> None:
    before = await entries(redemptions)
    answer = await redeem(api, quantity=7)
    assert (answer.status_code, answer.json()["code"]) == (409, "points_missing")
    assert answer.json()["why_not"] == [
        {
            "code": "points_missing",
            "words": {"en": "600 more points are needed.", "zh": "还差 600 积分。"},
            "facts": {"wallet": "base", "needed": 5600, "available": 5000, "missing": 600},
        }
    ]
    sold_out = await redeem(api, quantity=6)
    assert (sold_out.status_code, sold_out.json()["code"]) == (409, "sold_out")
    assert (sold_out.json()["asked"], sold_out.json()["left"]) == (6, 5)
    assert await balance(redemptions) == 5_000
    assert await entries(redemptions) == before


async def test_members_cancel_what_is_reserved_and_clerks_what_is_confirmed(
    api: Client, bearer: Bearer, redemptions: Redemptions
) -> None:
    reason = {"reason": "Changed my mind"}
    await redeem(api, confirm=False)
    cancelled = await api.post(f"{MINE}/{RDM}:cancel", json=reason)
    assert (cancelled.json()["status"], cancelled.json()["reason"]) == (
        "cancelled",
        "Changed my mind",
    )
    other = (await redeem(api, "k2")).json()["redemption_id"]
    asked = await api.post(f"{MINE}/{other}:cancel", json=reason)
    assert (asked.status_code, asked.json()["code"]) == (403, "ask_the_desk")
    done = await api.post(f"{MINE}/{other}:cancel", json=reason, headers=bearer("operator"))
    assert done.json()["status"] == "cancelled"
    assert await balance(redemptions) == 5_000
    assert await stock(redemptions) == (5, 0, 0)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"quantity": 0}, "quantity"),
        ({"quantity": 11}, "quantity"),
        ({"quantity": 1.5}, "quantity"),
        ({"reward_id": "Mug!"}, "reward_id"),
        ({"device_id": "short"}, "device_id"),
        ({"points": 1}, "points"),
    ],
)
async def test_what_is_wrong_with_a_request_is_named(
    api: Client, redemptions: Redemptions, body: dict[str, Any], field: str
) -> None:
    before = await entries(redemptions)
    answer = await redeem(api, **body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert await entries(redemptions) == before


async def test_a_request_needs_a_key_and_a_reward_that_is_there(api: Client) -> None:
    without = await api.post(MINE, json={"reward_id": "mug"})
    assert (without.status_code, without.json()["code"]) == (400, "idempotency_key_missing")
    unknown = await redeem(api, reward_id="tea")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "no_such_reward")
    await redeem(api)
    other = await redeem(api, quantity=2)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")


async def test_a_redemption_is_for_its_member_and_clerks_alone(api: Client, bearer: Bearer) -> None:
    await redeem(api)
    passed = set()
    for role in ("member", "agent", "marketer", "operator", "partner"):
        who = bearer(role, "M2") if role == "member" else bearer(role)
        answers = [
            await api.get(MINE, headers=who),
            await api.get(f"{MINE}/{RDM}", headers=who),
            await api.post(f"{MINE}/{RDM}:confirm", headers=who),
            await api.post(
                MINE, json={"reward_id": "mug"}, headers={**who, "idempotency-key": "k1"}
            ),
        ]
        codes = {answer.status_code for answer in answers}
        assert codes in ({200}, {403})
        passed |= {role} if codes == {200} else set()
    assert passed == {"agent", "operator", "partner"}
    missing = await api.get(f"/v1/members/M2/redemptions/{RDM}", headers=bearer("agent"))
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown_redemption")


async def test_the_list_goes_on_where_the_page_before_ended(api: Client) -> None:
    for n in range(3):
        await redeem(api, f"k{n}")
    first = (await api.get(MINE, params={"limit": 2})).json()
    rest = (await api.get(MINE, params={"limit": 2, "cursor": first["next"]})).json()
    assert (len(first["items"]), len(rest["items"]), rest.get("next")) == (2, 1, None)
    odd = await api.get(MINE, params={"cursor": "bm8"})
    assert (odd.status_code, odd.json()["code"]) == (422, "bad_cursor")


async def test_the_example_in_the_documentation_can_be_sent(api: Client) -> None:
    document = (await api.get("/openapi.json")).json()
    operation = document["paths"]["/v1/members/{member_id}/redemptions"]["post"]
    example = operation["requestBody"]["content"]["application/json"]["schema"]["examples"][0]
    assert operation["x-mooring-roles"] == ["agent", "member", "operator", "partner"]
    answer = await redeem(api, **{**example, "reward_id": "mug"})
    assert answer.status_code == 201, answer.text


async def test_an_agent_tells_of_a_redemption_that_happened_earlier(
    api: Client, bearer: Bearer
) -> None:
    past = "2026-01-01T00:00:00Z"
    body = {"reward_id": "mug", "occurred_at": past}
    headers = {"idempotency-key": "k9", **bearer("agent")}
    made = await api.post(MINE, json=body, headers=headers)
    assert (made.status_code, made.json()["reserved_at"]) == (201, past)
    place = f"{MINE}/{made.json()['redemption_id']}"
    done = await api.post(f"{place}:fulfil", params={"occurred_at": past}, headers=bearer("agent"))
    assert (done.status_code, done.json()["ended_at"]) == (200, past)


async def test_what_is_imported_does_not_count_for_its_device(
    api: Client, bearer: Bearer, redemptions: Redemptions
) -> None:
    async def counted() -> int:
        pages = [facts async for facts in redemptions.rewards.meters.streams.journal.scan()]
        return sum(fact.type == "MeterCounted" for facts in pages for fact in facts)

    body = {"reward_id": "mug", "device_id": "phone-01"}
    past = {**body, "occurred_at": "2026-01-01T00:00:00Z"}
    for key, each, count in (("k1", past, 0), ("k2", body, 1)):
        headers = {"idempotency-key": key, **bearer("agent")}
        assert (await api.post(MINE, json=each, headers=headers)).status_code == 201
        assert await counted() == count


async def test_a_member_redeems_now_and_not_at_another_time(api: Client) -> None:
    refused = await redeem(api, occurred_at="2025-12-01T00:00:00Z")
    assert (refused.status_code, refused.json()["code"]) == (403, "time_not_allowed")
