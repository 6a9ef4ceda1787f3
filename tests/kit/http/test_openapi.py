import httpx


async def test_an_operation_declares_its_problems_roles_and_token(client: httpx.AsyncClient):
    api = (await client.get("/openapi.json")).json()
    assert api["openapi"].startswith("3.1")
    make = api["paths"]["/v1/things"]["post"]
    assert make["x-mooring-roles"] == ["agent", "operator"]
    assert make["security"] == [{"bearer": []}]
    declared = [status for status in make["responses"] if status != "200"]
    assert declared == ["400", "401", "403", "409", "413", "422", "429", "500", "503"]
    for status in declared:
        content = make["responses"][status]["content"]
        assert content == {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        }


async def test_a_members_own_path_names_the_role_member(client: httpx.AsyncClient):
    api = (await client.get("/openapi.json")).json()
    things = api["paths"]["/v1/members/{member_id}/things"]["get"]
    assert things["x-mooring-roles"] == ["agent", "member"]


async def test_an_open_path_asks_for_no_token(client: httpx.AsyncClient):
    api = (await client.get("/openapi.json")).json()
    fail = api["paths"]["/v1/errors/{name}"]["get"]
    assert "security" not in fail
    assert "401" not in fail["responses"]


async def test_the_frameworks_own_error_schema_is_gone(client: httpx.AsyncClient):
    api = (await client.get("/openapi.json")).json()
    assert "HTTPValidationError" not in str(api)
    assert {"Problem", "FieldError", "Activity"} <= set(api["components"]["schemas"])


async def test_health_and_metrics_are_not_part_of_the_api(client: httpx.AsyncClient):
    api = (await client.get("/openapi.json")).json()
    assert sorted(api["paths"]) == [
        "/v1/errors/{name}",
        "/v1/members/{member_id}/things",
        "/v1/things",
    ]
