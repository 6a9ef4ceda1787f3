"""The events API over HTTP."""

import httpx
import msgspec
import pytest

from kit.auth import LocalIssuer
from tests.services.events.bodies import Body, common, purchase, returning
from tests.services.events.calling import as_, timeline


async def test_a_purchase_is_accepted_then_known(api: httpx.AsyncClient) -> None:
    first = await api.post("/v1/activities", json=purchase("1", 1299, 450))
    again = await api.post("/v1/activities", json=purchase("1", 1299, 450))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == {
        "status": "accepted",
        "activity_id": "act_2zlj3vh2gttxr6liaqudeu5n",
        "seq": 1,
    }
    assert again.json() == first.json() | {"status": "duplicate"}


async def test_every_type_of_activity_is_taken(api: httpx.AsyncClient, issuer: LocalIssuer) -> None:
    bodies = [
        purchase("1", 100),
        common("purchase", "2", amount=700),
        returning("3", "1"),
        common("visit", "4"),
        common("app_open", "5"),
        common("content_view", "6", subject="article/1"),
        common("wish", "7", subject="sku/1"),
        common("share", "8"),
        common("review", "9", rating=5),
        common("custom", "10", subject="quiz", attributes={"score": 7, "won": True, "by": "x"}),
    ]
    for body in bodies:
        answer = await api.post("/v1/activities", json=body)
        assert answer.status_code == 201, answer.text
    items = await timeline(api, issuer)
    assert [item["type"] for item in items] == [body["type"] for body in reversed(bodies)]
    assert items[0]["attributes"] == {"by": "x", "score": 7, "won": True}
    assert items[7]["returned"] == {
        "activity_id": items[9]["activity_id"],
        "amount": 100,
        "full": True,
        "lines": [{"line": 1, "amount": 100, "before": 0, "after": 100}],
    }
    assert items[8]["lines"] == [{"line": 1, "amount": 700, "quantity": 1}]


BAD: list[tuple[Body, str]] = [
    (purchase("1", -1), "lines[0].amount"),
    (purchase("1", 10**12 + 1), "lines[0].amount"),
    (common("purchase", "1", lines=[{"amount": 12.5}]), "lines[0].amount"),
    (common("purchase", "1", lines=[{"amount": "12"}]), "lines[0].amount"),
    (common("purchase", "1", lines=[{"amount": 1, "colour": "red"}]), "lines[0].colour"),
    (purchase("1", *[1] * 501), "lines"),
    (common("purchase", "1"), "lines"),
    (common("purchase", "1", amount=99, lines=[{"amount": 100}]), "lines"),
    (common("purchase", "1", lines=[{"line": 2, "amount": 1}, {"amount": 1}]), "lines"),
    (common("review", "1", rating=6), "rating"),
    (common("teleport", "1"), "body"),
    (common("visit", "1", channel="pigeon"), "channel"),
    (common("visit", "with space"), "external_id"),
    (common("visit", "a/b"), "external_id"),
    (common("visit", "1", member="../etc"), "member_id"),
    ({**common("visit", "1"), "source": "POS"}, "source"),
    ({**common("visit", "1"), "occurred_at": "2025-12-31T12:00:00"}, "occurred_at"),
    ({**common("visit", "1"), "occurred_at": 1_700_000_000}, "occurred_at"),
    ({**common("visit", "1"), "occurred_at": "2026-01-01T00:05:01Z"}, "occurred_at"),
    ({**common("visit", "1"), "occurred_at": "1989-12-31T23:59:59Z"}, "occurred_at"),
    (common("custom", "1", subject="x", attributes={f"a{n}": 1 for n in range(21)}), "attributes"),
    (common("custom", "1", subject="x", attributes={"a": [1]}), "attributes"),
    (common("return", "1", purchase={"source": "pos"}), "purchase"),
    (returning("1", "2", (1, 0)), "lines[0].amount"),
    (returning("1", "2", (1, 5), (1, 5)), "lines"),
]


