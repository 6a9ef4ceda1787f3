"""Activities as clients send them, and sending them through the gateway."""

from collections.abc import Sequence
from typing import Any

import httpx

from services.events.domain.identity import activity_id

Body = dict[str, Any]
SOURCE = "till"


def activity(kind: str, member: str, number: str, at: str, **more: Any) -> Body:
    """What every activity says. Its external id is the member's own ``number``."""
    return {
        "type": kind,
        "member_id": member,
        "source": SOURCE,
        "external_id": external_id(member, number),
        "channel": "store",
        "occurred_at": at,
        **more,
    }


def external_id(member: str, number: str) -> str:
    """The till's id of a member's activity."""
    return f"{member}-{number}"


def id_of(member: str, number: str) -> str:
    """The activity id that follows from it."""
    return activity_id(SOURCE, external_id(member, number))


def purchase(member: str, number: str, at: str, *amounts: int, **more: Any) -> Body:
    """A purchase with a line for each amount (minor units)."""
    lines = [
        {"line": place, "amount": amount, "sku": f"sku-{place}"}
        for place, amount in enumerate(amounts, 1)
    ]
    return activity("purchase", member, number, at, amount=sum(amounts), lines=lines, **more)


def returning(
    member: str, number: str, at: str, of: str, *lines: tuple[int, int | None], **more: Any
) -> Body:
    """A return of lines (number, amount or None: all that is left) of the purchase ``of``.

    Without lines, of all that is left.
    """
    asked: list[Body] = [
        {"line": line} if amount is None else {"line": line, "amount": amount}
        for line, amount in lines
    ]
    wanted: Body = {"purchase": {"external_id": external_id(member, of)}}
    if asked:
        wanted["lines"] = asked
    return activity("return", member, number, at, **wanted, **more)


async def enrol(client: httpx.AsyncClient, *members: str, **more: Any) -> None:
    """Enrol members with ids of the caller's choice."""
    body = {"members": [{"member_id": each, "channel": "store", **more} for each in members]}
    answer = await client.post("/v1/members:batch", json=body)
    assert answer.status_code < 300, answer.text
    assert statuses(answer.json()["results"]) == ["accepted"] * len(members)


async def record(client: httpx.AsyncClient, *activities: Body) -> list[Body]:
    """Record activities in one batch and return the result of each."""
    answer = await client.post("/v1/activities:batch", json={"activities": list(activities)})
    assert answer.status_code < 300, answer.text
    results: list[Body] = answer.json()["results"]
    return results


async def accepted(client: httpx.AsyncClient, *activities: Body) -> None:
    """Record activities that must all be new and good."""
    results = await record(client, *activities)
    assert statuses(results) == ["accepted"] * len(activities), results


def statuses(results: Sequence[Body]) -> list[str]:
    """The status of each result."""
    return [result["status"] for result in results]
