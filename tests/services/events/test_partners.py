"""A partner records from its own sources alone, and sees what came from these alone."""

import httpx
import pytest

from kit.auth import LocalIssuer
from kit.auth.principal import Principal
from services.events.domain.identity import activity_id
from services.events.endpoints import bound_to
from tests.services.events.bodies import Body, common, purchase
from tests.services.events.calling import as_, timeline

PARTNER = "north-stores"
ONE, BATCH = "/v1/activities", "/v1/activities:batch"
TheirSource = pytest.mark.parametrize(
    "source", ["pos", "north", "north-stores-2", "north-stores_2", "south.north-stores", "app"]
)


@pytest.fixture
def north(api: httpx.AsyncClient, issuer: LocalIssuer) -> httpx.AsyncClient:
    """A client with the token of another partner than the one that the bodies name."""
    api.headers.update(as_(issuer, "partner", partner=PARTNER))
    return api


def sold(number: str, source: str = PARTNER, **more: object) -> Body:
    return purchase(number, 100) | {"source": source, **more}


def returned(number: str, **of: str) -> Body:
    return common("return", number, purchase=of) | {"source": PARTNER}


async def by_pos(api: httpx.AsyncClient, issuer: LocalIssuer, body: Body) -> str:
    """Record as the partner ``pos``; return the activity's id."""
    answer = await api.post(ONE, json=body, headers=as_(issuer, "partner", partner="pos"))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["activity_id"])


def told(answer: httpx.Response) -> Body:
    """What a problem says, but for what names the request."""
    problem: Body = answer.json()
    return {**problem, "instance": "", "trace_id": "", "activity_id": ""}


@pytest.mark.parametrize("source", [PARTNER, "north-stores.till-7", "north-stores.a.b"])
async def test_a_partner_records_from_its_sources_and_reads_it(
    north: httpx.AsyncClient, source: str
) -> None:
    single = await north.post(ONE, json=sold("1", source))
    batch = await north.post(BATCH, json={"activities": [sold("1", source), sold("2", source)]})
    assert single.status_code == 201, single.text
    assert [one["status"] for one in batch.json()["results"]] == ["duplicate", "accepted"]
    path = f"{ONE}/{single.json()['activity_id']}"
    assert (await north.get(path)).json()["source"] == source
    assert (await north.get(f"{path}/decision")).json()["reason"] == "not_enrolled"


@TheirSource
async def test_a_partner_does_not_record_from_anothers_source(
    north: httpx.AsyncClient, issuer: LocalIssuer, source: str
) -> None:
    answer = await north.post(ONE, json=sold("1", source))
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (403, "source_not_allowed")
    assert problem["errors"] == [
        {
            "field": "source",
            "message": f"{source} is not a source of the partner north-stores",
            "fix": "Send north-stores, or north-stores. and a name of your own, "
            "such as north-stores.till-7.",
        }
    ]
    assert await timeline(north, issuer) == []


async def test_of_a_batch_only_what_is_from_anothers_source_is_refused(
    north: httpx.AsyncClient, issuer: LocalIssuer
) -> None:
    activities = [sold("1"), sold("2", "pos"), sold("3", "north-stores.till-7")]
    answer = await north.post(BATCH, json={"activities": activities})
    results = answer.json()["results"]
    assert answer.status_code == 200
    assert [one["status"] for one in results] == ["accepted", "refused", "accepted"]
    problem = results[1]["problem"]
    assert (problem["status"], problem["code"]) == (403, "source_not_allowed")
    assert [error["field"] for error in problem["errors"]] == ["activities[1].source"]
    assert [item["external_id"] for item in await timeline(north, issuer)] == ["3", "1"]
    await by_pos(north, issuer, sold("2", "pos"))


async def test_a_return_names_a_purchase_from_a_source_of_the_partner(
    north: httpx.AsyncClient, issuer: LocalIssuer
) -> None:
    await by_pos(north, issuer, purchase("1", 100))
    await north.post(ONE, json=sold("1", "north-stores.till-7"))
    foreign = returned("2", source="pos", external_id="1")
    single = await north.post(ONE, json=foreign)
    assert (single.status_code, single.json()["code"]) == (403, "source_not_allowed")
    assert single.json()["errors"][0]["field"] == "purchase.source"
    own = returned("2", source="north-stores.till-7", external_id="1")
    batch = await north.post(BATCH, json={"activities": [foreign, own]})
    refused, accepted = batch.json()["results"]
    assert refused["problem"]["errors"][0]["field"] == "activities[0].purchase.source"
    assert accepted["status"] == "accepted"
    assert [item["type"] for item in await timeline(north, issuer)] == ["return"] + ["purchase"] * 2