@pytest.mark.parametrize(("body", "field"), BAD, ids=lambda value: str(value)[:40])
async def test_what_is_wrong_is_refused_by_field_and_nothing_is_recorded(
    api: httpx.AsyncClient, issuer: LocalIssuer, body: Body, field: str
) -> None:
    single = await api.post("/v1/activities", json=body)
    batch = await api.post("/v1/activities:batch", json={"activities": [body]})
    assert single.status_code == 422, single.text
    assert single.json()["code"] == "invalid_request"
    assert field in single.json()["errors"][0]["field"]
    (result,) = batch.json()["results"]
    assert (result["status"], result["problem"]["status"]) == ("refused", 422)
    place = result["problem"]["errors"][0]["field"]
    assert place.startswith("activities[0]")
    assert field.replace("body", "") in place
    assert await timeline(api, issuer) == []


async def test_one_bad_item_does_not_stop_the_others(
    api: httpx.AsyncClient, issuer: LocalIssuer
) -> None:
    activities = [purchase("1", 100), {"type": "purchase"}, purchase("2", 200), 17]
    answer = await api.post("/v1/activities:batch", json={"activities": activities})
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [one["status"] for one in results] == ["accepted", "refused", "accepted", "refused"]
    assert results[1]["problem"]["errors"][0]["field"].startswith("activities[1]")
    assert [item["amount"] for item in await timeline(api, issuer)] == [200, 100]


async def test_an_item_that_is_not_utf_8_is_refused_like_any_other(
    api: httpx.AsyncClient, issuer: LocalIssuer
) -> None:
    good = msgspec.json.encode(purchase("1", 100))
    content = b'{"activities": [' + good + b', {"type": "\xff"}]}'
    answer = await api.post("/v1/activities:batch", content=content)
    assert [one["status"] for one in answer.json()["results"]] == ["accepted", "refused"]
    assert len(await timeline(api, issuer)) == 1


async def test_an_item_that_is_not_utf_8_is_refused_alone(
    api: httpx.AsyncClient, issuer: LocalIssuer
) -> None:
    good = msgspec.json.encode(purchase("1", 100))
    content = b'{"activities": [{"channel": "\xff\xfe"}, ' + good + b"]}"
    answer = await api.post("/v1/activities:batch", content=content)
    assert [one["status"] for one in answer.json()["results"]] == ["refused", "accepted"]


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b'{"activities": [', 400, "malformed_json"),
        (b'{"activities": [{"amount": NaN}]}', 400, "malformed_json"),
        (b"[]", 422, "invalid_request"),
        (b'{"activities": []}', 422, "invalid_request"),
        (b'{"activities": [1], "extra": 1}', 422, "invalid_request"),
        (b'{"activities": [' + b"1," * 1000 + b"1]}", 422, "invalid_request"),
        (b'{"activities": ["' + b"x" * 9_000_000 + b'"]}', 413, "body_too_large"),
    ],
    ids=["cut", "nan", "array", "empty", "unknown field", "1,001 items", "9 MB"],
)
async def test_a_batch_that_is_none_is_refused_whole(
    api: httpx.AsyncClient, content: bytes, status: int, code: str
) -> None:
    answer = await api.post("/v1/activities:batch", content=content)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_conflict_is_a_problem_with_its_own_code(api: httpx.AsyncClient) -> None:
    await api.post("/v1/activities", json=purchase("1", 100))
    other = await api.post("/v1/activities", json=purchase("1", 200))
    theirs = await api.post("/v1/activities", json=purchase("1", 100, member="M2"))
    assert (other.status_code, other.json()["code"]) == (409, "activity_id_reused")
    assert (theirs.status_code, theirs.json()["code"]) == (409, "activity_id_taken")


async def test_a_return_of_too_much_says_what_is_left(api: httpx.AsyncClient) -> None:
    await api.post("/v1/activities", json=purchase("1", 100, 50))
    answer = await api.post("/v1/activities", json=returning("2", "1", (1, 101)))
    assert answer.status_code == 409
    assert answer.json()["left"] == [{"line": 1, "amount": 100}, {"line": 2, "amount": 50}]


