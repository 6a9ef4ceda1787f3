"""Platforms to go on journeys with."""

from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from tests.journeys.adapters import ADAPTERS, fresh_place
from tests.journeys.bodies import SOURCE
from tests.journeys.running import Running, running


@pytest_asyncio.fixture(scope="package", loop_scope="package", params=ADAPTERS)
async def platform(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    """A platform that all journeys share, each with members of its own.

    Of the package, not of the session: the real servers bear one platform at a time.
    """
    with fresh_place(request.param, tmp_path_factory.mktemp("platform"), request) as place:
        async with running(place) as platform:
            yield platform


@pytest_asyncio.fixture(loop_scope="package")
async def till(platform: Running) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the token of a partner: the shop's till."""
    async with platform.client("partner", partner=SOURCE) as client:
        yield client


@pytest.fixture
def member() -> str:
    """A member id that no other journey has."""
    return f"m-{uuid4().hex[:8]}"


@pytest.fixture
def twin() -> str:
    """Another one."""
    return f"t-{uuid4().hex[:8]}"
