"""An app made the way services make theirs, and a client in front of it."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Literal

import httpx
import pytest
from fastapi import Depends, FastAPI, Query
from joserfc.jwk import ECKey
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from kit.auth import LocalIssuer, Principal, TokenVerifier, owner_or, require
from kit.errors import BrokenInvariant, ServiceError, Unavailable
from kit.http.app import create_app
from kit.http.json_body import Router
from kit.http.openapi import problems

ISSUER = "https://login.example"


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid")
    amount: int = Field(ge=0, le=10_000)


class Purchase(BaseModel):
    model_config = ConfigDict(extra="forbid")
    type: Literal["purchase"]
    lines: list[Line] = Field(min_length=1)
    weight: float | None = None
    at: AwareDatetime | None = None


class Visit(BaseModel):
    model_config = ConfigDict(extra="forbid")
    type: Literal["visit"]
    store: str = Field(max_length=5)


class Activity(BaseModel):
    model_config = ConfigDict(extra="forbid")
    activity: Annotated[Purchase | Visit, Field(discriminator="type")]


ERRORS: dict[str, Exception] = {
    "refused": ServiceError("refused", "not_enough", "It needs 5.", needed=5, available=3),
    "gone": Unavailable("The store", "no route"),
    "slow_down": ServiceError("too_many", "slow_down", "Wait.", retry_after_seconds=7),
    "broken": BrokenInvariant("sum_not_zero", "postings sum to 3", secret="M1 has 12"),
    "bug": KeyError("secret detail"),
}


def router() -> Router:
    routes = Router(tags=["things"])

    @routes.post("/v1/things", responses=problems("conflict"))
    async def make(
        body: Activity, caller: Annotated[Principal, Depends(require("agent", "operator"))]
    ) -> dict[str, Any]:
        """Make a thing."""
        return {"who": caller.subject}

    @routes.get("/v1/members/{member_id}/things")
    async def things(
        member_id: str,
        caller: Annotated[Principal, Depends(owner_or("agent"))],
        limit: Annotated[int, Query(ge=1, le=50)] = 10,
        since: datetime | None = None,
    ) -> dict[str, Any]:
        return {"who": caller.subject, "limit": limit}

    @routes.get("/v1/errors/{name}")
    async def fail(name: str) -> None:
        raise ERRORS[name]

    return routes


@pytest.fixture
def issuer() -> LocalIssuer:
    key = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True)
    return LocalIssuer(key, ISSUER, "mooring")


@pytest.fixture
def app(issuer: LocalIssuer) -> FastAPI:
    verifier = TokenVerifier(ISSUER, "mooring", issuer.jwks())
    limits = {"/v1/things": 2000}
    return create_app("things", "1", [router()], verifier=verifier, body_limits=limits)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://things") as client:
        yield client


@pytest.fixture
def agent(issuer: LocalIssuer) -> dict[str, str]:
    return {"authorization": f"Bearer {issuer.token('agent')}"}
