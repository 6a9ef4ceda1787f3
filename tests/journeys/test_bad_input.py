"""Whatever is sent: a clear problem with the field and the fix, nothing lost, never a 500."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import OctKey

from kit.auth import LocalIssuer
from mooring.environment import AUDIENCE
from tests.journeys.bodies import Body, accepted, activity, enrol, purchase, record, returning
from tests.journeys.bodies import statuses as statuses_of
from tests.journeys.reading import balances, timeline
from tests.journeys.running import Running

pytestmark = [
    pytest.mark.asyncio(loop_scope="package"),
    # What is refused here never gets to a store or a bus, so one adapter tells all.
    pytest.mark.parametrize("platform", ["embedded"], indirect=True),
]
AT = "2025-02-01T12:00:00Z"
JSON = {"content-type": "application/json"}


def assert_problem(answer: httpx.Response, status: int, code: str) -> Body:
    """The answer is this problem, complete, and says how to mend it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: Body = answer.json()
    assert (problem["status"], problem["code"]) == (status, code), problem
    assert problem["type"] == f"/problems/{code}"
    assert problem["title"]
    assert problem["detail"]
    assert problem["instance"].startswith("/v1/")
    for error in problem.get("errors") or ():
        assert error["field"]
        assert error["message"]
        assert error["fix"]
    return problem


@pytest_asyncio.fixture(loop_scope="package")
async def unchanged(platform: Running, member: str) -> AsyncIterator[None]:
    """A journey that must leave no trace of the member."""
    yield
    assert await timeline(platform, member) == []
    assert await balances(platform, member) == {}


UNREADABLE = {
    "cut": b'{"type": "purchase", "amount": 1',
    "nan": b'{"type": "purchase", "amount": NaN}',
    "infinity": b'{"type": "purchase", "amount": -Infinity}',
    "a comment": b'{"type": "visit" /* hello */}',
    "single quotes": b"{'type': 'visit'}",
    "two values": b"{}{}",
    "lone surrogate": b'{"type": "\\ud800"}',
    "bottomless": b"[" * 100_000,
}


BATCHES = {"activities": b'{"activities": [%s]}', "members": b'{"members": [%s]}'}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("of", BATCHES)
async def test_what_is_no_json_is_malformed_alone_and_in_a_batch(
    platform: Running, till: httpx.AsyncClient, of: str, content: bytes
) -> None:
    single = await till.post(f"/v1/{of}", content=content, headers=JSON)
    batch = await till.post(f"/v1/{of}:batch", content=BATCHES[of] % content, headers=JSON)
    assert_problem(single, 400, "malformed_json")
    assert_problem(batch, 400, "malformed_json")


@pytest.mark.parametrize("of", BATCHES)
async def test_what_is_not_utf_8_is_refused_too(
    platform: Running, till: httpx.AsyncClient, of: str
) -> None:
    content = b'{"channel": "\xff\xfe"}'
    single = await till.post(f"/v1/{of}", content=content, headers=JSON)
    batch = await till.post(f"/v1/{of}:batch", content=BATCHES[of] % content, headers=JSON)
    assert_problem(single, 400, "malformed_json")
    assert [one["problem"]["status"] for one in batch.json()["results"]] == [422]


@pytest.mark.parametrize("of", BATCHES)
async def test_an_empty_body_is_refused_too(
    platform: Running, till: httpx.AsyncClient, of: str
) -> None:
    single = await till.post(f"/v1/{of}", content=b"", headers=JSON)
    batch = await till.post(f"/v1/{of}:batch", content=b"", headers=JSON)
    assert assert_problem(single, 422, "invalid_request")["errors"][0]["field"] == "body"
    assert_problem(batch, 400, "malformed_json")


