"""Rewards over HTTP: who may what, and what is said to whom."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from contracts.members import CardChange
from kit.auth import LocalIssuer
from kit.auth.wiring import token_verifier
from kit.clock import DAY
from kit.http.app import create_app
from kit.settings import AuthSettings
from services.points.cards import absorb
from services.points.domain.account import Account, Redeemed
from services.points.rewards.endpoints import router
from services.points.rewards.wiring import Rewards
from tests.services.points.rewards.making import Accounts, card, carded, facts
from tests.services.starting import AUDIENCE, ISSUER, START, TestClock

MUG = {
    "names": {"en": "Coffee mug", "zh": "咖啡杯"},
    "gives": "item",
    "prices": [{"wallet": "base", "points": 800}],
    "valid_from": "2026-01-01T00:00:00Z",
    "limited": True,
    "unit_cost": 650,
}
Bearer = Callable[..., dict[str, str]]
Client = httpx.AsyncClient


@pytest.fixture
def bearer(issuer: LocalIssuer) -> Bearer:
    return lambda *who: {"authorization": f"Bearer {issuer.token(*who)}"}


@pytest.fixture
def app(rewards: Rewards, issuer: LocalIssuer, tmp_path: Any) -> FastAPI:
    verifier = token_verifier(AuthSettings(ISSUER, AUDIENCE, None, tmp_path / "key.jwk"))
    app = create_app("points", "1", [router], verifier=verifier)
    app.state.rewards = rewards
    return app


@pytest.fixture
async def api(app: FastAPI, bearer: Bearer) -> AsyncIterator[Client]:
    transport = httpx.ASGITransport(app)
    async with Client(transport=transport, base_url="http://points") as client:
        client.headers.update(bearer("marketer"))
        yield client


async def defined(api: Client, reward_id: str = "mug", **fields: Any) -> dict[str, Any]:
    answer = await api.put(f"/v1/rewards/{reward_id}", json={**MUG, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def stock(api: Client, quantity: int, key: str = "d1") -> httpx.Response:
    return await api.post(
        "/v1/rewards/mug/stock", json={"quantity": quantity}, headers={"idempotency-key": key}
    )


async def test_a_reward_is_defined_once_and_answers_with_its_revision(
    api: Client, rewards: Rewards
) -> None:
    assert await defined(api) == {
        "reward_id": "mug",
        "revision": 1,
        "phase": "live",
        "names": MUG["names"],
        "gives": "item",
        "prices": [{"wallet": "base", "points": 800, "money": 0}],
        "valid_from": "2026-01-01T00:00:00Z",
        "early_access": [],
        "limited": True,
        "left": 0,
        "slices": 16,
        "unit_cost": 650,
        "hold_minutes": 15,
        "by": "dev:marketer",
    }
    again = await api.put("/v1/rewards/mug", json=MUG)
    assert (again.status_code, again.json()["revision"]) == (200, 1)
    assert len(await facts(rewards)) == 1


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"prices": []}, "prices", "must have at least 1 items"),
        ({"prices": [{"points": 0}]}, "prices[0].points", "must be at least 1"),
        ({"prices": [{"points": 2**53}]}, "prices[0].points", "must be at most 1000000000000"),
        ({"prices": [{"points": 1.5}]}, "prices[0].points", "must be a whole number, not '1.5'"),
        ({"names": {"en": "Mug"}}, "names.zh", "is required and missing"),
        ({"names": {"en": " ", "zh": "杯"}}, "names.en", "must not be blank"),
        ({"gives": "voucher"}, "body", "series goes with gives: voucher, and only with it"),
        (
            {"valid_until": "2026-01-01T00:00:00Z"},
            "body",
            "valid_until must be after valid_from",
        ),
        (
            {"valid_from": 1767225600},
            "valid_from",
            "must be a time with its zone, not '1767225600'",
        ),
        ({"slices": 65}, "slices", "must be at most 64"),
        ({"period_limit": {"count": 33, "days": 1}}, "period_limit.count", "must be at most 32"),
        (
            {"prices": [{"points": 1}, {"points": 2}]},
            "body",
            "prices must name each wallet once",
        ),
        (
            {"eligibility": 'member.stage = "need"'},
            "eligibility",
            "Unexpected '='. Write == to compare.",
        ),
        ({"colour": "red"}, "colour", "is not a known field"),
    ],
)
async def test_what_is_wrong_with_a_reward_is_named_and_nothing_is_saved(
    api: Client, rewards: Rewards, fields: dict[str, Any], field: str, message: str
) -> None:
    answer = await api.put("/v1/rewards/mug", json={**MUG, **fields})
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    assert (error["field"], error["message"]) == (field, message)
    assert error["fix"]
    assert await facts(rewards) == []


async def test_an_id_with_a_dot_would_be_taken_for_a_slice_and_is_refused(api: Client) -> None:
    assert (await api.put("/v1/rewards/mug.1", json=MUG)).status_code == 422


async def test_a_change_of_an_old_revision_is_refused(api: Client, rewards: Rewards) -> None:
    await defined(api)
    await defined(api, unit_cost=700)
    answer = await api.put("/v1/rewards/mug", json={**MUG, "unit_cost": 1, "revision": 1})
    assert (answer.status_code, answer.json()["code"]) == (409, "revision_conflict")
    assert len(await facts(rewards)) == 2


@pytest.mark.parametrize(
    ("method", "path", "body", "allowed"),
    [
        ("PUT", "/v1/rewards/mug", MUG, {"marketer"}),
        ("POST", "/v1/rewards/mug:retire", {"reason": "old"}, {"marketer"}),
        ("POST", "/v1/rewards/mug/stock", {"quantity": 5}, {"marketer", "operator"}),
        (
            "POST",
            "/v1/rewards/mug/stock/corrections",
            {"quantity": -1, "reason": "lost"},
            {"marketer", "operator"},
        ),
        ("GET", "/v1/rewards/mug/stock", None, {"marketer", "operator", "agent"}),
        (
            "GET",
            "/v1/rewards",
            None,
            {"marketer", "operator", "agent", "partner", "member"},
        ),
        (
            "GET",
            "/v1/rewards/mug",
            None,
            {"marketer", "operator", "agent", "partner", "member"},
        ),
        ("GET", "/v1/rewards?phase=all", None, {"marketer", "operator", "agent"}),
        ("GET", "/v1/members/M1/rewards", None, {"operator", "agent", "member"}),
        ("GET", "/v1/members/M2/rewards", None, {"operator", "agent"}),
    ],
)
async def test_each_endpoint_is_for_its_roles_alone(
    api: Client, bearer: Bearer, method: str, path: str, body: Any, allowed: set[str]
) -> None:
    await defined(api)
    await stock(api, 5)
    passed = set()
    for role in ("member", "agent", "marketer", "operator", "partner"):
        who = bearer(role, "M1") if role == "member" else bearer(role)
        headers = {**who, "idempotency-key": "k"}
        answer = await api.request(method, path, json=body, headers=headers)
        assert answer.status_code in (200, 201, 403), answer.text
        if answer.status_code != 403:
            passed.add(role)
    assert passed == allowed
    nobody = await api.request(method, path, json=body, headers={"authorization": ""})
    assert nobody.status_code == 401


async def test_stock_is_added_once_for_a_key(api: Client) -> None:
    await defined(api)
    answers = [await stock(api, 20) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[1].json() == {
        "reward_id": "mug",
        "added": 20,
        "left": 20,
        "reserved": 0,
        "redeemed": 0,
        "written_down": 0,
        "written_down_for": {},
        "slices": answers[0].json()["slices"],
        "corrections": [],
    }
    assert sorted(answers[0].json()["slices"]) == [1] * 12 + [2] * 4
    other = await stock(api, 21)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    assert (await api.get("/v1/rewards/mug")).json()["left"] == 20


async def test_stock_needs_a_key_a_reward_and_a_limit_to_it(api: Client) -> None:
    await defined(api, "free", limited=False)
    without = await api.post("/v1/rewards/free/stock", json={"quantity": 5})
    assert (without.status_code, without.json()["code"]) == (400, "idempotency_key_missing")
    headers = {"idempotency-key": "k"}
    unlimited = await api.post("/v1/rewards/free/stock", json={"quantity": 5}, headers=headers)
    assert (unlimited.status_code, unlimited.json()["code"]) == (409, "stock_unlimited")
    missing = await api.post("/v1/rewards/mug/stock", json={"quantity": 5}, headers=headers)
    assert (missing.status_code, missing.json()["code"]) == (404, "no_such_reward")
    assert (await stock(api, 0)).status_code == 422


async def test_members_see_what_is_live_for_their_tier_and_nothing_of_its_cost(
    api: Client, bearer: Bearer, rewards: Rewards
) -> None:
    early = {"valid_from": "2026-01-02T00:00:00Z", "early_access": [{"tier": "gold", "hours": 24}]}
    await defined(api)
    await defined(api, "early", **early)
    await absorb(rewards.views, [carded(4, card("M1", "gold"))])
    seen = {}
    for member in ("M1", "M2"):
        answer = (await api.get("/v1/rewards", headers=bearer("member", member))).json()
        seen[member] = [item["reward_id"] for item in answer["items"]]
        assert "unit_cost" not in answer["items"][0]
    assert seen == {"M1": ["early", "mug"], "M2": ["mug"]}
    hidden = await api.get("/v1/rewards/early", headers=bearer("member", "M2"))
    assert (hidden.status_code, hidden.json()["code"]) == (404, "no_such_reward")
    shown = await api.get("/v1/rewards/early", headers=bearer("member", "M1"))
    assert (shown.status_code, "by" in shown.json()) == (200, False)


async def test_a_list_goes_on_where_the_page_before_ended(api: Client) -> None:
    for name in ("a", "b", "c"):
        await defined(api, name)
    first = (await api.get("/v1/rewards", params={"limit": 2})).json()
    rest = (await api.get("/v1/rewards", params={"limit": 2, "cursor": first["next"]})).json()
    names = [[item["reward_id"] for item in page["items"]] for page in (first, rest)]
    assert (names, rest.get("next")) == ([["a", "b"], ["c"]], None)
    odd = await api.get("/v1/rewards", params={"cursor": "x"})
    assert (odd.status_code, odd.json()["code"]) == (422, "bad_cursor")


async def test_a_member_is_told_everything_that_is_in_the_way(
    api: Client, bearer: Bearer, rewards: Rewards, accounts: Accounts, clock: TestClock
) -> None:
    await defined(
        api,
        eligibility='member.tenure_days >= 90 && member.tier == "gold"',
        member_limit=2,
        early_access=[{"tier": "gold", "hours": 24}],
        valid_from="2026-01-02T00:00:00Z",
    )
    await defined(api, "tea", limited=False, prices=[{"points": 450}])
    await absorb(rewards.views, [carded(4, card("M1"))])
    redeemed = {"mug": Redeemed(2, (("r1", START - DAY, 2),))}
    accounts.held["M1"] = Account(balances={"base": 450}, redeemed=redeemed)
    answer = await api.get("/v1/members/M1/rewards", headers=bearer("member", "M1"))
    mug, tea = answer.json()["items"]
    assert (mug["redeemable"], tea["redeemable"], tea["why_not"]) == (False, True, [])
    assert [(why["code"], why["words"]["en"]) for why in mug["why_not"]] == [
        ("not_yet", "You may redeem it from 2026-01-02T00:00:00Z."),
        ("not_eligible", 'It is for members with: member.tier == "gold"'),
        ("member_limit", "At most 2 for each member; you have had 2."),
        ("sold_out", "It is sold out."),
        ("points_missing", "350 more points are needed."),
    ]
    assert mug["why_not"][4]["words"]["zh"] == "还差 350 积分。"
    assert mug["why_not"][4]["facts"] == {
        "wallet": "base",
        "needed": 800,
        "available": 450,
        "missing": 350,
    }
    only = await api.get("/v1/members/M1/rewards?redeemable=true", headers=bearer("agent"))
    assert [item["reward_id"] for item in only.json()["items"]] == ["tea"]


async def test_what_kept_a_member_away_goes_as_time_and_stock_come(
    api: Client, bearer: Bearer, rewards: Rewards, accounts: Accounts, clock: TestClock
) -> None:
    rising = card("M1", due=(CardChange(3, START + DAY, "gold", "acceptance"),))
    await absorb(rewards.views, [carded(4, rising)])
    accounts.held["M1"] = Account(balances={"base": 800})
    await defined(api, eligibility='member.tier == "gold"')
    await stock(api, 1)
    assert not (await api.get("/v1/members/M1/rewards", headers=bearer("agent"))).json()["items"][
        0
    ]["redeemable"]
    clock.now += DAY
    item = (await api.get("/v1/members/M1/rewards", headers=bearer("agent"))).json()["items"][0]
    assert (item["redeemable"], item["left"]) == (True, 1)


async def test_a_retired_reward_leaves_the_lists_but_can_still_be_read(
    api: Client, bearer: Bearer
) -> None:
    await defined(api)
    for _ in range(2):
        answer = await api.post("/v1/rewards/mug:retire", json={"reason": "broken"})
        assert (answer.status_code, answer.json()["phase"]) == (200, "retired")
    assert (await api.get("/v1/rewards")).json()["items"] == []
    assert len((await api.get("/v1/rewards?phase=retired")).json()["items"]) == 1
    read = await api.get("/v1/rewards/mug", headers=bearer("member", "M1"))
    assert read.json()["phase"] == "retired"
    again = await api.put("/v1/rewards/mug", json={**MUG, "unit_cost": 1})
    assert (again.status_code, again.json()["code"]) == (409, "reward_retired")


async def test_the_example_in_the_documentation_can_be_sent(api: Client, app: FastAPI) -> None:
    document = (await api.get("/openapi.json")).json()
    operation = document["paths"]["/v1/rewards/{reward_id}"]["put"]
    example = operation["requestBody"]["content"]["application/json"]["schema"]["examples"][0]
    assert operation["x-mooring-roles"] == ["marketer"]
    answer = await api.put("/v1/rewards/example", json=example)
    assert answer.status_code == 201, answer.text


async def corrected(api: Client, key: str = "c1", **body: Any) -> httpx.Response:
    """Three were damaged, if nothing else is said."""
    return await api.post(
        "/v1/rewards/mug/stock/corrections",
        json={"quantity": -3, "reason": "damaged", **body},
        headers={"idempotency-key": key},
    )


async def test_stock_is_written_down_once_for_a_key_and_stands_in_the_figures(
    api: Client, bearer: Bearer
) -> None:
    await defined(api)
    await stock(api, 20)
    answers = [await corrected(api, note="Fell off the shelf") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].json() == answers[1].json()
    shown = (await api.get("/v1/rewards/mug/stock", headers=bearer("agent"))).json()
    assert sum(shown.pop("slices")) == 17
    assert shown == {
        "reward_id": "mug",
        "added": 20,
        "left": 17,
        "reserved": 0,
        "redeemed": 0,
        "written_down": 3,
        "written_down_for": {"damaged": 3},
        "corrections": [
            {
                "at": "2026-01-01T00:00:00Z",
                "quantity": -3,
                "reason": "damaged",
                "note": "Fell off the shelf",
                "by": "dev:marketer",
            }
        ],
    }
    other = await corrected(api, quantity=-4, note="Fell off the shelf")
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    assert (await api.get("/v1/rewards/mug")).json()["left"] == 17


async def test_no_more_is_written_down_than_is_left_and_the_problem_says_how_many(
    api: Client, rewards: Rewards
) -> None:
    await defined(api)
    await stock(api, 2)
    before = len(await facts(rewards))
    answer = await corrected(api)
    assert answer.status_code == 409
    problem = answer.json()
    assert (problem["code"], problem["asked"], problem["left"]) == ("stock_short", 3, 2)
    assert len(await facts(rewards)) == before


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"quantity": 3}, "quantity", "must be at most -1"),
        ({"quantity": 0}, "quantity", "must be at most -1"),
        ({"quantity": -1.5}, "quantity", "must be a whole number, not '-1.5'"),
        ({"quantity": -(10**9)}, "quantity", "must be at least -100000000"),
        ({"reason": "eaten"}, "reason", None),
        ({"reason": None}, "reason", None),
        ({"note": ""}, "note", None),
        ({"by": "mara"}, "by", "is not a known field"),
    ],
)
async def test_what_is_wrong_with_a_correction_is_named_and_nothing_is_written_down(
    api: Client, rewards: Rewards, fields: dict[str, Any], field: str, message: str | None
) -> None:
    await defined(api)
    await stock(api, 20)
    before = len(await facts(rewards))
    answer = await corrected(api, **fields)
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    assert error["field"] == field
    assert message is None or error["message"] == message
    assert len(await facts(rewards)) == before


async def test_a_correction_needs_a_key_a_reward_and_a_limit_to_its_stock(api: Client) -> None:
    assert (await corrected(api)).json()["code"] == "no_such_reward"
    await defined(api, limited=False)
    assert (await corrected(api)).json()["code"] == "stock_unlimited"
    without = await api.post(
        "/v1/rewards/mug/stock/corrections", json={"quantity": -1, "reason": "lost"}
    )
    assert (without.status_code, without.json()["code"]) == (400, "idempotency_key_missing")
