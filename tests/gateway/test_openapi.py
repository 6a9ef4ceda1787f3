"""The merged description of the public API, and the page made from it."""

import asyncio
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from gateway.docs_page import render
from gateway.openapi import merge
from tests.gateway.conftest import House, answering


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def described(path: str, schema: str, fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    content = {"application/json": {"schema": ref(schema), "example": {"x": 1}}}
    operation = {
        "operationId": "read_" + schema,
        "summary": "Read",
        "x-mooring-roles": ["agent", "member"],
        "parameters": [{"name": "member_id", "in": "path", "required": True}],
        "responses": {"200": {"description": "Fine", "content": content}},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": schema, "version": "1"},
        "paths": {path: {"get": operation}, "/internal": {"get": {}}, **more},
        "components": {"schemas": {schema: {"type": "object", "properties": fields}}},
    }


POINTS = described("/v1/members/{member_id}/points", "Balance", {"base": {"type": "integer"}})
MEMBERS = described("/v1/members/{member_id}", "Balance", {"tier": ref("Tier")})
MEMBERS["components"]["schemas"]["Tier"] = {"type": "string"}
EVENTS = described("/v1/members/{member_id}/activities", "Activity", {"type": {"type": "string"}})
OWN: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Mooring", "version": "1"},
    "paths": {},
}