async def test_a_purchase_named_by_its_id_must_be_the_partners_and_here(
    north: httpx.AsyncClient, issuer: LocalIssuer
) -> None:
    theirs = await by_pos(north, issuer, purchase("1", 100))
    anothers = await by_pos(north, issuer, purchase("2", 100, member="M2"))
    to_come = activity_id("pos", "3")
    own = await north.post(ONE, json=sold("1"))
    answers = [
        await north.post(ONE, json=returned("9", activity_id=each))
        for each in (theirs, anothers, to_come)
    ]
    assert [each.status_code for each in answers] == [403] * 3
    assert answers[0].json()["code"] == "source_not_allowed"
    assert told(answers[0]) == told(answers[1]) == told(answers[2])
    body = returned("9", activity_id=own.json()["activity_id"])
    assert (await north.post(ONE, json=body)).status_code == 201
    assert (await north.post(ONE, json=body)).json()["status"] == "duplicate"


async def test_a_return_by_id_may_follow_its_purchase_in_one_batch(
    north: httpx.AsyncClient,
) -> None:
    activities = [sold("1"), returned("2", activity_id=activity_id(PARTNER, "1"))]
    answer = await north.post(BATCH, json={"activities": activities})
    assert [one["status"] for one in answer.json()["results"]] == ["accepted"] * 2


@pytest.mark.parametrize("below", ["", "/decision"])
async def test_to_a_partner_anothers_activity_is_as_unknown_as_none(
    north: httpx.AsyncClient, issuer: LocalIssuer, below: str
) -> None:
    theirs = await by_pos(north, issuer, purchase("1", 100))
    answers = [await north.get(f"{ONE}/{each}{below}") for each in (theirs, "act_" + "a" * 24)]
    assert [each.status_code for each in answers] == [404, 404]
    assert answers[0].json()["code"] == "activity_not_found"
    assert told(answers[0]) == told(answers[1])
    for role in ("agent", "operator"):
        shown = await north.get(f"{ONE}/{theirs}{below}", headers=as_(issuer, role))
        assert shown.status_code == 200
    owner = await north.get(f"{ONE}/{theirs}{below}", headers=as_(issuer, "member", "M1"))
    assert owner.status_code == 200


@pytest.mark.parametrize("role", ["agent", "operator"])
async def test_agents_and_operators_record_from_any_source(
    api: httpx.AsyncClient, issuer: LocalIssuer, role: str
) -> None:
    headers = as_(issuer, role)
    own = await api.post(ONE, json=sold("1", "anything"), headers=headers)
    activities = [sold("2", "south"), returned("3", source="anything", external_id="1")]
    batch = await api.post(BATCH, json={"activities": activities}, headers=headers)
    by_id = returned("4", activity_id=activity_id("south", "2"))
    assert own.status_code == 201
    assert [one["status"] for one in batch.json()["results"]] == ["accepted"] * 2
    assert (await api.post(ONE, json=by_id, headers=headers)).status_code == 201


@pytest.mark.parametrize("more", ["agent", "operator"])
def test_who_has_a_wider_role_too_is_bound_to_no_partner(more: str) -> None:
    assert bound_to(Principal("p", frozenset(["partner"]), partner=PARTNER)) == PARTNER
    assert bound_to(Principal("p", frozenset(["partner", more]), partner=PARTNER)) is None
    assert bound_to(Principal("p", frozenset(["partner", more]))) is None


async def test_a_partners_token_must_say_which_partner(
    api: httpx.AsyncClient, issuer: LocalIssuer
) -> None:
    known = await by_pos(api, issuer, purchase("1", 100))
    nameless = as_(issuer, "partner")
    answers = [
        await api.post(ONE, json=purchase("2", 100), headers=nameless),
        await api.post(BATCH, json={"activities": [purchase("2", 100)]}, headers=nameless),
        await api.get(f"{ONE}/{known}", headers=nameless),
        await api.get(f"{ONE}/{known}/decision", headers=nameless),
    ]
    assert [(each.status_code, each.json()["code"]) for each in answers] == [
        (403, "partner_missing")
    ] * 4
    assert len(await timeline(api, issuer)) == 1


async def test_a_member_is_bound_to_no_partner(api: httpx.AsyncClient, issuer: LocalIssuer) -> None:
    share = common("share", "1") | {"source": "app", "channel": "app"}
    claiming = as_(issuer, "member", "M1", partner=PARTNER)
    made = await api.post(ONE, json=share, headers=claiming)
    assert made.status_code == 201
    path = f"{ONE}/{made.json()['activity_id']}"
    assert (await api.get(path, headers=claiming)).status_code == 200
    assert (await api.get(path)).status_code == 404


async def test_the_documentation_says_the_rule(api: httpx.AsyncClient) -> None:
    app = api._transport.app  # type: ignore[attr-defined]
    paths = app.openapi()["paths"]
    single, batch = (paths[path]["post"]["description"] for path in (ONE, BATCH))
    assert "source_not_allowed" in single
    assert "north-stores.till-7" in single
    assert "source not its own" in batch
    assert "sources of its own" in paths["/v1/activities/{activity_id}"]["get"]["description"]
