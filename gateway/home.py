"""The app's home screen in one call, put together from three services at once.

Each part has its own deadline and may be missing without harm: what could not be had is null and
named in ``unavailable``, so that the app shows the rest and asks again later.
"""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from gateway.deadlines import Deadlines
from gateway.headers import said_by_the_gateway
from gateway.routes import canonical, own_path
from gateway.upstream import Headers, UnreachableError, Upstream
from kit.auth import Principal, owner_or, require
from kit.errors import ServiceError
from kit.http.openapi import problems

PARTS: Mapping[str, tuple[str, str, bytes]] = {
    "member": ("members", "/card", b""),
    "points": ("points", "/points", b""),
    "recent": ("events", "/activities", b"limit=5"),
}
MOST_PART_BYTES = 256 * 1024
READERS = ("agent", "marketer", "operator", "partner")


class Home(BaseModel):
    """What the app's first screen shows. A part in ``unavailable`` is null: ask again later."""

    member: dict[str, Any] | None = Field(
        description="The member card, as `/v1/members/{member_id}/card` gives it.",
        examples=[{"member_id": "M1", "tier": "silver", "stage": "satisfaction"}],
    )
    points: dict[str, Any] | None = Field(
        description="The balances, as `/v1/members/{member_id}/points` gives them.",
        examples=[{"member_id": "M1", "wallets": [{"wallet": "base", "balance": 1250}]}],
    )
    stage: str | None = Field(
        description="The step of the relationship the member stands on.", examples=["satisfaction"]
    )
    recent: list[dict[str, Any]] | None = Field(
        description="The latest activities, newest first, five at most.",
        examples=[[{"type": "purchase", "amount": 1250, "occurred_at": "2026-03-01T09:30:00Z"}]],
    )
    unavailable: list[str] = Field(
        description="Which of `member`, `points` and `recent` could not be had in time.",
        examples=[[]],
    )


def home_router() -> APIRouter:
    """``GET /v1/me/home`` and, for staff, ``GET /v1/members/{member_id}/home``."""
    router = APIRouter(tags=["home"])

    @router.get("/v1/me/home", response_model=Home, responses=problems("missing"))
    async def my_home(
        request: Request, caller: Annotated[Principal, Depends(require("member"))]
    ) -> Response:
        """Everything the app's home screen needs: card, points, stage, latest activities."""
        return await _answer(request, own_path("/v1/me", caller))

    @router.get("/v1/members/{member_id}/home", response_model=Home, responses=problems("missing"))
    async def home_of(
        request: Request,
        member_id: str,
        caller: Annotated[Principal, Depends(owner_or(*READERS))],
    ) -> Response:
        """The home screen as this member sees it."""
        raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
        return await _answer(request, canonical(raw).removesuffix("/home"))

    return router


async def _answer(request: Request, member_path: str) -> Response:
    composer: HomeComposer = request.app.state.home
    home = await composer.compose(member_path, request.headers.get("authorization", ""))
    return Response(
        msgspec.json.encode(home),
        media_type="application/json",
        headers={"cache-control": "no-store"},
    )


class HomeComposer:
    """Asks the three services at once, each within ``part_seconds``."""

    def __init__(
        self,
        upstreams: Mapping[str, Upstream],
        deadlines: Deadlines,
        part_seconds: float,
    ) -> None:
        self._upstreams = upstreams
        self._deadlines = deadlines
        self._seconds = part_seconds

    async def compose(self, member_path: str, authorization: str) -> dict[str, Any]:
        """The home document of the member at ``/v1/members/{id}``.

        Raises ServiceError ``missing`` when members does not know the member, ``unavailable`` when
        no part could be had.
        """
        headers = _headers(authorization)
        answers = await asyncio.gather(
            *(
                self._part(self._upstreams[service], member_path + path, query, headers)
                for service, path, query in PARTS.values()
            )
        )
        parts = dict(zip(PARTS, answers, strict=True))
        card = parts["member"]
        if isinstance(card, _Missing):
            raise ServiceError("missing", "no_such_member", "There is no such member.")
        unavailable = [name for name, answer in parts.items() if answer is None]
        if len(unavailable) == len(parts):
            raise ServiceError("unavailable", "home_unavailable", "No part of it can be had now.")
        found = {name: _present(answer) for name, answer in parts.items()}
        return {
            "member": found["member"],
            "points": found["points"],
            "stage": (found["member"] or {}).get("stage"),
            "recent": _items(found["recent"]),
            "unavailable": unavailable,
        }

    async def _part(
        self, upstream: Upstream, path: str, query: bytes, headers: Headers
    ) -> "dict[str, Any] | _Missing | None":
        """A part's document; ``_MISSING`` for a 404; None when it cannot be had now."""
        try:
            with upstream.in_flight, self._deadlines.within(self._seconds):
                found = await upstream.transport.get(path, query, headers, MOST_PART_BYTES)
        except (UnreachableError, TimeoutError) as error:
            upstream.failed(error)
        except ServiceError:
            pass  # no room, or it broke: as good as down
        else:
            if found.status == 404:
                return _MISSING
            return found.document if found.status == 200 else None
        return None


class _Missing:
    """The service answered: there is no such thing."""


_MISSING = _Missing()


def _present(answer: "dict[str, Any] | _Missing | None") -> dict[str, Any] | None:
    return answer if isinstance(answer, dict) else None


def _items(recent: dict[str, Any] | None) -> Any:
    return None if recent is None else recent.get("items")


def _headers(authorization: str) -> Headers:
    given = [(b"authorization", authorization.encode("latin-1")), (b"accept", b"application/json")]
    return given + said_by_the_gateway()
