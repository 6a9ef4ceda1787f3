"""What tests of redemptions are made of: a ledger with points in it, and all that stands on it."""

from typing import Any

import msgspec

from contracts.envelope import Fact
from contracts.events import AsOf, Considered, Grant, RewardGranted
from kit.store import Store
from programmes.ledger import Ledger
from programmes.model import load_programme
from services.points import queries
from services.points.commands import post_decisions
from services.points.domain.account import Account
from services.points.domain.redemptions import Redemption
from services.points.policy import rules_of
from services.points.rewards import audit, audit_redemptions, commands
from services.points.rewards.duties import close_due
from services.points.rewards.following import follow, status_of
from services.points.rewards.redeeming import Caller, Redeem, redeem
from services.points.rewards.redemptions import IssueVoucher, Redemptions
from services.points.rewards.wiring import rewards as rewards_on
from services.points.views import ACCOUNTS, DUE, ledger
from tests.services.points.rewards.making import delivery, mug
from tests.services.starting import PROGRAMME, START, TestClock

MEMBER, CLERK = Caller("member:M1"), Caller("dev:agent", clerk=True)


def redemptions_on(
    store: Store,
    clock: TestClock,
    issue_voucher: IssueVoucher | None = None,
    **points: Any,
) -> Redemptions:
    """Redemptions of the default programme with another ``points`` section."""
    programme = load_programme(PROGRAMME).model_copy(update={"points": Ledger(**points)})
    rules = rules_of(programme)
    accounts = ledger(store.journal("points.entries"), store.views, clock)

    async def account_of(member_id: str, now: int) -> Account:
        _, state = await queries.account(accounts, rules, member_id, now)
        return state

    rewards = rewards_on(store, clock, programme, account_of)
    return Redemptions(rewards, accounts, rules, clock, issue_voucher)


async def prepared(redemptions: Redemptions) -> Redemptions:
    """The same, with its tables."""
    await redemptions.ledger.journal.prepare()
    await redemptions.rewards.views.prepare([ACCOUNTS, DUE])
    await redemptions.rewards.prepare()
    await redemptions.prepare()
    return redemptions


async def earned(
    redemptions: Redemptions, points: int, member: str = "M1", seq: int = 1, at: int = START
) -> None:
    """A purchase that earned points."""
    grants = (Grant("base", "base", points, ((1, 1_000, points),)),)
    as_of, considered = AsOf("member", "acceptance"), (Considered("base", True),)
    body = RewardGranted(f"act_{seq}", member, "r1", as_of, considered, grants)
    raw = msgspec.Raw(msgspec.json.encode(body))
    fact = Fact(f"decision:{member}", seq, f"act_{seq}", "RewardGranted", at, at, raw)
    await post_decisions(redemptions.ledger, redemptions.rules, [fact])


async def shop(redemptions: Redemptions, quantity: int, points: int = 1_000, **fields: Any) -> None:
    """A limited mug for 800 points, some in stock, and a member with points."""
    await commands.define(redemptions.rewards, mug(**{"slices": 16, **fields}))
    if quantity:
        await commands.add_stock(redemptions.rewards, delivery(quantity), "first")
    if points:
        await earned(redemptions, points)


def wish(key: str = "k1", member: str = "M1", **fields: Any) -> Redeem:
    """One mug, please."""
    return Redeem(
        **{"member_id": member, "reward_id": "mug", "key": key, "caller": MEMBER, **fields}
    )


async def redeemed(redemptions: Redemptions, wanted: Redeem) -> Redemption:
    """Redeem, whether it was done before or not."""
    return (await redeem(redemptions, wanted))[0]


async def balance(redemptions: Redemptions, member: str = "M1") -> int:
    """What the member can spend."""
    account = await redemptions.rewards.account_of(member, redemptions.clock())
    return account.balances.get("base", 0)


async def stock(redemptions: Redemptions, *others: Redemptions) -> tuple[int, int, int]:
    """What is left of the mugs, reserved, and redeemed, once all processes have come to rest."""
    await follow(redemptions, await entries(redemptions))
    for process in (redemptions, *others):
        await process.rewards.shop.idle()
    streams = redemptions.rewards.shop.streams
    heads = await streams.heads([f"mug.{n}" for n in range(16)], fresh=True)
    states = [head.state for head in heads.values()]
    reserved = sum(take.quantity for each in states for take in each.open.values())
    return sum(s.left for s in states), reserved, sum(s.settled for s in states)


async def entries(redemptions: Redemptions) -> list[Fact]:
    """All entries of the ledger, as they come on their topic."""
    return [fact async for page in redemptions.ledger.journal.scan() for fact in page]


async def followed(redemptions: Redemptions) -> None:
    """What the worker does in the end: entries followed, due takes closed."""
    await follow(redemptions, await entries(redemptions))
    await redemptions.rewards.shop.idle()
    await close_due(redemptions.rewards.shop, status_of(redemptions), redemptions.clock())
    await follow(redemptions, await entries(redemptions))


async def findings(redemptions: Redemptions) -> list[str]:
    """Everything that does not hold."""
    return [
        *await audit.findings(redemptions.rewards),
        *await audit_redemptions.findings(redemptions),
    ]
