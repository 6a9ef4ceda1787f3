"""What `mooring verify` says of a store where work is on its way."""

import json
from pathlib import Path

import pytest

from mooring.environment import Place
from mooring.preparation import prepare
from mooring.replay.client import replay
from tests.journeys.adapters import EMBEDDED, fresh_place
from tests.journeys.generated import activities, encoded
from tests.journeys.running import ALL, running
from tests.mooring.command import Command

RECORDED = encoded(activities(seed=3, members=4))
APIS_ONLY = [name for name in ALL if not name.endswith("-worker")]


async def unworked(place: Place) -> None:
    """Three activities that are accepted while no worker runs."""
    await prepare(place.store(), place.bus(), place.programme)
    async with running(place, names=APIS_ONLY) as platform:
        async with platform.client("operator") as operator:
            tally = await replay(operator, RECORDED[:3], batch=3)
        assert tally.accepted == 3


@pytest.fixture
async def accepted(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A data directory with work that nobody has done yet."""
    with fresh_place(EMBEDDED, tmp_path / "data", request) as place:
        place.data.mkdir()
        await unworked(place)
        return place.data


def test_verify_of_a_store_with_work_on_its_way_says_so_and_exits_with_3(
    mooring: Command, accepted: Path
) -> None:
    members = sorted({member for member, _, _ in RECORDED[:3]})
    done = mooring("verify", "--data", accepted)
    assert done.code == 3
    assert "UNSETTLED: nothing is broken, but work is on its way" in done.out
    assert "BROKEN" not in done.out
    for member in members:
        assert f"{member}: not settled, nothing of this member is absorbed yet" in done.out
    report = json.loads(mooring("verify", "--json", "--data", accepted).out)
    assert (report["ok"], report["findings"]) == (False, [])
    assert len(report["unsettled"]) == 2 * len(members)
