"""Fresh places, and what comes of the same activities when nobody dies."""

from collections.abc import Iterator

import pytest
import pytest_asyncio

from mooring.environment import Place
from mooring.verify import Report
from tests.journeys.adapters import CONNECTED, EMBEDDED, fresh_place
from tests.journeys.replaying import undisturbed

ADAPTERS = [EMBEDDED, pytest.param(CONNECTED[0], marks=pytest.mark.connected)]


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def expected(request: pytest.FixtureRequest) -> Report:
    """The report on YEAR, undisturbed."""
    return await undisturbed(request)


@pytest.fixture(params=ADAPTERS)
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """A place of the test's own, where nothing has happened yet."""
    with fresh_place(request.param, tmp_path_factory.mktemp("place"), request) as place:
        yield place
