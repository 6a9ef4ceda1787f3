"""Decisions of the events service, as they arrive on the bus."""

import msgspec

from contracts.envelope import Fact
from contracts.events import (
    AsOf,
    Considered,
    Grant,
    ReturnedLine,
    ReturnedPurchase,
    RewardGranted,
    RewardReturned,
    RewardWithheld,
)

AS_OF = AsOf("member", "acceptance")


def granted(member: str, seq: int, points: int = 12, amount: int = 1000) -> Fact:
    """A purchase of one line that earned ``points`` in each wallet."""
    grants = tuple(
        Grant("base", wallet, points, ((1, amount, points),)) for wallet in ("base", "tier")
    )
    body = RewardGranted(f"act_{seq}", member, "r1", AS_OF, (Considered("base", True),), grants)
    return fact(member, seq, body)


def withheld(member: str, seq: int) -> Fact:
    """A visit that earned nothing."""
    return fact(member, seq, RewardWithheld(f"act_{seq}", member, "r1", AS_OF))


def returned(
    member: str, seq: int, purchase: int, before: int, after: int, amount: int = 1000
) -> Fact:
    """A return of a purchase's only line, from ``before`` to ``after`` of its amount."""
    lines = (ReturnedLine(1, amount, before, after),)
    taken = ReturnedPurchase(
        f"act_{purchase}", purchase, purchase, after - before, after == amount, lines
    )
    return fact(member, seq, RewardReturned(f"act_{seq}", member, taken))


def fact(member: str, seq: int, body: msgspec.Struct) -> Fact:
    """The envelope of decision ``seq``."""
    raw = msgspec.Raw(msgspec.json.encode(body))
    return Fact(f"decision:{member}", seq, f"act_{seq}", type(body).__name__, seq, seq, raw)
