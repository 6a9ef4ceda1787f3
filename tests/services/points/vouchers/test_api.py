"""The vouchers API over HTTP."""

from typing import Any

import pytest

from kit.clock import DAY
from tests.services.points.vouchers.making import Api
from tests.services.starting import TestClock

SPRING = {
    "name": "Ten off",
    "kind": "value",
    "amount": 1000,
    "valid_days": 90,
    "most_vouchers": 50,
    "partners": ["north"],
    "minimum_basket": 3000,
}
BASKET = {"amount": 4599, "currency": "USD"}
UNKNOWN = "363V-YZ2P-7JN0-P9YJ-W7MM"
REDEEM, VALIDATE = "/v1/vouchers:redeem", "/v1/vouchers:validate"


async def spring(api: Api, **changes: Any) -> Any:
    return await api.call("marketer", "PUT", "/v1/voucher-series/spring", {**SPRING, **changes})


async def issued(api: Api, key: str = "k1") -> Any:
    body = {"series_id": "spring", "reason": "Order 4711 came late"}
    return await api.call("agent", "POST", "/v1/members/M1/vouchers", body, key)


async def own_code(api: Api) -> str:
    answer = await api.call("member:M1", "GET", "/v1/members/M1/vouchers")
    code: str = answer.json()["items"][0]["code"]
    return code


async def test_a_series_is_defined_changed_and_listed_with_its_counts(api: Api) -> None:
    first = await spring(api)
    assert first.status_code == 201
    assert first.json() == {
        **SPRING,
        "series_id": "spring",
        "version": 1,
        "currency": "USD",
        "codes": "generated",
        "budget": 50,
        "combinable": False,
        "partial": False,
        "closed": False,
        "counts": {
            **dict.fromkeys(("issued", "open", "redeemed", "cancelled", "expired", "waiting"), 0),
            "value_outstanding": 0,
            "counted_at": "2026-01-01T00:00:00Z",
        },
    }
    assert (await spring(api)).status_code == 200
    changed = await spring(api, closed=True, most_vouchers=60)
    assert (changed.json()["version"], changed.json()["budget"]) == (2, 60)
    listed = await api.call("operator", "GET", "/v1/voucher-series")
    assert listed.json() == {"items": [changed.json()]}


async def test_counts_are_at_most_a_minute_old(api: Api, clock: TestClock) -> None:
    await spring(api)
    await issued(api)
    before = await api.call("marketer", "GET", "/v1/voucher-series/spring")
    assert before.json()["counts"]["issued"] == 0
    clock.now += 60_000_000
    after = (await api.call("marketer", "GET", "/v1/voucher-series/spring")).json()["counts"]
    assert (after["issued"], after["open"], after["value_outstanding"]) == (1, 1, 1000)
    assert after["counted_at"] == "2026-01-01T00:01:00Z"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": 0}, "amount"),
        ({"amount": -5}, "amount"),
        ({"amount": 2**53}, "amount"),
        ({"amount": 12.5}, "amount"),
        ({"amount": None}, "amount"),
        ({"percent": 10}, "percent"),
        ({"kind": "percentage", "amount": None}, "percent"),
        ({"kind": "product", "amount": None}, "sku"),
        ({"kind": "product", "amount": None, "sku": "mug", "partial": True}, "partial"),
        ({"most_vouchers": None}, "most_vouchers"),
        ({"codes": "imported"}, "most_vouchers"),
        ({"most_value": 999}, "most_value"),
        ({"kind": "percentage", "amount": None, "percent": 9, "most_value": 9}, "most_value"),
        ({"valid_days": 0}, "valid_days"),
        ({"valid_until": "2026-01-01"}, "valid_until"),
        (
            {"valid_from": "2026-02-01T00:00:00Z", "valid_until": "2026-01-01T00:00:00Z"},
            "valid_until",
        ),
        ({"name": ""}, "name"),
        ({"partner": "north"}, "partner"),
    ],
)
async def test_a_mistake_in_a_series_is_named_with_its_fix(
    api: Api, changes: dict[str, Any], field: str
) -> None:
    answer = await spring(api, **changes)
    assert answer.status_code == 422
    assert [one["field"] for one in answer.json()["errors"]] == [field]
    assert answer.json()["errors"][0]["fix"]
    missing = await api.call("marketer", "GET", "/v1/voucher-series/spring")
    assert (missing.status_code, missing.json()["code"]) == (404, "series_unknown")


async def test_what_never_changes_is_refused_by_name(api: Api) -> None:
    await spring(api)
    worth = await spring(api, amount=900)
    assert (worth.status_code, worth.json()["code"], worth.json()["field"]) == (
        409,
        "series_fixed",
        "worth",
    )
    budget = await spring(api, most_vouchers=49)
    assert (budget.status_code, budget.json()["code"]) == (409, "budget_only_grows")


