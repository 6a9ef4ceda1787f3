"""Ledgers made of the domain's own commands, for reports to be made of."""

from dataclasses import dataclass, field
from datetime import date
from zoneinfo import ZoneInfo

import msgspec

from contracts.envelope import Fact
from contracts.events import Grant, ReturnedLine, ReturnedPurchase
from contracts.points import AdjustmentTerms, PointsPosted
from services.points.domain.account import Account
from services.points.domain.adjusting import Adjust
from services.points.domain.applying import apply
from services.points.domain.deciding import Command, decide
from services.points.domain.earning import Earn, Earned, TakeBack, credits
from services.points.domain.entries import Policy
from services.points.domain.holding import PlaceHold
from services.points.domain.moving import Receive, Send
from services.points.domain.terms import (
    Activation,
    Credit,
    Expiry,
    LotRule,
    LotRules,
    VestingRule,
    active_terms,
    local_day,
    start_of,
)
from services.points.reports.walk import Walk, new_walk

ZONE = ZoneInfo("America/New_York")
ROLLING = Expiry("rolling", months=2, rounded_to="month")
RULES = LotRules(
    ZONE,
    {"base": LotRule(expiry=ROLLING)},
    {
        ("base", "slow", None): LotRule(Activation(days=10), ROLLING),
        ("base", "bonus", None): LotRule(expiry=ROLLING, vesting=VestingRule("stay", 3, days=20)),
        ("base", "ever", None): LotRule(),
    },
)
AMOUNT = 100


def moment(year: int, month: int, day: int, hour: int = 12) -> int:
    """A time of day in the programme's zone, in microseconds."""
    return start_of(ZONE, date(year, month, day)) + hour * 3_600_000_000


@dataclass
class History:
    """Accounts and their facts, each booked at ``now`` or at its own time when that is later."""

    policy: Policy = field(default_factory=lambda: Policy(RULES))
    accounts: dict[str, Account] = field(default_factory=dict)
    facts: dict[str, list[Fact]] = field(default_factory=dict)
    entries: dict[str, list[PointsPosted]] = field(default_factory=dict)
    earned: dict[tuple[str, int], Earned] = field(default_factory=dict)
    rules: LotRules = RULES

    def do(self, command: Command, booked: int = 0) -> None:
        """Carry a command out. Raises what the domain raises."""
        owner = command.owner
        account, facts = self.accounts.get(owner, Account()), self.facts.setdefault(owner, [])
        for step in decide(account, command, self.policy):
            account = apply(account, step.fact, step.at)
            last = facts[-1].posted_at if facts else 0
            facts.append(
                Fact(
                    f"account:{owner}",
                    len(facts) + 1,
                    step.key,
                    type(step.fact).__name__,
                    step.at,
                    max(last, booked or step.at),
                    msgspec.Raw(msgspec.json.encode(step.fact)),
                )
            )
            if isinstance(step.fact, PointsPosted):
                self.entries.setdefault(owner, []).append(step.fact)
        self.accounts[owner] = account

    def next_seq(self, owner: str) -> int:
        """The seq of the owner's next decision."""
        return self.accounts.get(owner, Account()).absorbed + 1

    def earn(
        self, owner: str, points: int, at: int, campaign: str = "shop", booked: int = 0
    ) -> int:
        """Earn points with a purchase of one line; return its seq."""
        seq = self.next_seq(owner)
        grants = (Grant(campaign, "base", points, ((1, AMOUNT, points),)),)
        given = credits(self.rules, grants, "member", at, f"act_{seq}", seq)
        self.do(Earn(owner, f"act_{seq}", seq, at, grants, given), booked)
        self.earned[owner, seq] = Earned(grants, tuple(each.terms.lot for each in given))
        return seq

    def take_back(
        self, owner: str, purchase: int, after: int, at: int, before: int = 0, booked: int = 0
    ) -> None:
        """Return a purchase from ``before`` to ``after`` of its AMOUNT."""
        seq = self.next_seq(owner)
        lines = (ReturnedLine(1, AMOUNT, before, after),)
        gone = ReturnedPurchase(
            f"act_{purchase}", purchase, purchase, after - before, after == AMOUNT, lines
        )
        earned = self.earned[owner, purchase]
        self.do(TakeBack(owner, f"act_{seq}", seq, at, gone, earned), booked)

    def hold(self, owner: str, hold_id: str, points: int, at: int, until: int) -> None:
        """Set points aside for a reward."""
        self.do(
            PlaceHold(
                owner,
                f"place:{hold_id}",
                hold_id,
                "base",
                points,
                at,
                until,
                "redemption",
                "m",
                reward_id="mug",
            )
        )

    def adjust(self, owner: str, key: str, points: int, at: int, account: str) -> None:
        """Give or take points by hand."""
        terms = active_terms(ZONE, ROLLING, "base", local_day(ZONE, at))
        asked = AdjustmentTerms(key, "base", points, "goodwill", "agent")
        into = Credit("base", points, terms)
        self.do(Adjust(owner, key, asked, at, 10**9, into, account))

    def send(self, owner: str, key: str, to: str, points: int, at: int) -> None:
        """Send points on their way."""
        self.do(Send(owner, f"send:{key}", key, to, "base", points, at, at + 10**12, owner))

    def receive(self, owner: str, sender: str, key: str, at: int) -> None:
        """Accept what was sent."""
        sent = next(
            entry.transfer
            for entry in self.entries[sender]
            if entry.transfer is not None and entry.transfer.transfer_id == key
        )
        self.do(Receive(owner, sender, sent, at, owner))

    def walked(self, as_of: int) -> Walk:
        """A pass over all of it."""
        found = new_walk(ZONE, as_of)
        for owner in sorted(self.facts):
            found.take(self.facts[owner])
        found.end()
        return found
