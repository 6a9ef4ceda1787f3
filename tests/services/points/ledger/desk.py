"""A Book with a short way to say what happens, for examples: owner M1, wallet base."""

from dataclasses import dataclass, field
from typing import Any

from contracts.events import Grant, ReturnedLine, ReturnedPurchase
from contracts.points import AdjustmentTerms, Progress
from services.points.domain.adjusting import Adjust
from services.points.domain.advancing import Advance
from services.points.domain.earning import Earn, Earned, Note, TakeBack, credits
from services.points.domain.entries import Step
from services.points.domain.holding import Cancel, Capture, PlaceHold, Release
from services.points.domain.moving import Decline, EndSent, PoolChange, Receive, Send
from services.points.domain.terms import LotRule, LotRules
from tests.services.points.ledger.book import HOUR, ZONE, Book, moment, policy

NOON = moment(2026, 1, 20, 12)
DAY = 24 * HOUR


@dataclass
class Desk(Book):
    """``earn`` remembers what each decision earned, so that ``back`` can return it."""

    seq: int = 0
    earned: dict[int, Earned] = field(default_factory=dict)
    bought_at: dict[int, int] = field(default_factory=dict)

    def earn(
        self,
        n: int,
        at: int = NOON,
        campaign: str = "plain",
        owner: str = "M1",
        tier: str = "silver",
        lines: tuple[tuple[int, int, int], ...] | None = None,
        **more: Any,
    ) -> int:
        """A purchase of one line of 1,000 that earns ``n``; returns its seq."""
        self.seq += 1
        grants = (Grant(campaign, "base", n, lines or ((1, 1000, n),)),)
        return self.post(grants, at, owner, tier, **more)

    def post(
        self,
        grants: tuple[Grant, ...],
        at: int,
        owner: str = "M1",
        tier: str = "silver",
        kind: str = "purchase",
        about: str | None = None,
    ) -> int:
        activity = f"act_{self.seq}"
        made = credits(self.policy.lots, grants, tier, at, activity, self.seq)
        progress = Progress(at, kind, int(kind == "purchase"))
        self.do(Earn(owner, activity, self.seq, at, grants, made, progress, about))
        self.earned[self.seq] = Earned(grants, tuple(each.terms.lot for each in made))
        self.bought_at[self.seq] = at
        return self.seq

    def note(self, kind: str, at: int, about: str | None = None) -> list[Step]:
        self.seq += 1
        activity = f"act_{self.seq}"
        return self.do(Note("M1", activity, self.seq, at, Progress(at, kind), about))

    def back(self, bought: int, at: int, after: int = 1000, before: int = 0) -> list[Step]:
        """The purchase's one line comes back, up to ``after`` of 1,000."""
        return self.lines_back(bought, at, [ReturnedLine(1, 1000, before, after)], after == 1000)

    def lines_back(
        self, bought: int, at: int, lines: list[ReturnedLine], full: bool = False
    ) -> list[Step]:
        self.seq += 1
        when = self.bought_at[bought]
        returned = ReturnedPurchase(f"act_{bought}", bought, when, 0, full, tuple(lines))
        gone = Progress(when, "return", -1 if full else 0)
        earned = self.earned[bought]
        return self.do(TakeBack("M1", f"act_{self.seq}", self.seq, at, returned, earned, gone))

    def pass_time(self, to: int, owner: str = "M1") -> list[Step]:
        return self.do(Advance(owner, to))

    def hold(self, name: str, n: int, at: int, until: int = 0, **more: Any) -> list[Step]:
        owner, by = more.pop("owner", "M1"), more.pop("by", "M1")
        until = until or at + HOUR
        return self.do(
            PlaceHold(owner, f"hold:{name}", name, "base", n, at, until, "test", by, **more)
        )

    def capture(self, name: str, at: int, points: int | None = None) -> list[Step]:
        return self.do(Capture("M1", name, at, "till", points))

    def release(self, name: str, at: int) -> list[Step]:
        return self.do(Release("M1", name, at, "till"))

    def redeem(self, name: str, n: int, at: int, **more: Any) -> None:
        self.hold(name, n, at, reward_id="cup", **more)
        self.capture(name, at)

    def cancel(self, name: str, at: int) -> list[Step]:
        return self.do(Cancel("M1", name, at, "shop", "sold out"))

    def send(self, name: str, n: int, at: int, **more: Any) -> list[Step]:
        owner, to = more.pop("owner", "M1"), more.pop("to", "M2")
        by, until = more.pop("by", owner), more.pop("until", at + 5 * DAY)
        return self.do(Send(owner, f"send:{name}", name, to, "base", n, at, until, by, **more))

    def receive(self, name: str, at: int, owner: str = "M2", sender: str = "M1") -> list[Step]:
        found = (e.transfer for e in self.entries(sender) if e.kind == "transfer_out")
        terms = next(t for t in found if t is not None and t.transfer_id == name)
        return self.do(Receive(owner, sender, terms, at, owner))

    def decline(self, name: str, at: int, reason: str = "declined") -> list[Step]:
        return self.do(Decline("M2", "M1", name, at, "M2", reason))

    def end(self, name: str, at: int, accepted: bool, owner: str = "M1") -> list[Step]:
        return self.do(EndSent(owner, name, at, accepted, "declined"))

    def pool(self, what: str, member: str, at: int = NOON, by: str = "", **more: Any) -> list[Step]:
        by = by or (member if what != "invite" else "M1")
        key = f"pool:{what}.{member}"
        return self.do(PoolChange("@home", key, what, member, by, at, **more))

    def give(self, name: str, n: int, at: int = NOON, owner: str = "M1") -> None:
        """Put points into the pool."""
        self.send(name, n, at, owner=owner, to="@home", at_once=True)
        self.receive(name, at, "@home", owner)

    def adjust(
        self, name: str, n: int, at: int = NOON, alone: int = 100, **more: Any
    ) -> list[Step]:
        asked = AdjustmentTerms(name, "base", n, "goodwill", more.pop("by", "anna"))
        return self.do(Adjust("M1", f"adjust:{name}", asked, at, alone, self.gift(n, at), **more))

    def gift(self, n: int, at: int, campaign: str = "plain") -> Any:
        grants = [Grant(campaign, "base", max(n, 0))]
        return credits(self.policy.lots, grants, "silver", at, "", 0)[0]


def desk(returns: str = "unlimited") -> Desk:
    """A desk under the rules of `book.CAMPAIGNS`."""
    return Desk(policy(returns))


def ruled(rule: LotRule, returns: str = "unlimited", **more: Any) -> Desk:
    """A desk where everything earned in ``base`` lives by one rule."""
    zone = more.pop("zone", ZONE)
    return Desk(policy(returns, LotRules(zone, {"base": rule}, **more)))
