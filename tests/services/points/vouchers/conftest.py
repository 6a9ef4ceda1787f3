"""Vouchers on every store adapter, and their API alone on the embedded one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from kit.auth import LocalIssuer, token_verifier
from kit.http.app import create_app
from kit.settings import AuthSettings
from kit.store import open_store
from services.points.vouchers.endpoints import router
from services.points.vouchers.wiring import Vouchers, vouchers
from tests.ports.stores import Stores, adapter, place, stores
from tests.services.points.vouchers.making import Api
from tests.services.starting import AUDIENCE, ISSUER, TestClock, key_file

__all__ = ["adapter", "place", "stores"]


@pytest.fixture
async def pool(stores: Stores, clock: TestClock) -> Vouchers:
    made = vouchers(stores.open("points"), clock)
    await made.prepare()
    return made


@pytest.fixture
async def other(pool: Vouchers, stores: Stores, clock: TestClock) -> Vouchers:
    """Another process on the same store."""
    made = vouchers(stores.open("points"), clock)
    await made.prepare()
    return made


@pytest.fixture
async def api(tmp_path: Path, clock: TestClock, issuer: LocalIssuer) -> AsyncIterator[Api]:
    store = open_store(f"sqlite:{tmp_path}", "points")
    made = vouchers(store, clock)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await made.prepare()
        yield
        await store.close()

    verifier = token_verifier(AuthSettings(ISSUER, AUDIENCE, None, key_file(tmp_path)))
    app = create_app("points", "1", [router], lifespan=lifespan, verifier=verifier)
    app.state.vouchers = made
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://points") as client:
            yield Api(client, issuer, made)
