"""Members with points, two rewards with limited stock, and what can be asked of them by HTTP.

A member redeems and looks with a token of their own, as an app does. What is asked of the platform
before and after the load is here, too: points are earned by purchases, and at the end the ledger
and the stock have to tell of exactly those redemptions that were answered.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import aiohttp
import msgspec

from mooring.bench.posting import OURS
from mooring.environment import Place
from mooring.services import Services
from mooring.settle import NotSettled
from services.points.rewards.audit_redemptions import findings
from services.points.rewards.redemptions import moved

MANY, LAST = "bench-many", "bench-last"
SPENT = 20_000  # minor units: enough points for some twenty redemptions
PRICE = 10
STOCK = 100_000
AT_ONCE = 8
POSTED_SECONDS, ASK_SECONDS, LOOKS = 60.0, 0.5, 4


@dataclass
class Shop:
    """Sends requests through the gateway; ``tokens`` are the members' own."""

    http: aiohttp.ClientSession
    place: Place
    run: str
    tokens: dict[str, str] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=count)

    async def ask(
        self, method: str, path: str, token: str, body: Any = None
    ) -> tuple[int, dict[str, Any]]:
        """Ask through the gateway, a write under a key of its own; status and document."""
        headers = {"authorization": f"Bearer {token}"}
        content = None if body is None else msgspec.json.encode(body)
        if content is not None:
            headers["content-type"] = "application/json"
            headers["idempotency-key"] = f"{self.run}-{next(self.numbers)}"
        address = f"{self.place.address}{path}"
        async with self.http.request(method, address, data=content, headers=headers) as answer:
            return answer.status, msgspec.json.decode(await answer.read())

    async def redeem(self, member: str, reward: str) -> tuple[int, dict[str, Any]]:
        """Redeem one: stock, then hold and capture."""
        path = f"/v1/members/{member}/redemptions"
        body = {"reward_id": reward, "confirm": True}
        return await self.ask("POST", path, self.tokens[member], body)

    async def balance(self, member: str) -> tuple[int, dict[str, Any]]:
        """Look at the member's own balance."""
        return await self.ask("GET", f"/v1/members/{member}/points", self.tokens[member])

    async def must(self, role: str, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Ask as somebody of the brand; raises RuntimeError when it is refused."""
        status, found = await self.ask(method, path, self.place.issuer().token(role), body)
        if status >= 300:
            raise RuntimeError(f"{method} {path}: {status} {found}")
        return found


@asynccontextmanager
async def opened_shop(place: Place, members: int) -> AsyncIterator[Shop]:
    """A shop whose members have points, with plenty of one reward and one of another."""
    timeout = aiohttp.ClientTimeout(total=30)
    connector = aiohttp.TCPConnector(limit=256)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as http:
        shop = Shop(http, place, f"{OURS}{uuid.uuid4().hex[:6]}")
        issuer = place.issuer()
        names = [f"{shop.run}-{number}" for number in range(members)]
        shop.tokens = {name: issuer.token("member", name) for name in names}
        await _enrol(shop)
        for reward, slices, quantity in ((MANY, 16, STOCK), (LAST, 1, 1)):
            await _offer(shop, reward, slices, quantity)
        await _until_posted(shop)
        yield shop


async def _enrol(shop: Shop) -> None:
    members = [{"member_id": member, "channel": "store"} for member in shop.tokens]
    await shop.must("operator", "POST", "/v1/members:batch", {"members": members})
    purchases = [_purchase(member) for member in shop.tokens]
    await shop.must("operator", "POST", "/v1/activities:batch", {"activities": purchases})


def _purchase(member: str) -> dict[str, Any]:
    return {
        "member_id": member,
        "source": "bench",
        "external_id": f"{member}-1",
        "type": "purchase",
        "channel": "store",
        "occurred_at": datetime.now(UTC),
        "amount": SPENT,
        "lines": [{"amount": SPENT, "sku": "sku-1"}],
    }


async def _offer(shop: Shop, reward: str, slices: int, quantity: int) -> None:
    body = {
        "names": {"en": "Mug", "zh": "杯子"},
        "gives": "item",
        "prices": [{"wallet": "base", "points": PRICE}],
        "valid_from": datetime.now(UTC) - timedelta(days=1),
        "limited": True,
        "slices": slices,
    }
    await shop.must("marketer", "PUT", f"/v1/rewards/{reward}", body)
    path = f"/v1/rewards/{reward}/stock"
    await shop.must("marketer", "POST", path, {"quantity": quantity})


async def _until_posted(shop: Shop) -> None:
    """Let every member look until their points are there, as they do before they redeem."""
    gate = asyncio.Semaphore(AT_ONCE)
    deadline = time.monotonic() + POSTED_SECONDS

    async def look(member: str) -> None:
        while time.monotonic() < deadline:
            async with gate:
                _, found = await shop.balance(member)
            if found.get("entries"):
                return
            await asyncio.sleep(ASK_SECONDS)
        raise NotSettled(f"{member} has no points after {POSTED_SECONDS:g} s")

    await asyncio.gather(*map(look, shop.tokens))


async def check(shop: Shop, services: Services, made: set[str], won: set[str]) -> None:
    """Raise RuntimeError unless ledger and stock tell of what was answered, and of it alone.

    ``made`` and ``won`` are the redemptions of plenty and of the last item that were answered 201.
    A request that got no answer may have been carried out: it stands in the ledger beside them.
    """
    captured: dict[str, set[str]] = {MANY: set(), LAST: set()}
    async for facts in services.points.entries.scan():
        for fact in facts:
            if (each := moved(fact)) is not None and each.kind == "capture":
                captured[each.reward_id].add(each.redemption_id)
    wrong = await findings(services.points.redemptions)
    if missing := (made - captured[MANY]) | (won - captured[LAST]):
        wrong.append(f"{len(missing)} redemptions were answered and are not in the ledger")
    if len(captured[LAST]) != 1:
        wrong.append(f"the last item was sold {len(captured[LAST])} times")
    for reward, redemptions in captured.items():
        wrong += await _stock(shop, reward, len(redemptions))
    if wrong:
        raise RuntimeError("; ".join(wrong))


async def _stock(shop: Shop, reward: str, redeemed: int) -> list[str]:
    """What was just paid for is settled a moment later."""
    wrong: dict[str, int] = {}
    for _ in range(LOOKS):
        found = await shop.must("operator", "GET", f"/v1/rewards/{reward}/stock")
        expected = {"left": found["added"] - redeemed, "reserved": 0, "redeemed": redeemed}
        wrong = {name: found[name] for name, value in expected.items() if found[name] != value}
        if not wrong:
            return []
        await asyncio.sleep(ASK_SECONDS)
    return [f"the stock of {reward} says {wrong} instead of {expected}"]
