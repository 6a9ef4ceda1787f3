"""What the gateway says of a member, as plain values that tests compare."""

from tests.journeys.bodies import Body
from tests.journeys.running import Running


async def balances(platform: Running, member: str) -> dict[str, int]:
    """Points by wallet."""
    found = await platform.get(f"/v1/members/{member}/points")
    return {each["wallet"]: each["balance"] for each in found["wallets"]}


async def standing(platform: Running, member: str) -> tuple[str, str]:
    """Tier and stage."""
    card = await platform.get(f"/v1/members/{member}/card")
    return card["tier"], card["stage"]


async def transitions(platform: Running, member: str) -> list[tuple[str, str, str, str]]:
    """(time, kind, previous, reached) of every change of tier and stage, oldest first."""
    found = await platform.get(f"/v1/members/{member}/stage?limit=200")
    assert found.get("next") is None
    return [
        (each["at"], each["kind"], each["previous"], each["reached"])
        for each in reversed(found["history"])
    ]


async def stages(platform: Running, member: str) -> list[tuple[str, str]]:
    """(time, stage reached), oldest first."""
    found = await transitions(platform, member)
    return [(at, reached) for at, kind, _, reached in found if kind == "stage"]


async def timeline(platform: Running, member: str) -> list[Body]:
    """The member's activities, oldest first."""
    found = await platform.get(f"/v1/members/{member}/activities?limit=200")
    items: list[Body] = found["items"]
    return items[::-1]


async def statement(platform: Running, member: str) -> list[tuple[str, dict[str, int]]]:
    """(kind, change by wallet) of each entry, oldest first."""
    found = await platform.get(f"/v1/members/{member}/points/statement?limit=200")
    return [
        (entry["kind"], {each["wallet"]: each["change"] for each in entry["changes"]})
        for entry in reversed(found["items"])
    ]


async def decision(platform: Running, activity_id: str) -> Body:
    """The decision on an activity."""
    found: Body = await platform.get(f"/v1/activities/{activity_id}/decision")
    return found
