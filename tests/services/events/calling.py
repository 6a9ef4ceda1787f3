"""Calling the events API as whoever it is."""

import httpx

from kit.auth import LocalIssuer
from tests.services.events.bodies import Body


def as_(
    issuer: LocalIssuer, role: str, member: str | None = None, *, partner: str | None = None
) -> dict[str, str]:
    """The headers of a caller."""
    return {"authorization": f"Bearer {issuer.token(role, member, partner=partner)}"}


async def timeline(api: httpx.AsyncClient, issuer: LocalIssuer, member: str = "M1") -> list[Body]:
    """What a member sees of their own activities."""
    answer = await api.get(
        f"/v1/members/{member}/activities", headers=as_(issuer, "member", member)
    )
    items: list[Body] = answer.json()["items"]
    return items