def test_paths_and_examples_of_all_services_are_kept():
    api = merge(OWN, {"points": POINTS, "members": MEMBERS, "events": EVENTS}, [])
    assert [path for path in api["paths"] if "me" not in path.split("/")] == [
        "/v1/members/{member_id}",
        "/v1/members/{member_id}/activities",
        "/v1/members/{member_id}/points",
    ]
    answer = api["paths"]["/v1/members/{member_id}/points"]["get"]["responses"]["200"]
    assert answer["content"]["application/json"]["example"] == {"x": 1}
    assert "x-mooring-missing" not in api
    assert api["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_components_of_one_name_and_another_meaning_are_kept_apart():
    api = merge(OWN, {"points": POINTS, "members": MEMBERS}, [])
    schemas = api["components"]["schemas"]
    assert schemas["Balance"]["properties"] == {"tier": ref("Tier")}
    assert schemas["points_Balance"]["properties"] == {"base": {"type": "integer"}}
    points = api["paths"]["/v1/members/{member_id}/points"]["get"]["responses"]["200"]
    assert points["content"]["application/json"]["schema"] == ref("points_Balance")
    assert set(re.findall(r"#/components/schemas/(\w+)", str(api))) <= set(schemas)


def test_components_that_are_the_same_are_one():
    api = merge(OWN, {"points": POINTS, "members": POINTS}, [])
    assert list(api["components"]["schemas"]) == ["Balance"]


def test_a_service_cannot_describe_a_path_that_is_not_its_own():
    stray = described("/v1/activities", "Stray", {})
    assert merge(OWN, {"points": stray}, [])["paths"] == {}


def test_the_services_descriptions_are_left_as_they_were():
    before = str(POINTS), str(MEMBERS)
    merge(OWN, {"points": POINTS, "members": MEMBERS}, [])
    assert (str(POINTS), str(MEMBERS)) == before


def test_what_is_a_members_own_has_a_personal_path():
    api = merge(OWN, {"points": POINTS, "members": MEMBERS}, [])
    mine = api["paths"]["/v1/me/points"]["get"]
    assert (mine["operationId"], mine["parameters"]) == ("my_read_Balance", [])
    assert mine["x-mooring-roles"] == ["member"]
    assert "/v1/me" in api["paths"]


async def test_the_document_is_merged_from_what_the_services_say(house: House):
    for name, api in (("points", POINTS), ("members", MEMBERS), ("events", EVENTS)):
        house.services[name].answer = answering(200, api)
    api = (await house.client.get("/openapi.json")).json()
    assert api["info"]["title"] == "Mooring"
    assert {"/v1/me/home", "/v1/me/points", "/v1/members/{member_id}/home"} <= set(api["paths"])
    assert len(house.asked()) == 3
    await house.client.get("/openapi.json")
    assert len(house.asked()) == 3


async def test_a_service_that_does_not_answer_is_named_and_asked_again(house: House):
    house.services["points"].answer = answering(200, POINTS)
    house.services["members"].answer = answering(200, MEMBERS)
    house.services["events"].answer = answering(500, {})
    api = (await house.client.get("/openapi.json")).json()
    assert api["x-mooring-missing"] == ["events"]
    assert "/v1/me/points" in api["paths"]
    house.services["events"].answer = answering(200, EVENTS)
    house.app.state.merged_api._good_until = 0
    api = (await house.client.get("/openapi.json")).json()
    assert "x-mooring-missing" not in api
    assert "/v1/me/activities" in api["paths"]


async def test_what_was_known_stays_when_a_service_goes_away(house: House):
    for name, api in (("points", POINTS), ("members", MEMBERS), ("events", EVENTS)):
        house.services[name].answer = answering(200, api)
    await house.client.get("/openapi.json")
    house.services["events"].answer = answering(503, {})
    house.app.state.merged_api._good_until = 0
    api = (await house.client.get("/openapi.json")).json()
    assert "/v1/me/activities" in api["paths"]


class Outline(HTMLParser):
    """Checks that tags nest, and collects ids, links, headings and what the page would load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.headings: list[int] = []
        self.loads: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag not in ("meta", "link", "img"):
            self.open.append(tag)
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "a":
            self.links.append(given["href"])
        if re.fullmatch(r"h\d", tag):
            self.headings.append(int(tag[1]))
        if tag in ("script", "link", "img", "iframe", "object") or "src" in given:
            self.loads.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


async def test_the_page_stands_alone_and_its_links_lead_somewhere(house: House):
    for name, api in (("points", POINTS), ("members", MEMBERS), ("events", EVENTS)):
        house.services[name].answer = answering(200, api)
    answer = await house.client.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    page = Outline(answer.text)
    assert (page.open, page.loads) == ([], [])
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert page.headings.count(1) == 1
    steps = zip(page.headings, page.headings[1:], strict=False)
    assert all(after - before <= 1 for before, after in steps)
    assert "get-v1-me-home" in page.ids


async def test_the_page_says_what_is_missing(house: House):
    for service in house.services.values():
        service.answer = answering(500, {})
    page = (await house.client.get("/docs")).text
    assert "members, points, events" in page


def test_what_a_service_says_of_itself_is_shown_and_never_run():
    attack = "<script>alert(1)</script>"
    api = described(f"/v1/members/{attack}", attack, {attack: {"description": attack}})
    operation = api["paths"][f"/v1/members/{attack}"]["get"]
    operation |= {"summary": attack, "description": attack, "tags": [attack]}
    operation["parameters"] = [{"name": attack, "in": "query", "description": attack}]
    assert "<script" not in render(api)


@pytest.mark.parametrize("loop", [ref("Node"), {"type": "array", "items": ref("Node")}])
def test_a_schema_that_contains_itself_has_an_example_that_ends(loop: dict[str, Any]):
    api = described("/v1/members", "Node", {"child": loop})
    del api["paths"]["/v1/members"]["get"]["responses"]["200"]["content"]["application/json"][
        "example"
    ]
    assert "child" in render(api)


async def test_several_first_readers_cause_one_round_of_questions(house: House):
    await asyncio.gather(*(house.client.get("/openapi.json") for _ in range(5)))
    assert len(house.asked()) == 3


async def test_the_development_issuer_publishes_its_keys_and_itself(house: House):
    configuration = (await house.client.get("/.well-known/openid-configuration")).json()
    assert configuration["issuer"] == house.issuer.issuer
    jwks = (await house.client.get("/.well-known/jwks.json")).json()
    assert jwks == house.issuer.jwks()
    assert "d" not in jwks["keys"][0]
    assert configuration["jwks_uri"] == "http://gateway/.well-known/jwks.json"