async def test_a_member_sees_the_whole_code_and_staff_its_end(api: Api) -> None:
    await spring(api)
    answer = await issued(api)
    assert answer.status_code == 201
    own = (await api.call("member:M1", "GET", "/v1/members/M1/vouchers")).json()["items"]
    code = own[0].pop("code")
    assert len(code) == 24
    assert own == [answer.json()]
    assert answer.json() == {
        "voucher_id": answer.json()["voucher_id"],
        "series_id": "spring",
        "member_id": "M1",
        "kind": "value",
        "amount": 1000,
        "status": "open",
        "ending": code[-4:],
        "currency": "USD",
        "remaining": 1000,
        "issued_at": "2026-01-01T00:00:00Z",
        "valid_from": "2026-01-01T00:00:00Z",
        "expires_at": "2026-04-01T00:00:00Z",
        "minimum_basket": 3000,
        "combinable": False,
        "partial": False,
    }
    staff = await api.call("agent", "GET", "/v1/members/M1/vouchers")
    assert "code" not in staff.json()["items"][0]
    stranger = await api.call("member:M2", "GET", "/v1/members/M1/vouchers")
    assert stranger.status_code == 403


async def test_issuing_is_idempotent_by_its_key(api: Api) -> None:
    await spring(api)
    first, again = await issued(api), await issued(api)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    body = {"series_id": "spring"}
    other = await api.call("agent", "POST", "/v1/members/M2/vouchers", body, "k1")
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    without = await api.call("agent", "POST", "/v1/members/M1/vouchers", body)
    assert (without.status_code, without.json()["code"]) == (400, "idempotency_key_missing")


async def test_vouchers_are_listed_newest_first_in_pages(api: Api, clock: TestClock) -> None:
    await spring(api)
    ids = []
    for number in range(5):
        clock.now += 1_000_000
        ids.append((await issued(api, f"k{number}")).json()["voucher_id"])
    found, query = [], "?limit=2"
    while query:
        page = (await api.call("agent", "GET", f"/v1/members/M1/vouchers{query}")).json()
        found += [item["voucher_id"] for item in page["items"]]
        query = f"?limit=2&cursor={page['next']}" if "next" in page else ""
    assert found == ids[::-1]


async def test_a_till_validates_redeems_once_and_undoes(api: Api) -> None:
    await spring(api)
    await issued(api)
    code = (await own_code(api)).lower().replace("-", " ")
    shown = {"code": code, "basket": BASKET}
    would = await api.call("partner:north", "POST", VALIDATE, shown)
    assert (would.status_code, would.json()["discount"], would.json()["remaining"]) == (
        200,
        1000,
        0,
    )
    till = {**shown, "till": "store-12:3"}
    done = await api.call("partner:north", "POST", REDEEM, till, "r1")
    assert done.status_code == 200
    assert done.json()["redeemed_at"] == "2026-01-01T00:00:00Z"
    assert done.json()["undoable_until"] == "2026-01-01T00:30:00Z"
    assert (await api.call("partner:north", "POST", REDEEM, till, "r1")).json() == done.json()
    twice = await api.call("partner:north", "POST", REDEEM, till, "r2")
    assert (twice.status_code, twice.json()["code"]) == (409, "voucher_redeemed")
    assert twice.json()["redeemed_at"] == "2026-01-01T00:00:00Z"
    assert not {"member_id", "partner", "till"} & set(twice.json())
    undo = f"/v1/vouchers/{done.json()['voucher_id']}:undo"
    mistake = {"redemption_id": done.json()["redemption_id"]}
    foreign = await api.call("partner:south", "POST", undo, mistake)
    assert (foreign.status_code, foreign.json()["code"]) == (404, "redemption_unknown")
    assert (await api.call("partner:north", "POST", undo, mistake)).status_code == 204
    assert (await api.call("partner:north", "POST", REDEEM, till, "r2")).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"code": UNKNOWN, "basket": BASKET}, 404, "voucher_unknown"),
        ({"code": UNKNOWN[:-1] + "N", "basket": BASKET}, 422, "code_mistyped"),
        ({"code": "x", "basket": BASKET}, 422, "code_format"),
        ({"code": "x" * 65, "basket": BASKET}, 422, "invalid_request"),
        ({"code": UNKNOWN, "basket": {"amount": 0, "currency": "USD"}}, 422, "invalid_request"),
        ({"code": UNKNOWN, "basket": {"amount": 2**53, "currency": "USD"}}, 422, "invalid_request"),
        ({"code": UNKNOWN, "amount": -1}, 422, "invalid_request"),
    ],
)
async def test_what_a_till_cannot_redeem_is_told(
    api: Api, body: dict[str, Any], status: int, code: str
) -> None:
    answer = await api.call("partner:north", "POST", REDEEM, body, "r1")
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_foreign_partner_learns_no_more_than_that_nothing_is_there(api: Api) -> None:
    await spring(api)
    await issued(api)
    answers = [
        await api.call("partner:south", "POST", REDEEM, {"code": code, "basket": BASKET}, "r1")
        for code in (await own_code(api), UNKNOWN)
    ]
    for answer in answers:
        assert answer.status_code == 404
    known, unknown = ({**answer.json(), "trace_id": None} for answer in answers)
    assert known == unknown