MEMBERS_OWN = {**common("share", "1"), "source": "app", "channel": "app"}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (MEMBERS_OWN, 201, None),
        (MEMBERS_OWN | {"member_id": "M2"}, 403, "not_your_member"),
        (purchase("1", 100) | {"source": "app"}, 403, "type_not_allowed"),
        (MEMBERS_OWN | {"source": "pos"}, 403, "source_not_allowed"),
    ],
)
async def test_a_member_records_contacts_of_their_own_only(
    api: httpx.AsyncClient, issuer: LocalIssuer, body: Body, status: int, code: str | None
) -> None:
    answer = await api.post("/v1/activities", json=body, headers=as_(issuer, "member", "M1"))
    assert (answer.status_code, answer.json().get("code")) == (status, code)
    batch = await api.post(
        "/v1/activities:batch", json={"activities": [body]}, headers=as_(issuer, "member", "M1")
    )
    (result,) = batch.json()["results"]
    assert result.get("problem", {}).get("code") == code


@pytest.mark.parametrize("path", ["/v1/activities", "/v1/activities:batch"])
async def test_recording_needs_a_token_of_the_right_role(
    api: httpx.AsyncClient, issuer: LocalIssuer, path: str
) -> None:
    body = purchase("1", 100)
    marketer = await api.post(path, json=body, headers=as_(issuer, "marketer"))
    nobody = await api.post(path, json=body, headers={"authorization": ""})
    assert (marketer.status_code, nobody.status_code) == (403, 401)


async def test_the_timeline_pages_from_the_newest_on(
    api: httpx.AsyncClient, issuer: LocalIssuer
) -> None:
    for number in range(5):
        await api.post("/v1/activities", json=purchase(str(number), 100 + number))
    amounts, cursor = [], None
    for _ in range(3):
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        answer = await api.get(
            "/v1/members/M1/activities", params=query, headers=as_(issuer, "agent")
        )
        amounts.append([item["amount"] for item in answer.json()["items"]])
        cursor = answer.json().get("next")
    assert amounts == [[104, 103], [102, 101], [100]]
    assert cursor is None


async def test_another_members_activities_are_not_to_be_seen(
    api: httpx.AsyncClient, issuer: LocalIssuer
) -> None:
    made = await api.post("/v1/activities", json=purchase("1", 100))
    path = f"/v1/activities/{made.json()['activity_id']}"
    stranger, owner = as_(issuer, "member", "M2"), as_(issuer, "member", "M1")
    assert (await api.get("/v1/members/M1/activities", headers=stranger)).status_code == 403
    for below in ("", "/decision"):
        assert (await api.get(path + below, headers=stranger)).status_code == 404
        assert (await api.get(path + below, headers=owner)).status_code == 200
    unknown = await api.get("/v1/activities/act_" + "a" * 24)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "activity_not_found")


async def test_an_activity_of_somebody_unknown_waits_for_their_enrolment(
    api: httpx.AsyncClient,
) -> None:
    made = await api.post("/v1/activities", json=purchase("1", 100, member="nobody"))
    answer = await api.get(f"/v1/activities/{made.json()['activity_id']}/decision")
    assert answer.json() == {
        "activity_id": made.json()["activity_id"],
        "member_id": "nobody",
        "seq": 1,
        "status": "waiting",
        "reason": "not_enrolled",
        "explanation": "The member is not enrolled yet; it is decided once they are.",
    }


async def test_a_return_that_found_its_purchase_shows_what_it_took_back(
    api: httpx.AsyncClient,
) -> None:
    made = await api.post("/v1/activities", json=returning("2", "1"))
    path = f"/v1/activities/{made.json()['activity_id']}"
    assert "returned" not in (await api.get(path)).json()
    await api.post("/v1/activities", json=purchase("1", 100))
    assert (await api.get(path)).json()["returned"]["amount"] == 100


async def test_the_documentation_describes_batches_and_examples(api: httpx.AsyncClient) -> None:
    app = api._transport.app  # type: ignore[attr-defined]
    document = app.openapi()
    schemas = document["components"]["schemas"]
    assert {"PurchaseBody", "ReturnBody", "Receipts", "DecisionView"} <= set(schemas)
    batch = document["paths"]["/v1/activities:batch"]["post"]
    assert batch["x-mooring-roles"] == ["agent", "member", "operator", "partner"]
    example = batch["requestBody"]["content"]["application/json"]["example"]
    answer = await api.post("/v1/activities:batch", content=msgspec.json.encode(example))
    assert [one["problem"]["code"] for one in answer.json()["results"]] == ["invalid_request"] * 2