FUTURE = (datetime.now(UTC) + timedelta(hours=3)).isoformat()  # a run takes less
HUGE = 10**30
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "text for an amount": ({"lines": [{"amount": "12.50"}], "amount": None}, "lines[0].amount"),
    "a fraction of a cent": ({"lines": [{"amount": 12.5}], "amount": None}, "lines[0].amount"),
    "true for an amount": ({"lines": [{"amount": True}], "amount": None}, "lines[0].amount"),
    "a list for a line": ({"lines": [[1]], "amount": None}, "lines[0]"),
    "an object for lines": ({"lines": {"amount": 1}, "amount": None}, "lines"),
    "a negative line": ({"lines": [{"amount": -1}], "amount": None}, "lines[0].amount"),
    "a negative amount": ({"amount": -5, "lines": []}, "amount"),
    "an absurd amount": ({"amount": 10**12 + 1, "lines": []}, "amount"),
    "more than any integer": ({"amount": HUGE, "lines": []}, "amount"),
    "an absurd sum": ({"lines": [{"amount": 10**12}, {"amount": 1}], "amount": None}, "lines"),
    "lines that do not add up": ({"amount": 99, "lines": [{"amount": 100}]}, "lines"),
    "too many lines": ({"lines": [{"amount": 1}] * 501, "amount": None}, "lines"),
    "neither amount nor lines": ({"amount": None, "lines": []}, "lines"),
    "an unknown field": ({"colour": "red"}, "colour"),
    "an unknown field of a line": ({"lines": [{"amount": 1, "vat": 2}]}, "lines[0].vat"),
    "an unknown type": ({"type": "teleport"}, "type"),
    "an unknown channel": ({"channel": "pigeon"}, "channel"),
    "a number for an id": ({"member_id": 17}, "member_id"),
    "a path for an id": ({"member_id": "../../etc/passwd"}, "member_id"),
    "an id too long": ({"member_id": "m" * 65}, "member_id"),
    "a control character": ({"external_id": "a\u0000b"}, "external_id"),
    "an external id too long": ({"external_id": "x" * 129}, "external_id"),
    "a year too far": ({"occurred_at": "2999-01-01T00:00:00Z"}, "occurred_at"),
    "a clock too fast": ({"occurred_at": FUTURE}, "occurred_at"),
    "the year 10000": ({"occurred_at": "10000-01-01T00:00:00Z"}, "occurred_at"),
    "the year 1": ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "occurred_at"),
    "before the club": ({"occurred_at": "1989-12-31T23:59:59Z"}, "occurred_at"),
    "no zone": ({"occurred_at": "2025-02-01T12:00:00"}, "occurred_at"),
    "the 30th of February": ({"occurred_at": "2025-02-30T12:00:00Z"}, "occurred_at"),
    "seconds since 1970": ({"occurred_at": 1_738_411_200}, "occurred_at"),
    "no time": ({"occurred_at": None}, "occurred_at"),
}


@pytest.mark.parametrize(("change", "field"), WRONG.values(), ids=WRONG)
async def test_what_is_wrong_with_an_activity_is_said_by_field(
    platform: Running,
    till: httpx.AsyncClient,
    member: str,
    unchanged: None,
    change: dict[str, Any],
    field: str,
) -> None:
    body = purchase(member, "1", AT, 100) | change
    body = {name: value for name, value in body.items() if value is not None or name != "amount"}
    single = assert_problem(await till.post("/v1/activities", json=body), 422, "invalid_request")
    [result] = await record(till, body)

    assert field in [error["field"] for error in single["errors"]] or single["errors"][0][
        "message"
    ].startswith("`type`")
    assert result["status"] == "refused"
    assert result["problem"]["errors"][0]["field"].startswith("activities[0]")


ENROLMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown field": ({"nickname": "A"}, "nickname"),
    "an unknown channel": ({"channel": "pigeon"}, "channel"),
    "no e-mail address": ({"email": "ana at example"}, "email"),
    "a birthday to come": ({"birthday": "2999-01-01"}, "birthday"),
    "no birthday": ({"birthday": "yesterday"}, "birthday"),
    "a name of control characters": ({"name": "a\u0000"}, "name"),
    "a name too long": ({"name": "a" * 201}, "name"),
    "interests that are no list": ({"interests": "tea"}, "interests"),
    "consent that is neither yes nor no": ({"consents": {"newsletter": "maybe"}}, "consents"),
    "an id with a slash": ({"member_id": "a/b"}, "member_id"),
    "joined in the future": ({"enrolled_at": "2999-01-01T00:00:00Z"}, "enrolled_at"),
}


@pytest.mark.parametrize(("change", "field"), ENROLMENTS.values(), ids=ENROLMENTS)
async def test_what_is_wrong_with_an_enrolment_is_said_by_field_and_nobody_is_enrolled(
    platform: Running, till: httpx.AsyncClient, member: str, change: dict[str, Any], field: str
) -> None:
    body = {"member_id": member, "channel": "store"} | change
    single = assert_problem(await till.post("/v1/members", json=body), 422, "invalid_request")
    answer = await till.post("/v1/members:batch", json={"members": [body]})

    assert single["errors"][0]["field"].startswith(field)
    [result] = answer.json()["results"]
    assert result["status"] == "refused"
    assert result["problem"]["errors"][0]["field"].startswith("members[0]")
    async with platform.client("agent") as agent:
        assert_problem(await agent.get(f"/v1/members/{member}"), 404, "no_such_member")


NO_BATCH = {
    "a list": b"[]",
    "null": b"null",
    "no activities": b'{"activities": []}',
    "no list": b'{"activities": {}}',
    "an unknown field": b'{"activities": [{}], "dry_run": true}',
    "1,001 activities": b'{"activities": [' + b"1," * 1_000 + b"1]}",
}


@pytest.mark.parametrize("content", NO_BATCH.values(), ids=NO_BATCH)
async def test_what_is_no_batch_is_refused_whole(
    platform: Running, till: httpx.AsyncClient, content: bytes
) -> None:
    answer = await till.post("/v1/activities:batch", content=content, headers=JSON)
    assert_problem(answer, 422, "invalid_request")


async def test_one_bad_item_of_a_batch_does_not_keep_the_others_from_landing(
    platform: Running, till: httpx.AsyncClient, member: str
) -> None:
    await enrol(till, member)
    results = await record(
        till,
        purchase(member, "1", AT, 100),
        purchase(member, "2", AT, -100),
        {"hello": "world"},
        returning(member, "3", AT, "1", (1, 101)),
        returning(member, "4", AT, "1", (1, 40)),
        purchase(member, "5", AT, 300),
    )
    await platform.settled()

    assert statuses_of(results) == ["accepted", *["refused"] * 3, "accepted", "accepted"]
    assert [
        result["problem"]["errors"][0]["field"].partition(".")[0] for result in results[1:3]
    ] == ["activities[1]", "activities[2]"]
    assert results[3]["problem"]["code"] == "return_exceeds_purchase"
    assert len(await timeline(platform, member)) == 3
    assert await balances(platform, member) == {"base": 4, "tier": 4}
    await platform.verified()


LARGE = b'{"activities": ["' + b"x" * (10 * 1024 * 1024) + b'"]}'


@pytest.mark.parametrize("path", ["/v1/activities", "/v1/activities:batch", "/v1/members:batch"])
@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
async def test_a_body_of_10_mb_is_too_large(
    platform: Running, till: httpx.AsyncClient, path: str, declared: bool
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(LARGE), 65_536):
            yield LARGE[start : start + 65_536]

    content = LARGE if declared else chunks()
    answer = await till.post(path, content=content, headers=JSON)
    problem = assert_problem(answer, 413, "body_too_large")
    assert problem["limit_bytes"] in (1024 * 1024, 8 * 1024 * 1024)


