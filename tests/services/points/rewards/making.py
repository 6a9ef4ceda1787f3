"""What tests of rewards are made of: versions, cards, accounts."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from contracts.catalogue import RewardDefined, RewardPrice, StockAdded
from contracts.envelope import Fact
from contracts.members import CardChange, MemberCard
from kit.clock import DAY
from kit.store import Store
from programmes.model import load_programme
from services.points.domain.account import Account
from services.points.rewards import commands
from services.points.rewards.stock import Shelf
from services.points.rewards.wiring import Rewards
from services.points.rewards.wiring import rewards as rewards_on
from tests.services.starting import PROGRAMME, START, TestClock


@dataclass
class Accounts:
    """Members' accounts as tests say; nobody has anything else."""

    held: dict[str, Account] = field(default_factory=dict)

    async def __call__(self, member_id: str, now: int) -> Account:
        return self.held.get(member_id, Account())


def made(store: Store, clock: TestClock, accounts: Accounts) -> Rewards:
    """Rewards of the default programme."""
    return rewards_on(store, clock, load_programme(PROGRAMME), accounts)


def mug(**changes: Any) -> RewardDefined:
    """A mug for 800 points, live since the clock's start, without limits."""
    plain = RewardDefined(
        reward_id="mug",
        revision=0,
        gives="item",
        names={"en": "Mug", "zh": "杯子"},
        prices=(RewardPrice("base", 800),),
        valid_from=START,
        unit_cost=650,
        hold_minutes=15,
        by="mara",
    )
    return msgspec.structs.replace(plain, **changes)


async def stocked(rewards: Rewards, quantity: int, slices: int = 16, **changes: Any) -> Shelf:
    """A limited mug with some in stock."""
    await commands.define(rewards, mug(slices=slices, **changes))
    if quantity:
        await commands.add_stock(rewards, delivery(quantity), f"first-{quantity}")
    return Shelf("mug", slices)


def delivery(quantity: int, note: str | None = None) -> StockAdded:
    """A delivery of mugs."""
    return StockAdded("mug", quantity, quantity, "omar", note)


def card(member_id: str, tier: str = "member", **more: Any) -> MemberCard:
    """A card of somebody who has been a member for 100 days."""
    since = START - 100 * DAY
    changes = (CardChange(0, 0, "member", "need"), CardChange(3, since, tier, "acceptance"))
    plain = MemberCard(member_id, 3, tier, "acceptance", since, "store", changes, region="north")
    return msgspec.structs.replace(plain, **more)


def carded(seq: int, body: MemberCard) -> Fact:
    """A card as it arrives on its topic."""
    raw = msgspec.Raw(msgspec.json.encode(body))
    return Fact(f"card:{body.member_id}", seq, f"card:{seq}", "MemberCard", START, START, raw)


async def facts(rewards: Rewards, kind: str = "") -> list[Fact]:
    """Every fact of the catalogue, or those of one type."""
    found = [fact async for page in rewards.journal.scan() for fact in page]
    return [fact for fact in found if fact.type == kind or not kind]