async def test_too_many_guesses_are_refused_with_a_time_to_wait(api: Api) -> None:
    guess = {"code": UNKNOWN, "basket": BASKET}
    for _ in range(20):
        answer = await api.call("partner:north", "POST", VALIDATE, guess)
        assert answer.status_code == 404
    answer = await api.call("partner:north", "POST", REDEEM, guess, "r1")
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_guesses")
    assert answer.headers["retry-after"] == "900"


async def test_an_agent_cancels_with_a_reason(api: Api) -> None:
    await spring(api)
    voucher_id = (await issued(api)).json()["voucher_id"]
    path = f"/v1/vouchers/{voucher_id}:cancel"
    assert (await api.call("agent", "POST", path, {})).status_code == 422
    done = await api.call("agent", "POST", path, {"reason": "Issued twice"})
    assert (done.status_code, done.json()["status"]) == (200, "cancelled")
    again = await api.call("agent", "POST", path, {"reason": "Issued twice"})
    assert again.json() == done.json()
    other = await api.call("agent", "POST", path, {"reason": "Other"})
    assert (other.status_code, other.json()["code"]) == (409, "voucher_cancelled")
    unknown = await api.call(
        "agent", "POST", f"/v1/vouchers/vch_{'a' * 26}:cancel", {"reason": "x"}
    )
    assert (unknown.status_code, unknown.json()["code"]) == (404, "voucher_unknown")


async def test_an_expired_voucher_is_shown_as_such_before_the_duty(
    api: Api, clock: TestClock
) -> None:
    await spring(api)
    await issued(api)
    clock.now += 90 * DAY
    (item,) = (await api.call("agent", "GET", "/v1/members/M1/vouchers")).json()["items"]
    assert (item["status"], item["ended_at"]) == ("expired", "2026-04-01T00:00:00Z")


async def test_codes_are_imported_with_a_receipt_for_each(api: Api) -> None:
    path = "/v1/voucher-series/spring/codes"
    await spring(api, codes="imported", most_vouchers=None)
    codes = {"codes": ["SPRING-4711", "spring 4711", "no"]}
    answer = await api.call("operator", "POST", path, codes)
    assert answer.json() == {
        "imported": 1,
        "results": [
            {"status": "imported"},
            {"status": "duplicate"},
            {
                "status": "refused",
                "code": "code_format",
                "detail": "A code has 8 to 40 letters and digits; blanks and dashes do not count.",
            },
        ],
    }
    await issued(api)
    assert await own_code(api) == "SPRING-4711"
    for size in (0, 1001):
        many = await api.call("operator", "POST", path, {"codes": ["SPRING-4711"] * size})
        assert many.status_code == 422


@pytest.mark.parametrize(
    ("role", "method", "path"),
    [
        ("agent", "PUT", "/v1/voucher-series/spring"),
        ("member:M1", "GET", "/v1/voucher-series"),
        ("partner:north", "GET", "/v1/voucher-series/spring"),
        ("agent", "POST", "/v1/voucher-series/spring/codes"),
        ("marketer", "POST", "/v1/members/M1/vouchers"),
        ("member:M1", "POST", "/v1/members/M1/vouchers"),
        ("partner:north", "GET", "/v1/members/M1/vouchers"),
        ("member:M1", "POST", VALIDATE),
        ("agent", "POST", REDEEM),
        ("partner", "POST", REDEEM),
        ("partner:north", "POST", f"/v1/vouchers/vch_{'a' * 26}:cancel"),
        ("agent", "POST", f"/v1/vouchers/vch_{'a' * 26}:undo"),
    ],
)
async def test_who_has_no_business_there_is_turned_away(
    api: Api, role: str, method: str, path: str
) -> None:
    bodies = {REDEEM: {"code": UNKNOWN}}
    answer = await api.call(role, method, path, bodies.get(path, {}), "k1")
    assert answer.status_code == 403


async def test_every_operation_is_described_with_roles_and_problems(api: Api) -> None:
    document = (await api.client.get("/openapi.json")).json()
    operations = [
        (path, one)
        for path, item in document["paths"].items()
        if path.startswith("/v1/")
        for one in item.values()
    ]
    assert len(operations) == 10
    for path, one in operations:
        assert one["x-mooring-roles"], path
        assert one["summary"], path
        assert "403" in one["responses"], path