async def test_a_body_that_is_not_said_to_be_json_is_refused_with_the_header_to_send(
    platform: Running, till: httpx.AsyncClient, member: str, unchanged: None
) -> None:
    content = msgspec.json.encode(purchase(member, "1", AT, 100))
    answer = await till.post("/v1/activities", content=content, headers={"content-type": "text/x"})
    assert "application/json" in assert_problem(answer, 400, "content_type")["detail"]


def tokens(platform: Running, elsewhere: Path) -> dict[str, tuple[str | None, str]]:
    """Tokens that must not be believed, and the code each is refused with."""
    place, ours = platform.place, platform.place.issuer()
    stranger = LocalIssuer.open(elsewhere / "key.jwk", place.address, AUDIENCE)
    foreign = LocalIssuer.open(place.key_file, "https://issuer.example", AUDIENCE)
    for_others = LocalIssuer.open(place.key_file, place.address, "another-audience")
    good = ours.token("operator")
    header, claims, signature = good.split(".")
    now = int(time.time())
    shared = OctKey.import_key("an-open-secret-that-is-long-enough-for-hs256")
    payload = {"iss": place.address, "aud": AUDIENCE, "sub": "x", "exp": now + 60}
    symmetric = jwt.encode({"alg": "HS256"}, payload | {"roles": ["operator"]}, shared)
    return {
        "none": (None, "token_missing"),
        "another issuer": (foreign.token("operator"), "token_issuer"),
        "another issuer's key": (stranger.token("operator"), "token_key"),
        "another audience": (for_others.token("operator"), "token_audience"),
        "expired": (ours.token("operator", ttl_seconds=-3_600), "token_expired"),
        "cut": (good[:-8], "token_signature"),
        "changed": (f"{header}.{claims[:-2]}xx.{signature}", "token_signature"),
        "unsigned": (f"eyJhbGciOiJub25lIn0.{claims}.", "token_algorithm"),
        "of a shared secret": (symmetric, "token_algorithm"),
        "noise": ("what?", "token_malformed"),
        "far too long": ("a" * 20_000, "token_malformed"),
    }


async def test_no_token_but_the_issuers_own_is_believed(
    platform: Running, member: str, unchanged: None, tmp_path: Path
) -> None:
    body = purchase(member, "1", AT, 100)
    for name, (token, code) in tokens(platform, tmp_path).items():
        headers = {"authorization": f"Bearer {token}"} if token is not None else {}
        async with httpx.AsyncClient(base_url=platform.place.address, headers=headers) as client:
            refused = await client.post("/v1/activities", json=body)
            reading = await client.get(f"/v1/members/{member}/points")
        problem = assert_problem(refused, 401, code)
        assert (reading.status_code, reading.json()["code"]) == (401, code), name
        assert refused.headers["www-authenticate"].startswith("Bearer")
        assert token is None or token not in str(problem)


async def test_a_member_sees_and_does_only_what_is_their_own(
    platform: Running, till: httpx.AsyncClient, member: str, twin: str
) -> None:
    await enrol(till, member, twin)
    await accepted(till, purchase(twin, "1", AT, 100))
    await platform.settled()
    theirs = f"/v1/members/{twin}"
    below = ("", "/card", "/stage", "/tier", "/points", "/points/statement", "/activities", "/home")
    share = activity("share", member, "1", AT, source="app")
    async with platform.client("member", member) as app:
        for path in below:
            assert (await app.get(f"/v1/members/{member}{path}")).status_code == 200, path
            assert_problem(await app.get(theirs + path), 403, "not_your_member")
        assert_problem(await app.get("/v1/members"), 403, "role_missing")
        for_twin = await app.post("/v1/activities", json=share | {"member_id": twin})
        bought = await app.post("/v1/activities", json=purchase(member, "2", AT, 100))
        batch = await app.post(
            "/v1/activities:batch", json={"activities": [share | {"member_id": twin}]}
        )
        changing = await app.patch(theirs, json={"name": "Mallory"})
        own = await app.post("/v1/activities", json=share)
    assert_problem(for_twin, 403, "not_your_member")
    assert_problem(bought, 403, "type_not_allowed")
    assert changing.status_code == 403
    assert [one["problem"]["code"] for one in batch.json()["results"]] == ["not_your_member"]
    assert own.status_code == 201
    assert [each["type"] for each in await timeline(platform, twin)] == ["purchase"]
    assert "name" not in await platform.get(theirs)


