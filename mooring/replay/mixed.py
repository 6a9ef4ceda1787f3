"""A year with everything in it: purchases, and returns, redemptions, holds and transfers.

The purchases are recorded ones; the rest is drawn by a seed, by hashes of what it is about, so that
it depends neither on the order of work nor on its speed. Activities go month by month; at the end
of a month all is waited for, then members redeem, hold and transfer in rounds, and then time passes
to the month's end. So what a member may spend is the same whatever the batches, the workers and
the adapters.
"""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from itertools import groupby
from typing import Any, Literal

import msgspec

from mooring.replay.activity import Activity, Item

SOURCE = "mixed"
PRICE = 120
MOST_REDEEMED = 4
"""Small accounts can then be emptied, and a later return leaves a debt."""
REWARD = "coffee-mug"
RETURNED_OF_100 = 8
LONGEST_RETURN_DAYS = 40
_encoder = msgspec.json.Encoder()

Kind = Literal["redeem", "hold", "transfer"]


@dataclass(frozen=True)
class Operation:
    """What a member does at the end of a month, and how it goes on."""

    kind: Kind
    member: str
    key: str
    points: int
    then: str
    to: str = ""


@dataclass
class Month:
    """A month of activities in the order of time, and what follows at its end."""

    first: date
    items: list[Item] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)

    @property
    def end(self) -> datetime:
        """The last moment, UTC, at which something happens in it."""
        return datetime.combine(next_month(self.first), datetime.min.time(), UTC)


def next_month(first: date) -> date:
    """The first day of the month after."""
    return (first.replace(day=1) + timedelta(days=32)).replace(day=1)


def months(purchases: Iterable[Activity], seed: int) -> Iterator[Month]:
    """Yield the months of a year; ``purchases`` are in the order of time."""
    members: set[str] = set()
    waiting: list[tuple[datetime, str, Activity, int]] = []
    for first, of_month in groupby(purchases, lambda each: each.occurred_at.date().replace(day=1)):
        month = Month(first)
        for purchase in of_month:
            _due(waiting, purchase.occurred_at, month)
            month.items.append(_item(purchase))
            members.add(purchase.member_id)
            if drawn(seed, "return", purchase.external_id, 100) < RETURNED_OF_100:
                after = 1 + drawn(seed, "days", purchase.external_id, LONGEST_RETURN_DAYS)
                moment = purchase.occurred_at + timedelta(days=after)
                heapq.heappush(waiting, (moment, purchase.external_id, purchase, seed))
        _due(waiting, month.end, month)
        month.operations = operations(sorted(members), first, seed)
        yield month


def _due(waiting: list[Any], until: datetime, month: Month) -> None:
    while waiting and waiting[0][0] < until:
        moment, _, purchase, seed = heapq.heappop(waiting)
        month.items.append(_return(purchase, moment, seed))


def _item(activity: Activity) -> Item:
    return activity.member_id, activity.occurred_at, _encoder.encode(activity)


def _return(purchase: Activity, moment: datetime, seed: int) -> Item:
    """The whole of it comes back, or one line, or a part of one."""
    body: dict[str, Any] = {
        "type": "return",
        "member_id": purchase.member_id,
        "source": purchase.source,
        "external_id": f"{purchase.external_id}-back",
        "channel": purchase.channel,
        "occurred_at": moment,
        "purchase": {"external_id": purchase.external_id},
    }
    lines = [line for line in purchase.lines or () if line.amount > 0]
    what = drawn(seed, "what", purchase.external_id, 3)
    if lines and what:
        line = lines[drawn(seed, "line", purchase.external_id, len(lines))]
        asked: dict[str, int] = {"line": line.line}
        if what > 1:
            asked["amount"] = max(1, line.amount // 2)
        body["lines"] = [asked]
    return purchase.member_id, moment, _encoder.encode(body)


def operations(members: list[str], first: date, seed: int) -> list[Operation]:
    """What members do at the end of a month: two in five something, each one thing.

    Nobody is sent points twice in it: what fills a debt first would depend on who is served first,
    and with it when the rest expires.
    """
    found: list[Operation] = []
    receiving: set[str] = set()
    month = first.isoformat()
    for member in members:
        what = drawn(seed, "what", member, 100, month)
        key = f"{SOURCE}-{seed}-{month}-{member}"
        part = drawn(seed, "then", member, 100, month)
        if what < 18:
            then = "fulfil" if part < 50 else "cancel" if part < 75 else "leave"
            points = PRICE * (1 + drawn(seed, "quantity", member, MOST_REDEEMED, month))
            found.append(Operation("redeem", member, key, points, then))
        elif what < 26:
            then = "capture" if part < 40 else "part" if part < 70 else "leave"
            found.append(Operation("hold", member, key, 50, then))
        elif what < 40:
            to = members[drawn(seed, "to", member, len(members), month)]
            points = 20 + drawn(seed, "points", member, 60, month)
            then = "accept" if part < 70 else "decline" if part < 85 else "leave"
            if to != member and to not in receiving:
                receiving.add(to)
                found.append(Operation("transfer", member, key, points, then, to))
    return found


def drawn(seed: int, what: str, about: str, below: int, when: str = "") -> int:
    """A number below ``below`` that depends on the arguments alone."""
    text = f"{seed}/{what}/{when}/{about}".encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest()) % below
