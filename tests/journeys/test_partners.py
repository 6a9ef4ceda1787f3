"""Two partners at one gateway: neither records for the other, neither sees the other's."""

import httpx
import pytest

from tests.journeys.bodies import SOURCE, accepted, enrol, id_of, purchase, record
from tests.journeys.reading import statement, timeline
from tests.journeys.running import Running

pytestmark = pytest.mark.asyncio(loop_scope="package")
AT = "2025-02-01T12:00:00Z"


async def test_a_partner_cannot_take_what_anothers_till_will_record(
    platform: Running, till: httpx.AsyncClient, member: str
) -> None:
    await enrol(till, member)
    forged = purchase(member, "1", AT, 100_000)
    async with platform.client("partner", partner="north-stores") as north:
        single = await north.post("/v1/activities", json=forged)
        own = purchase(member, "2", AT, 500) | {"source": "north-stores.till-7"}
        refused, taken = await record(north, forged, own)
        await accepted(till, purchase(member, "1", AT, 1_000))
        await platform.settled()
        path = f"/v1/activities/{id_of(member, '1')}"
        hidden = [await north.get(path + below) for below in ("", "/decision")]
        shown = await north.get(f"/v1/activities/{taken['activity_id']}/decision")

    assert (single.status_code, single.json()["code"]) == (403, "source_not_allowed")
    assert refused["problem"]["code"] == "source_not_allowed"
    assert [each.status_code for each in hidden] == [404, 404]
    assert [each["points"] for each in shown.json()["grants"]] == [5, 5]
    assert [each["source"] for each in await timeline(platform, member)] == [
        "north-stores.till-7",
        SOURCE,
    ]
    assert await statement(platform, member) == [
        ("earn", {"base": 5, "tier": 5}),
        ("earn", {"base": 10, "tier": 10}),
    ]
