"""Carry out what members do at the end of a month, through the public API.

Two rounds at fixed times before the month's end; each is over before the next begins. What is
refused for want of points is counted: it is refused in every run alike. Any other refusal ends it.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

from mooring.replay.activity import ReplayError
from mooring.replay.client import ATTEMPTS, PASSING, PAUSE_SECONDS
from mooring.replay.mixed import PRICE, REWARD, Month, Operation

AT_ONCE = 8
HOLD_MINUTES = 3 * 24 * 60
DONE = "done"
REFUSALS = frozenset(("insufficient_points", "points_missing"))
Answer = dict[str, Any] | None


@dataclass
class Deeds:
    """How operations fared, by what was done and what came of it (``redeem done``, …)."""

    counts: Counter[str] = field(default_factory=Counter)

    def note(self, what: str, how: str) -> None:
        """Count one."""
        self.counts[f"{what} {how}"] += 1


async def live(client: httpx.AsyncClient, month: Month, deeds: Deeds) -> None:
    """Carry out a month's operations; ``client`` has an agent's token."""
    until = month.end
    begun: dict[str, dict[str, Any]] = {}

    async def begin(operation: Operation) -> None:
        answer = await _begin(client, operation, until - timedelta(hours=3), deeds)
        if answer is not None:
            begun[operation.key] = answer

    await _round(begin, month.operations)
    going_on = [each for each in month.operations if each.key in begun and each.then != "leave"]

    async def end(operation: Operation) -> None:
        await _end(client, operation, begun[operation.key], until - timedelta(hours=1), deeds)

    await _round(end, going_on)


async def offer_reward(client: httpx.AsyncClient, price: int) -> None:
    """Define the reward that members redeem; ``client`` has a marketer's token."""
    body = {
        "names": {"en": "Coffee mug", "zh": "咖啡杯"},
        "gives": "item",
        "prices": [{"wallet": "base", "points": price}],
        "valid_from": "2010-01-01T00:00:00Z",
        "hold_minutes": 60,
    }
    answer = await client.put(f"/v1/rewards/{REWARD}", json=body)
    if answer.status_code >= 300:
        raise ReplayError(f"The reward cannot be defined: {answer.text[:500]}")


async def _round(
    do: Callable[[Operation], Awaitable[None]], operations: Iterable[Operation]
) -> None:
    """Do all, some at a time."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(operation: Operation) -> None:
        async with gate:
            await do(operation)

    await asyncio.gather(*(one(operation) for operation in operations))


async def _begin(
    client: httpx.AsyncClient, operation: Operation, at: datetime, deeds: Deeds
) -> Answer:
    whose = f"/v1/members/{operation.member}"
    body: dict[str, Any] = {"occurred_at": at.isoformat()}
    if operation.kind == "redeem":
        path = f"{whose}/redemptions"
        body |= {"reward_id": REWARD, "quantity": operation.points // PRICE}
    elif operation.kind == "hold":
        path = f"{whose}/points/holds"
        body |= {"points": operation.points, "purpose": "event", "minutes": HOLD_MINUTES}
    else:
        path = f"{whose}/points/transfers"
        body |= {"to": operation.to, "points": operation.points}
    return await _post(client, path, operation.key, body, operation.kind, deeds)


async def _end(
    client: httpx.AsyncClient,
    operation: Operation,
    begun: dict[str, Any],
    at: datetime,
    deeds: Deeds,
) -> None:
    whose = f"/v1/members/{operation.member}"
    body: dict[str, Any] = {"occurred_at": at.isoformat()}
    action = operation.then
    if operation.kind == "redeem":
        path = f"{whose}/redemptions/{begun['redemption_id']}"
        if action == "fulfil":
            query = httpx.QueryParams(body)
            await _post(client, f"{path}:fulfil?{query}", operation.key, None, action, deeds)
            return
        body |= {"reason": "changed their mind"}
    elif operation.kind == "hold":
        path = f"{whose}/points/holds/{begun['hold_id']}"
        body |= {"points": operation.points // 2} if action == "part" else {}
        action = "capture"
    else:
        path = f"/v1/members/{operation.to}/points/transfers/{begun['transfer_id']}"
        body |= {"sender": operation.member}
    key = f"{operation.key}-{action}"
    await _post(client, f"{path}:{action}", key, body, action, deeds)


async def _post(
    client: httpx.AsyncClient,
    path: str,
    key: str,
    body: dict[str, Any] | None,
    what: str,
    deeds: Deeds,
) -> Answer:
    """Post, waiting out what passes; None when there are not enough points. Raises ReplayError."""
    reason = ""
    for _ in range(ATTEMPTS):
        try:
            answer = await client.post(path, json=body, headers={"idempotency-key": key})
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
        else:
            if answer.status_code < 300:
                deeds.note(what, DONE)
                found: dict[str, Any] = answer.json()
                return found
            if answer.status_code == httpx.codes.CONFLICT:
                code = str(answer.json().get("code"))
                if code in REFUSALS:
                    deeds.note(what, code)
                    return None
            reason = f"{answer.status_code} {answer.text[:500]}"
            if answer.status_code not in PASSING:
                break
        await asyncio.sleep(PAUSE_SECONDS)
    raise ReplayError(f"{path}: {reason}")


def shown(deeds: Deeds) -> Sequence[tuple[str, int]]:
    """What was done and how often, by name."""
    return sorted(deeds.counts.items())
