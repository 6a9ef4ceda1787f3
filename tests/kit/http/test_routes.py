"""Which route a request finds: the one that the framework would find."""

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from kit.http.app import create_app
from kit.http.json_body import Router


def named(name: str, router: Router, path: str, method: str = "GET") -> None:
    async def endpoint(request: Request) -> PlainTextResponse:
        template = request.scope.get("route_template")
        return PlainTextResponse(f"{name} {dict(request.path_params)} {template}")

    router.add_api_route(path, endpoint, methods=[method])


@pytest.fixture
def app() -> FastAPI:
    inner = Router(prefix="/{y}")
    named("inner", inner, "/in")
    outer = Router(prefix="/v1/{x}")
    outer.include_router(inner)
    named("any", outer, "/{z}")
    named("fixed, too late", outer, "/fixed")
    named("written", outer, "/{z}", "POST")
    named("fixed, in time", outer, "/fixed", "POST")
    named("action", outer, "/{z}:do", "PUT")
    named("other action", outer, "/{z}:undo", "PUT")
    named("number", outer, "/{n:int}/of", "PUT")
    return create_app("things", "1", [outer])


def client_of(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://things")


@pytest.mark.parametrize(
    ("method", "path", "answer"),
    [
        ("GET", "/v1/a/b/in", "inner {'x': 'a', 'y': 'b'} /v1/{x}/{y}/in"),
        ("GET", "/v1/a/b", "any {'x': 'a', 'z': 'b'} /v1/{x}/{z}"),
        ("GET", "/v1/a/fixed", "any {'x': 'a', 'z': 'fixed'} /v1/{x}/{z}"),
        ("POST", "/v1/a/fixed", "written {'x': 'a', 'z': 'fixed'} /v1/{x}/{z}"),
        ("PUT", "/v1/a/b:do", "action {'x': 'a', 'z': 'b'} /v1/{x}/{z}:do"),
        ("PUT", "/v1/a/b:c:undo", "other action {'x': 'a', 'z': 'b:c'} /v1/{x}/{z}:undo"),
        ("PUT", "/v1/a/7/of", "number {'x': 'a', 'n': 7} /v1/{x}/{n}/of"),
    ],
)
async def test_the_first_that_fits_answers(app: FastAPI, method: str, path: str, answer: str):
    async with client_of(app) as client:
        assert (await client.request(method, path)).text == answer


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/v1/a", 404, None),
        ("GET", "/v1/a/", 404, None),
        ("GET", "/v1//b", 404, None),
        ("GET", "/v1/a/b/c/in", 404, None),
        ("PUT", "/v1/a/x/of", 404, None),
        ("DELETE", "/v1/a/b", 405, "GET"),
        ("HEAD", "/v1/a/b", 405, "GET"),
    ],
)
async def test_what_nothing_fits_is_refused(
    app: FastAPI, method: str, path: str, status: int, allow: str | None
):
    async with client_of(app) as client:
        answer = await client.request(method, path)
    assert (answer.status_code, answer.headers.get("allow")) == (status, allow)


async def test_a_route_behind_one_that_takes_everything_is_asked_after_it():
    router = Router(prefix="/v1")
    named("before", router, "/before")
    named("all", router, "/{rest:path}")
    named("behind", router, "/behind")
    named("deeper", router, "/be/hind")
    app = create_app("things", "1", [router])
    async with client_of(app) as client:
        for path, name in (("before", "before"), ("behind", "all"), ("be/hind", "all")):
            assert (await client.get(f"/v1/{path}")).text.split()[0] == name


async def test_requests_are_counted_by_the_whole_template(app: FastAPI):
    async with client_of(app) as client:
        await client.get("/v1/a/b/in")
        metrics = (await client.get("/metrics")).text
    assert 'route="/v1/{x}/{y}/in",service="things",status="200"' in metrics
