"""The members API over HTTP."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from contracts.envelope import Fact
from kit.auth import LocalIssuer
from kit.settings import StoreSettings
from services.members import audit
from services.members.absorbing import Absorber
from services.members.app import create_app
from services.members.settings import ApiSettings
from services.members.wiring import Wiring
from tests.services.members.facts import DAY, Notebook, recorded
from tests.services.starting import TestClock, api_settings

ANA = {
    "member_id": "M1",
    "channel": "store",
    "name": "Ana Lima",
    "email": "Ana@example.com",
    "phone": "+1 555 0100",
    "region": "north",
    "interests": ["coffee", "coffee", "hiking"],
    "consents": {"newsletter": True},
}
Bearer = Callable[..., dict[str, str]]


@pytest.fixture
def bearer(issuer: LocalIssuer) -> Bearer:
    return lambda *who: {"authorization": f"Bearer {issuer.token(*who)}"}


@pytest.fixture
async def api(
    tmp_path: Path, store: StoreSettings, clock: TestClock, bearer: Bearer, wiring: Wiring
) -> AsyncIterator[httpx.AsyncClient]:
    settings = api_settings(ApiSettings, tmp_path)
    app = create_app(settings, clock)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://members") as client:
            client.headers.update(bearer("agent"))
            yield client


async def enrolled(api: httpx.AsyncClient, **fields: Any) -> None:
    answer = await api.post("/v1/members", json={**ANA, **fields})
    assert answer.status_code == 201, answer.text


async def files(wiring: Wiring) -> list[Fact]:
    return [fact async for facts in wiring.files.scan() for fact in facts]


async def taken_in(wiring: Wiring, *facts: Fact) -> None:
    """What the worker does with the member files so far and these activities."""
    await Absorber(wiring.keeper, Notebook()).take_in([*await files(wiring), *facts])


async def test_enrolling_answers_with_a_receipt_and_makes_one_fact(
    api: httpx.AsyncClient, wiring: Wiring
) -> None:
    answer = await api.post("/v1/members", json=ANA)
    assert (answer.status_code, answer.json()) == (
        201,
        {
            "status": "accepted",
            "member_id": "M1",
            "channel": "store",
            "enrolled_at": "2026-01-01T00:00:00Z",
        },
    )
    (fact,) = await files(wiring)
    assert (fact.id, fact.type) == ("member:M1/000000000001", "MemberEnrolled")
    assert bytes(fact.body) == (
        b'{"member_id":"M1","channel":"store",'
        b'"fields":["name","email","phone","region","interests","consents"],"region":"north"}'
    )
    assert b"Ana" not in bytes(fact.body)


async def test_enrolling_again_with_the_same_content_changes_nothing(
    api: httpx.AsyncClient, wiring: Wiring, clock: TestClock
) -> None:
    await enrolled(api)
    await api.patch("/v1/members/M1", json={"name": "Ana Reis"})
    before = await files(wiring)
    clock.now += DAY
    again = await api.post("/v1/members", json=ANA)
    assert (again.status_code, again.json()["status"]) == (200, "duplicate")
    assert again.json()["enrolled_at"] == "2026-01-01T00:00:00Z"
    assert await files(wiring) == before
    assert (await api.get("/v1/members/M1")).json()["name"] == "Ana Reis"


async def test_enrolling_again_with_another_content_is_refused(
    api: httpx.AsyncClient, wiring: Wiring
) -> None:
    await enrolled(api)
    answer = await api.post("/v1/members", json={**ANA, "name": "Bea"})
    assert (answer.status_code, answer.json()["code"]) == (409, "already_enrolled")
    assert len(await files(wiring)) == 1
    assert (await api.get("/v1/members/M1")).json()["name"] == "Ana Lima"


async def test_without_an_id_the_idempotency_key_makes_one(
    api: httpx.AsyncClient, wiring: Wiring
) -> None:
    body = {"channel": "web", "name": "Bea"}
    key = {"idempotency-key": "form-17"}
    first = await api.post("/v1/members", json=body, headers=key)
    again = await api.post("/v1/members", json=body, headers=key)
    other = await api.post("/v1/members", json={**body, "name": "Cyd"}, headers=key)
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 409)
    assert other.json()["code"] == "idempotency_key_reused"
    assert first.json()["member_id"] == again.json()["member_id"]
    assert len(await files(wiring)) == 1


async def test_without_an_id_and_a_key_nobody_is_enrolled(
    api: httpx.AsyncClient, wiring: Wiring
) -> None:
    answer = await api.post("/v1/members", json={"channel": "web"})
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_missing")
    assert await files(wiring) == []


async def test_a_member_enrols_themselves_and_nobody_else(
    api: httpx.AsyncClient, wiring: Wiring, bearer: Bearer
) -> None:
    own = bearer("member", "M7")
    refused = [
        await api.post("/v1/members", json=body, headers=own)
        for body in (
            {"channel": "app", "member_id": "M8"},
            {"channel": "store"},
            {"channel": "app", "enrolled_at": "2020-01-01T00:00:00Z"},
        )
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [
        (403, "not_your_member"),
        (403, "channel_not_allowed"),
        (403, "time_not_allowed"),
    ]
    assert await files(wiring) == []
    answer = await api.post("/v1/members", json={"channel": "app"}, headers=own)
    assert (answer.status_code, answer.json()["member_id"]) == (201, "M7")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"email": "ana"}, "email"),
        ({"email": "ana@home"}, "email"),
        ({"phone": "call me"}, "phone"),
        ({"birthday": "1890-01-01"}, "birthday"),
        ({"birthday": "2999-01-01"}, "birthday"),
        ({"birthday": 19}, "birthday"),
        ({"name": "  "}, "name"),
        ({"name": "A" * 201}, "name"),
        ({"name": 7}, "name"),
        ({"member_id": "no spaces"}, "member_id"),
        ({"channel": "pigeon"}, "channel"),
        ({"shoe_size": 44}, "shoe_size"),
        ({"interests": ["x"] * 51}, "interests"),
        ({"consents": {"Newsletter!": True}}, "consents"),
        ({"consents": {"newsletter": "yes"}}, "consents.newsletter"),
        ({"language": "Portuguese"}, "language"),
        ({"enrolled_at": "2026-01-01T00:06:00Z"}, "enrolled_at"),
        ({"enrolled_at": "1989-12-31T00:00:00Z"}, "enrolled_at"),
        ({"enrolled_at": "2025-01-01T00:00:00"}, "enrolled_at"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_field(
    api: httpx.AsyncClient, wiring: Wiring, wrong: dict[str, Any], field: str
) -> None:
    answer = await api.post("/v1/members", json={**ANA, **wrong})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].startswith(field)
    assert await files(wiring) == []


async def test_a_batch_lands_item_by_item(api: httpx.AsyncClient, wiring: Wiring) -> None:
    await enrolled(api)
    body = {
        "members": [
            {"member_id": "M2", "channel": "store", "enrolled_at": "2020-05-01T10:00:00+02:00"},
            {"member_id": "M3", "channel": "pigeon"},
            ANA,
            {**ANA, "name": "Bea"},
            {"channel": "store"},
            {"member_id": "M2", "channel": "store", "enrolled_at": "2020-05-01T10:00:00+02:00"},
            {"member_id": "M2", "channel": "app"},
        ]
    }
    answer = await api.post("/v1/members:batch", json=body)
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [(item["status"], item.get("member_id")) for item in results] == [
        ("accepted", "M2"),
        ("refused", None),
        ("duplicate", "M1"),
        ("refused", "M1"),
        ("refused", None),
        ("duplicate", "M2"),
        ("refused", "M2"),
    ]
    assert results[0]["enrolled_at"] == "2020-05-01T08:00:00Z"
    assert results[1]["problem"]["errors"][0]["field"] == "members[1].channel"
    assert (results[3]["problem"]["code"], results[3]["problem"]["status"]) == (
        "already_enrolled",
        409,
    )
    assert [fact.stream for fact in await files(wiring)] == ["member:M1", "member:M2"]
    assert (await api.post("/v1/members:batch", json={"members": []})).status_code == 422
    many = {"members": [{"member_id": f"X{n}", "channel": "app"} for n in range(1001)]}
    assert (await api.post("/v1/members:batch", json=many)).status_code == 422


async def test_the_file_says_how_complete_it_is(api: httpx.AsyncClient) -> None:
    await enrolled(api)
    found = (await api.get("/v1/members/M1")).json()
    assert (found["completeness"], found["missing"]) == (85, {"birthday": 15})
    assert found["interests"] == ["coffee", "hiking"]
    assert found["consents"] == {"newsletter": {"granted": True, "at": "2026-01-01T00:00:00Z"}}
    assert (found["tier"], found["stage"]) == ("member", "need")


async def test_a_change_sets_clears_and_leaves_and_may_be_repeated(
    api: httpx.AsyncClient, wiring: Wiring, clock: TestClock
) -> None:
    await enrolled(api)
    clock.now += DAY
    change = {
        "birthday": "1990-04-23",
        "email": None,
        "region": None,
        "consents": {"post": False, "newsletter": True},
    }
    changed = await api.patch("/v1/members/M1", json=change)
    assert changed.status_code == 200
    assert changed.json()["birthday"] == "1990-04-23"
    assert "email" not in changed.json()
    assert changed.json()["name"] == "Ana Lima"
    assert changed.json()["consents"] == {
        "newsletter": {"granted": True, "at": "2026-01-01T00:00:00Z"},
        "post": {"granted": False, "at": "2026-01-02T00:00:00Z"},
    }
    clock.now += DAY
    assert (await api.patch("/v1/members/M1", json=change)).json() == changed.json()
    assert [bytes(fact.body) for fact in (await files(wiring))[1:]] == [
        b'{"member_id":"M1","filled":["birthday","consents"],"cleared":["email","region"]}'
    ]
    forgotten = await api.patch("/v1/members/M1", json={"consents": {"post": None}})
    assert list(forgotten.json()["consents"]) == ["newsletter"]


async def test_a_change_of_an_unknown_field_or_channel_is_refused(
    api: httpx.AsyncClient, wiring: Wiring
) -> None:
    await enrolled(api)
    for wrong in ({"channel": "app"}, {"member_id": "M2"}, {"tier": "gold"}):
        assert (await api.patch("/v1/members/M1", json=wrong)).status_code == 422
    assert (await api.patch("/v1/members/M9", json={"name": "X"})).status_code == 404
    assert len(await files(wiring)) == 1


async def test_personal_data_is_for_the_member_and_agents_alone(
    api: httpx.AsyncClient, bearer: Bearer
) -> None:
    await enrolled(api)
    for who in (("marketer",), ("operator",), ("partner",), ("member", "M2")):
        for path in ("/v1/members/M1", "/v1/members"):
            assert (await api.get(path, headers=bearer(*who))).status_code == 403
        answer = await api.patch("/v1/members/M1", json={"name": "X"}, headers=bearer(*who))
        assert answer.status_code == 403
    assert (await api.get("/v1/members/M1", headers=bearer("member", "M1"))).status_code == 200
    assert (await api.get("/v1/members/M1", headers={"authorization": ""})).status_code == 401
    assert (await api.get("/v1/members/M1/card", headers=bearer("member", "M2"))).status_code == 403
    assert (await api.get("/v1/members/M1/card", headers=bearer("marketer"))).status_code == 200


async def test_agents_find_members_by_how_something_begins(api: httpx.AsyncClient) -> None:
    await enrolled(api)
    await enrolled(api, member_id="M2", name="Anabel Reis", email="b@example.com", phone="555 0101")
    await enrolled(api, member_id="M3", name="Bob", email="c@example.com", phone="+15550199")

    async def found(**query: str) -> list[str]:
        answer = await api.get("/v1/members", params=query)
        return [item["member_id"] for item in answer.json()["items"]]

    assert await found(name="aNa") == ["M1", "M2"]
    assert await found(name="ana ") == ["M1", "M2"]
    assert await found(email="ana@EX") == ["M1"]
    assert await found(phone="+1 (555) 01") == ["M1", "M3"]
    assert await found(name="zoe") == []
    assert await found() == ["M1", "M2", "M3"]
    assert (await api.get("/v1/members?name=a&email=b")).json()["code"] == "one_search"
    assert (await api.get("/v1/members?phone=abc")).json()["code"] == "one_search"


async def test_lists_page_without_skipping_or_repeating(
    api: httpx.AsyncClient, wiring: Wiring
) -> None:
    for n in range(7):
        await enrolled(api, member_id=f"M{n}", name="Same Name")
    await taken_in(wiring, *[recorded(f"M{n}", 1, amount=700_00) for n in (1, 3, 5)])
    for query in ({}, {"name": "same"}, {"tier": "silver"}, {"name": "s", "stage": "acceptance"}):
        seen: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = (await api.get("/v1/members", params={**query, **cursor, "limit": 2})).json()
            seen += [item["member_id"] for item in page["items"]]
            if "next" not in page:
                break
            cursor = {"cursor": page["next"]}
        everybody = [f"M{n}" for n in range(7)]
        assert seen == (["M1", "M3", "M5"] if "tier" in query or "stage" in query else everybody)


async def test_marketers_see_how_many_stand_where(
    api: httpx.AsyncClient, wiring: Wiring, bearer: Bearer
) -> None:
    for n in range(3):
        await enrolled(api, member_id=f"M{n}")
    await taken_in(wiring, recorded("M1", 1, amount=700_00), recorded("M9", 1))
    answer = await api.get("/v1/members:summary", headers=bearer("marketer"))
    assert answer.json() == {
        "members": 3,
        "tiers": {"member": 2, "silver": 1, "gold": 0},
        "stages": {"need": 2, "awareness": 0, "acceptance": 1, "satisfaction": 0, "loyalty": 0},
        "tier_stages": {"member": {"need": 2}, "silver": {"acceptance": 1}},
    }
    assert (await api.get("/v1/members:summary", headers=bearer("partner"))).status_code == 403


async def test_the_card_is_there_as_soon_as_the_member_is(
    api: httpx.AsyncClient, wiring: Wiring
) -> None:
    await enrolled(api)
    first = (await api.get("/v1/members/M1/card")).json()
    assert (first["tier"], first["stage"], first["absorbed"], first["changes"]) == (
        "member",
        "need",
        0,
        [],
    )
    await taken_in(wiring, recorded("M1", 1))
    card = (await api.get("/v1/members/M1/card")).json()
    assert card["changes"] == [
        {"after_seq": 1, "at": "2025-01-01T12:00:00Z", "tier": "member", "stage": "acceptance"}
    ]
    assert card["due"] == []
    assert (await api.get("/v1/members/M9/card")).json()["code"] == "no_such_member"


async def test_the_stage_explains_itself(api: httpx.AsyncClient, wiring: Wiring) -> None:
    await enrolled(api)
    await taken_in(wiring, recorded("M1", 1), recorded("M1", 2, day=10))
    view = (await api.get("/v1/members/M1/stage")).json()
    assert (view["stage"], view["name"]["zh"], view["as_of"]) == (
        "satisfaction",
        "满意度",
        "2025-01-11T12:00:00Z",
    )
    words = {item["code"]: (item["holds"], item["words"]) for item in view["evidence"]}
    assert words["repeat"] == (
        True,
        "Bought again in time; the next purchase is expected by 2025-02-10",
    )
    assert words["advocacy"] == (False, "Has not spoken for the brand for 365 days")
    assert view["next_stage"] == {
        "stage": "loyalty",
        "rule": "sustained && advocacy",
        "missing": ["sustained", "advocacy"],
    }
    assert view["due"] == [{"stage": "acceptance", "at": "2025-02-10T12:00:00.000001Z"}]
    newest = view["history"][0]
    assert (newest["previous"], newest["reached"], newest["dwell_seconds"]) == (
        "acceptance",
        "satisfaction",
        864_000,
    )
    assert newest["evidence"]["repeat"] is True
    assert newest["facts"]["cause"] == "act_M1_2"
    page = (await api.get("/v1/members/M1/stage", params={"limit": 2})).json()
    older = {"limit": 2, "cursor": page["next"]}
    rest = (await api.get("/v1/members/M1/stage", params=older)).json()
    reached = [item["reached"] for item in (*page["history"], *rest["history"])]
    assert reached == ["satisfaction", "acceptance", "awareness"]
    assert "next" not in rest


async def test_the_tier_says_what_is_missing_and_what_keeps_it(
    api: httpx.AsyncClient, wiring: Wiring
) -> None:
    await enrolled(api)
    await taken_in(
        wiring,
        recorded("M1", 1, amount=500_00),
        recorded("M1", 2, day=100, amount=260_00),
    )
    view = (await api.get("/v1/members/M1/tier")).json()
    assert (view["tier"], view["spend"], view["multiplier"]) == ("silver", 760_00, "1.25")
    assert view["next_tier"] == {
        "tier": "gold",
        "name": {"en": "Gold", "zh": "金卡"},
        "spend": 1800_00,
        "missing": 1040_00,
    }
    assert view["keep"] == {"by": "2026-01-01T05:00:00Z", "missing": 340_00, "drops_to": "member"}
    assert view["preview"] == [
        "1040.00 USD more reaches Gold",
        "340.00 USD more by 2025-12-31 keeps Silver",
    ]


async def test_what_the_api_wrote_passes_the_audit(api: httpx.AsyncClient, wiring: Wiring) -> None:
    await enrolled(api)
    await api.patch("/v1/members/M1", json={"region": "south"})
    await taken_in(wiring, recorded("M1", 1))
    assert await audit.findings(wiring) == []


async def test_the_document_of_the_api_is_complete(api: httpx.AsyncClient) -> None:
    paths = (await api.get("/openapi.json")).json()["paths"]
    assert set(paths) == {
        "/v1/members",
        "/v1/members:batch",
        "/v1/members:summary",
        "/v1/members/{member_id}",
        "/v1/members/{member_id}/card",
        "/v1/members/{member_id}/stage",
        "/v1/members/{member_id}/tier",
    }
    for path, operations in paths.items():
        for operation in operations.values():
            assert operation["x-mooring-roles"], path
            assert operation["description"], path
