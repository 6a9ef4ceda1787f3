"""Sixteen months in the lives of sixty members: made up, and the same for the same seed.

Members differ in how often they come and how much they spend, so that every tier and stage occurs.
Baskets come back in whole and in part, now and then by too much; some activities arrive late, some
twice, some returns before their purchase. All of it is past, so no decision is made in a hurry.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from random import Random

import msgspec

from mooring.replay.activity import Item
from tests.journeys.bodies import Body

MEMBERS = 60
ACTIVITIES = 25  # of a member, about
BEGIN = datetime(2024, 3, 1, 8, tzinfo=UTC)
DAYS = 480
KINDS = {
    "purchase": 60,
    "return": 12,
    "visit": 7,
    "app_open": 4,
    "content_view": 3,
    "share": 5,
    "review": 4,
    "wish": 3,
    "custom": 2,
}
LATE, TWICE = 0.06, 0.02


@dataclass
class _Life:
    """One member: habits, and what was bought so far (the id and the lines of each basket)."""

    member_id: str
    chance: Random
    basket: int
    often: int
    bought: list[tuple[str, list[int]]] = field(default_factory=list)


def activities(seed: int = 1, members: int = MEMBERS) -> list[Body]:
    """Bodies of activities in the order in which they arrive."""
    arrivals = [one for number in range(members) for one in _life(seed, number)]
    arrivals.sort(key=lambda one: one[:3])
    return [body for _, _, _, body in arrivals]


def encoded(bodies: Sequence[Body]) -> list[Item]:
    """What the replay client takes."""
    return [
        (body["member_id"], datetime.fromisoformat(body["occurred_at"]), msgspec.json.encode(body))
        for body in bodies
    ]


def shuffled(bodies: Sequence[Body], seed: int = 1) -> list[Body]:
    """Another order between members; each member's own order stays."""
    chance = Random(f"shuffle {seed}")
    ordered = sorted(bodies, key=lambda body: str(body["member_id"]))
    queues = [list(own)[::-1] for _, own in groupby(ordered, key=lambda body: body["member_id"])]
    turns = [place for place, own in enumerate(queues) for _ in own]
    chance.shuffle(turns)
    return [queues[place].pop() for place in turns]


def _life(seed: int, number: int) -> list[tuple[datetime, str, int, Body]]:
    """(arrival, member, place, body) of all that one member does."""
    chance = Random(f"{seed} {number}")
    life = _Life(f"g-{number:03}", chance, chance.choice((900, 4_000, 9_000, 22_000)), 0)
    life.often = chance.randint(ACTIVITIES // 3, ACTIVITIES * 5 // 3)
    last = chance.uniform(0.5, 1.0) * DAYS
    days = sorted(chance.uniform(0, last) for _ in range(life.often))
    arrivals = []
    for place, day in enumerate(days):
        at = BEGIN + timedelta(milliseconds=round(day * 86_400_000))
        body = _body(life, place, at)
        late = timedelta(days=chance.expovariate(1 / 9)) if chance.random() < LATE else timedelta()
        arrivals.append((at + late, life.member_id, place, body))
        if chance.random() < TWICE:
            again = at + late + timedelta(days=chance.uniform(0, 5))
            arrivals.append((again, life.member_id, 1_000 + place, body))
    return arrivals


def _body(life: _Life, place: int, at: datetime) -> Body:
    [kind] = life.chance.choices(list(KINDS), list(KINDS.values()))
    if kind == "return" and not life.bought:
        kind = "visit"
    external_id = f"{life.member_id}-{place}"
    specific = {
        "purchase": _purchase,
        "return": _return,
        "review": lambda life, _: {"rating": life.chance.choice((2, 3, 4, 5, 5))},
        "custom": lambda life, _: {"subject": "quiz", "attributes": {"score": place}},
    }.get(kind, lambda life, _: {})
    return {
        "type": kind,
        "member_id": life.member_id,
        "source": "till",
        "external_id": external_id,
        "channel": life.chance.choice(("store", "app", "web")),
        "occurred_at": at.isoformat(),
        **specific(life, external_id),
    }


def _purchase(life: _Life, external_id: str) -> Body:
    amounts = [
        round(life.chance.lognormvariate(0, 0.8) * life.basket / 3)
        for _ in range(life.chance.randint(1, 5))
    ]
    if life.chance.random() < 0.03:
        amounts = [0]
    life.bought.append((external_id, amounts))
    return {"lines": [{"amount": amount, "sku": f"sku-{amount % 97}"} for amount in amounts]}


def _return(life: _Life, _: str) -> Body:
    """A whole basket, or some of its lines in part; sometimes more than is left."""
    external_id, amounts = life.chance.choice(life.bought[-4:])
    body: Body = {"purchase": {"external_id": external_id}}
    if life.chance.random() < 0.4:
        return body
    chosen = life.chance.sample(range(len(amounts)), life.chance.randint(1, len(amounts)))
    lines = []
    for place in chosen:
        part = max(1, round(amounts[place] * life.chance.choice((0.25, 0.5, 1.0, 1.2))))
        lines.append({"line": place + 1, "amount": part})
    return {**body, "lines": lines}