QUERIES = [
    "activities?limit=0",
    "activities?limit=201",
    "activities?limit=many",
    "activities?cursor=%00",
    "activities?cursor=AAAA",
    "points/statement?limit=-1",
    "points/statement?cursor=nonsense",
    "points?as_of=yesterday",
    "points?as_of=2025-01-01T00:00:00",
    "points?as_of=9999-12-31T23:59:59Z",
    "stage?cursor=nonsense",
]


@pytest.mark.parametrize("query", QUERIES)
async def test_a_query_that_cannot_be_is_a_problem_too(
    platform: Running, till: httpx.AsyncClient, member: str, query: str
) -> None:
    await enrol(till, member)
    async with platform.client("agent") as agent:
        answer = await agent.get(f"/v1/members/{member}/{query}")
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"]


PATHS = [
    "/v1/members/%2e%2e/points",
    "/v1/members/a%2Fb/points",
    "/v1/members/a%00b/points",
    "/v1/members//points",
    "/v1/members/%FF/points",
    "/v1/members/" + "m" * 5_000 + "/points",
    "/v1/activities/act_nothing",
    "/v1/activities/act_" + "a" * 24,
    "/v1/nowhere",
    "/v2/members",
]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[:40])
async def test_a_path_that_leads_nowhere_is_a_problem_too(platform: Running, path: str) -> None:
    async with platform.client("agent") as agent:
        answer = await agent.get(path)
    assert answer.status_code in (400, 404, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"]


JUNK: list[Any] = [
    None,
    True,
    0,
    -1,
    2**63,
    10**40,
    1e308,
    0.1,
    "",
    " ",
    "\u0000",
    "💥" * 70,
    "' OR 1=1 --",
    "$ne",
    [],
    {},
    {"$gt": ""},
    [[[[]]]],
    {"a": {"b": [None]}},
    "2025-02-01T12:00:00Z",
    "x" * 100_000,
]


async def test_no_mutation_of_a_good_activity_ends_in_a_500(
    platform: Running, till: httpx.AsyncClient, member: str
) -> None:
    await enrol(till, member)
    chance = Random(3)
    good = [
        purchase(member, "p", AT, 100, 200),
        returning(member, "r", AT, "p", (1, 5)),
        activity("custom", member, "c", AT, subject="quiz", attributes={"score": 1}),
        activity("review", member, "v", AT, rating=5),
    ]
    seen: set[int] = set()
    mutated = []
    for number in range(300):
        body = msgspec.json.decode(msgspec.json.encode(chance.choice(good)))
        body["external_id"] = f"{member}-{number}"
        _mutate(body, chance)
        mutated.append(body)
        answer = await till.post("/v1/activities", json=body)
        seen.add(answer.status_code)
        assert answer.status_code in (201, 409, 422), (answer.text, body)
    results = await record(till, *mutated)
    assert seen >= {201, 422}
    assert set(statuses_of(results)) == {"duplicate", "refused"}
    await platform.verified()


def _mutate(node: Any, chance: Random) -> None:
    """Change, drop or add one thing somewhere in a JSON value."""
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = chance.choice(keys)
        if isinstance(node[key], dict | list) and node[key] and chance.random() < 0.7:
            node = node[key]
            continue
        deed = chance.choice(("change", "change", "drop", "add"))
        if deed == "drop":
            del node[key]
        elif deed == "add" and isinstance(node, dict):
            node[chance.choice(("extra", "_id", "$where", "type"))] = chance.choice(JUNK)
        else:
            node[key] = chance.choice(JUNK)
        return
