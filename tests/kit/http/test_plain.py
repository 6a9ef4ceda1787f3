"""A plain endpoint answers exactly as the framework would, and is answered without it."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Literal

import httpx
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, Header, Path, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.responses import PlainTextResponse

from kit.errors import ServiceError
from kit.http.app import create_app
from kit.http.idempotency import IdempotencyKey
from kit.http.json_body import Router

BY_FRAMEWORK = "fastapi_middleware_astack"
JSON = {"content-type": "application/json"}


class Wish(BaseModel):
    reward: str = Field(min_length=1)
    quantity: int = Field(1, ge=1, le=5)


class Granted(BaseModel):
    of: str
    wish: Wish | None = None
    at: datetime | None = None
    extra: dict[str, Any] | None = None


async def _caller(authorization: Annotated[str | None, Header()] = None) -> str:
    if authorization is None:
        raise ServiceError("unauthenticated", "token_missing", "Send a token.")
    return authorization


async def _named(caller: Annotated[str, Depends(_caller)], request: Request) -> str:
    request.state.named = getattr(request.state, "named", 0) + 1
    return caller.upper()


Caller = Annotated[str, Depends(_caller)]
Named = Annotated[str, Depends(_named)]
Id = Annotated[str, Path(pattern=r"^[A-Za-z0-9é/ ]+$")]


def endpoints() -> Router:
    router = Router(prefix="/v1/{of}")

    @router.get("", response_model_exclude_none=True)
    async def read(of: Id, at: datetime | None = None) -> Granted:
        return Granted(of=of, at=at)

    @router.get("/list", dependencies=[Depends(_named)])
    async def listed(
        request: Request,
        of: Id,
        again: Named,
        caller: Caller,
        limit: Annotated[int, Query(ge=1, le=9)] = 5,
        kind: Literal["a", "b"] = "a",
    ) -> dict[str, Any]:
        known = {"of": of, "again": again, "caller": caller, "limit": limit, "kind": kind}
        return known | {"named": request.state.named}

    @router.post("/wishes", status_code=201)
    async def wish(
        of: Id, body: Wish, key: IdempotencyKey, caller: Caller, response: Response
    ) -> Granted:
        if body.quantity == 5:
            raise ServiceError("refused", "not_enough", "It needs 5.", needed=5)
        response.headers["x-key"] = key
        if body.reward == "again":
            response.status_code = 200
        return Granted(of=of, wish=body)

    @router.get("/text")
    async def text(of: Id) -> Response:
        return PlainTextResponse(of, 203)

    @router.delete("", status_code=204)
    async def delete(of: Id) -> None:
        return None

    @router.get("/bug")
    async def bug(of: Id) -> Granted:
        raise KeyError("secret")

    return router


def app_of(router: Router, *, by_framework: bool) -> FastAPI:
    app = create_app("things", "1", [router], most_body_bytes=200)
    if by_framework:
        app.dependency_overrides[object()] = object  # any, and all is left to the framework
    return app


def client_of(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"x-request-id": "r", "traceparent": f"00-{'1' * 32}-{'2' * 16}-00"}
    return httpx.AsyncClient(transport=transport, base_url="http://things", headers=headers)


OK = {"authorization": "bearer", "idempotency-key": "k1", **JSON}
NO_KEY = {"authorization": "bearer", **JSON}
REQUESTS: list[tuple[str, str, dict[str, str], bytes]] = [
    ("GET", "/v1/M1", {}, b""),
    ("GET", "/v1/M%C3%A9", {}, b""),
    ("GET", "/v1/M%2F1", {}, b""),
    ("GET", "/v1/M%20", {}, b""),
    ("GET", "/v1/M-1", {}, b""),
    ("GET", "/v1/M1?at=2026-03-01T09:30:00Z&other=1", {}, b""),
    ("GET", "/v1/M1?at=", {}, b""),
    ("GET", "/v1/M1?at=yesterday", {}, b""),
    ("GET", "/v1/M1/", {}, b""),
    ("GET", "/v1", {}, b""),
    ("HEAD", "/v1/M1", {}, b""),
    ("PUT", "/v1/M1", {}, b""),
    ("DELETE", "/v1/M1", {}, b""),
    ("DELETE", "/v1/M-1", {}, b""),
    ("GET", "/v1/M1/list", OK, b""),
    ("GET", "/v1/M1/list", {}, b""),
    ("GET", "/v1/M1/list?limit=x", {}, b""),
    ("GET", "/v1/M1/list?limit=0&kind=c", OK, b""),
    ("GET", "/v1/M-1/list?limit=10", OK, b""),
    ("GET", "/v1/M1/list?limit=1&limit=2&kind=b", OK, b""),
    ("GET", "/v1/M1/text", {}, b""),
    ("GET", "/v1/M1/bug", {}, b""),
    ("GET", "/v1/M1/nothing", {}, b""),
    ("POST", "/v1/M1/wishes", OK, b'{"reward": "mug"}'),
    ("POST", "/v1/M1/wishes", OK, b'{"reward": "again", "quantity": 2}'),
    ("POST", "/v1/M1/wishes", OK, b'{"reward": "mug", "quantity": 5}'),
    ("POST", "/v1/M1/wishes", OK, b'{"reward": "", "quantity": 6}'),
    ("POST", "/v1/M-1/wishes", OK, b'{"quantity": "x"}'),
    ("POST", "/v1/M1/wishes", NO_KEY, b'{"reward": "mug"}'),
    ("POST", "/v1/M1/wishes", {**OK, "idempotency-key": "a b"}, b'{"reward": "mug"}'),
    ("POST", "/v1/M1/wishes", JSON, b'{"reward": 1}'),
    ("POST", "/v1/M1/wishes", OK, b""),
    ("POST", "/v1/M1/wishes", OK, b"null"),
    ("POST", "/v1/M1/wishes", OK, b"[]"),
    ("POST", "/v1/M1/wishes", OK, b"{"),
    ("POST", "/v1/M1/wishes", OK, b'{"reward": NaN}'),
    ("POST", "/v1/M1/wishes", OK, b'{"reward": "\xff"}'),
    ("POST", "/v1/M1/wishes", OK, b'{"reward": "' + b"x" * 300 + b'"}'),
    ("POST", "/v1/M1/wishes", {**OK, "content-type": "text/plain"}, b'{"reward": "mug"}'),
    ("POST", "/v1/M1/wishes", {"content-type": "text/plain"}, b""),
]


@pytest.mark.parametrize(("method", "path", "headers", "content"), REQUESTS)
async def test_the_answer_is_the_frameworks(
    method: str, path: str, headers: dict[str, str], content: bytes
):
    answers = []
    for by_framework in (True, False):
        async with client_of(app_of(endpoints(), by_framework=by_framework)) as client:
            given = await client.request(method, path, headers=headers, content=content)
            answers.append((given.status_code, sorted(given.headers.multi_items()), given.content))
    assert answers[0] == answers[1]


async def test_what_the_answers_are():
    async with client_of(app_of(endpoints(), by_framework=False)) as client:
        read = await client.get("/v1/M%C3%A9?at=2026-03-01T09:30:00Z")
        assert read.json() == {"of": "Mé", "at": "2026-03-01T09:30:00Z"}
        listed = await client.get("/v1/M1/list?kind=b", headers=OK)
        assert listed.json() == {
            "of": "M1",
            "again": "BEARER",
            "caller": "bearer",
            "limit": 5,
            "kind": "b",
            "named": 1,
        }
        wished = await client.post("/v1/M1/wishes", headers=OK, content=b'{"reward": "again"}')
        assert (wished.status_code, wished.headers["x-key"]) == (200, "k1")
        assert wished.json()["wish"] == {"reward": "again", "quantity": 1}


async def test_an_answer_that_is_not_what_was_promised_is_our_mistake():
    router = Router()

    @router.get("/v1/wrong")
    async def wrong() -> Granted:
        return {"of": 1}  # type: ignore[return-value]

    async with client_of(app_of(router, by_framework=False)) as client:
        assert (await client.get("/v1/wrong")).status_code == 500


ORDINARY: list[Any] = []


def ordinary(endpoint: Any) -> Any:
    ORDINARY.append(endpoint)
    return endpoint


@ordinary
async def _of_a_header(request: Request, x_odd: Annotated[str, Header()] = "") -> bool:
    return BY_FRAMEWORK in request.scope


@ordinary
async def _of_a_body(request: Request, body: Wish) -> bool:
    return BY_FRAMEWORK in request.scope


@ordinary
async def _of_a_dependency(request: Request, response: Response, _: Named) -> bool:
    return BY_FRAMEWORK in request.scope


OTHER: list[Any] = []


def other(endpoint: Any) -> Any:
    OTHER.append(endpoint)
    return endpoint


async def _opened() -> AsyncIterator[str]:
    yield "opened"


async def _tasked(tasks: BackgroundTasks) -> str:
    return str(len(tasks.tasks))


def _threaded() -> str:
    return "threaded"


@other
async def _of_what_is_closed_again(request: Request, it: Annotated[str, Depends(_opened)]) -> bool:
    return BY_FRAMEWORK in request.scope and it == "opened"


@other
async def _of_background_tasks(request: Request, it: Annotated[str, Depends(_tasked)]) -> bool:
    return BY_FRAMEWORK in request.scope and it == "0"


@other
async def _of_a_function(request: Request, it: Annotated[str, Depends(_threaded)]) -> bool:
    return BY_FRAMEWORK in request.scope and it == "threaded"


@other
async def _of_a_list(request: Request, reward: Annotated[list[str], Query()]) -> bool:
    return BY_FRAMEWORK in request.scope and reward == ["a", "b"]


@other
async def _of_two_bodies(request: Request, wish: Wish, other: Wish) -> bool:
    return BY_FRAMEWORK in request.scope and other.reward == "two"


@other
async def _of_a_model(request: Request, wish: Annotated[Wish | None, Query()] = None) -> bool:
    return BY_FRAMEWORK in request.scope and wish is not None and wish.reward == "b"


@other
def _in_a_thread(request: Request) -> bool:
    return BY_FRAMEWORK in request.scope


async def _sent(endpoint: Any, **options: Any) -> Any:
    router = Router()
    router.add_api_route("/v1/it", endpoint, methods=["POST"])
    async with client_of(app_of(router, **options)) as client:
        content = b'{"reward": "x", "wish": {"reward": "one"}, "other": {"reward": "two"}}'
        answer = await client.post("/v1/it?reward=a&reward=b", headers=OK, content=content)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.mark.parametrize("endpoint", ORDINARY)
async def test_the_framework_is_not_asked(endpoint: Any):
    assert await _sent(endpoint, by_framework=False) is False
    assert await _sent(endpoint, by_framework=True) is True


@pytest.mark.parametrize("endpoint", OTHER)
async def test_what_only_the_framework_can_do_is_left_to_it(endpoint: Any):
    assert await _sent(endpoint, by_framework=False) is True
