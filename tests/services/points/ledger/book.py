"""A ledger in memory: accounts, and a journal that takes each key once."""

from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from contracts.points import AccountMarked, PointsPosted
from kit.clock import DAY, to_micros
from services.points.domain.account import Account
from services.points.domain.applying import apply
from services.points.domain.deciding import Command, decide
from services.points.domain.entries import Policy, Step
from services.points.domain.terms import (
    Activation,
    Expiry,
    LotRule,
    LotRules,
    VestingRule,
)

ZONE = ZoneInfo("America/New_York")
HOUR = DAY // 24
SLIDING = Expiry("sliding", days=60, activities=frozenset({"visit"}), name="visits")
MONTH = Expiry("rolling", months=1, rounded_to="month")
CAMPAIGNS = {
    "plain": LotRule(),
    "month": LotRule(expiry=MONTH),
    "later": LotRule(Activation(14), Expiry("rolling", months=3, rounded_to="quarter")),
    "await": LotRule(
        Activation(30, "delivered"), Expiry("dates", days=20, dates=((6, 30), (12, 31)))
    ),
    "slide": LotRule(expiry=SLIDING),
    "bonus": LotRule(
        expiry=Expiry("rolling", months=2, rounded_to="month"),
        vesting=VestingRule("loyal", instalments=3, months=1),
    ),
}
RULES = LotRules(
    ZONE,
    overrides={("base", name, None): rule for name, rule in CAMPAIGNS.items()},
    sliding=(SLIDING,),
)


def moment(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    """A time in the programme's zone, in microseconds."""
    return to_micros(datetime(year, month, day, hour, minute, tzinfo=ZONE))


def policy(returns: str = "unlimited", rules: LotRules = RULES) -> Policy:
    """A period of a vesting lot counts when it saw a purchase, or two activities."""
    return Policy(rules, returns, lambda rule, v: v.purchases >= 1 or v.activities >= 2)


@dataclass
class Book:
    """Decides as the service does: facts whose key is there already are not added again."""

    policy: Policy = field(default_factory=policy)
    accounts: dict[str, Account] = field(default_factory=dict)
    facts: dict[str, list[Step]] = field(default_factory=dict)
    keys: dict[str, set[str]] = field(default_factory=dict)

    def account(self, owner: str) -> Account:
        return self.accounts.get(owner) or Account()

    def decide(self, command: Command) -> list[Step]:
        return decide(self.account(command.owner), command, self.policy)

    def do(self, command: Command) -> list[Step]:
        """Carry a command out; return the facts that it added."""
        return self.append(command.owner, self.decide(command))

    def append(self, owner: str, steps: list[Step]) -> list[Step]:
        """Add facts, and return those whose key is new."""
        keys = self.keys.setdefault(owner, set())
        new = [step for step in steps if step.key not in keys]
        account = self.account(owner)
        for step in new:
            keys.add(step.key)
            account = apply(account, step.fact, step.at)
        self.accounts[owner] = account
        self.facts.setdefault(owner, []).extend(new)
        return new

    def entries(self, owner: str) -> list[PointsPosted]:
        return [s.fact for s in self.facts.get(owner, ()) if isinstance(s.fact, PointsPosted)]

    def marks(self, owner: str) -> list[AccountMarked]:
        return [s.fact for s in self.facts.get(owner, ()) if isinstance(s.fact, AccountMarked)]

    def last(self, owner: str = "M1") -> PointsPosted:
        return self.entries(owner)[-1]

    def balance(self, owner: str = "M1", wallet: str = "base") -> int:
        return self.account(owner).balances.get(wallet, 0)

    def buckets(self, owner: str = "M1", wallet: str = "base") -> tuple[int, int, int]:
        """Spendable, pending and held."""
        account = self.account(owner)
        return (
            account.balances.get(wallet, 0),
            account.pending.get(wallet, 0),
            account.held.get(wallet, 0),
        )

    def kinds(self, owner: str = "M1") -> list[str]:
        return [step.fact.kind for step in self.facts.get(owner, ())]
