"""All that can be asked of accounts, done here and in the model, and compared after each."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from contracts.events import Grant, ReturnedLine, ReturnedPurchase
from contracts.points import AdjustmentTerms, PointsPosted, Progress, TransferTerms
from kit.clock import DAY
from kit.errors import ServiceError
from services.points.domain.adjusting import Adjust, Approve, Reject, adjustment_key
from services.points.domain.advancing import Advance, end_of_hold
from services.points.domain.deciding import Command
from services.points.domain.earning import Earn, Earned, Note, TakeBack, credits, entry_key
from services.points.domain.entries import Step
from services.points.domain.holding import (
    Cancel,
    Capture,
    Fulfil,
    PlaceHold,
    Release,
    RewardLimits,
    end_of_redemption,
)
from services.points.domain.moving import (
    Decline,
    EndSent,
    PoolChange,
    Receive,
    Send,
    end_of_transfer,
    transfer_key,
)
from tests.services.points.ledger import checks
from tests.services.points.ledger.book import HOUR, RULES, Book, moment, policy
from tests.services.points.ledger.model import Refused
from tests.services.points.ledger.world import Flight, Share, World

MEMBERS = ("M1", "M2", "M3")
POOL = "@home"
OWNERS = (*MEMBERS, POOL)
START = moment(2026, 1, 20, 9)
HORIZON = START + 420 * DAY
ALONE = 15


@dataclass
class Bought:
    """A purchase that may come back: what each of its two lines earned, and where it went."""

    owner: str
    seq: int
    at: int
    activity: str
    grants: tuple[Grant, ...]
    earned: Earned
    shares: list[Share]
    back: dict[int, int] = field(default_factory=lambda: {1: 0, 2: 0})


def latest(things: list[Any], index: int) -> Any:
    """One of the newest few, or None."""
    return things[-1 - index % min(len(things), 4)] if things else None


class Acts:
    """Two worlds, and what is known of both."""

    def __init__(self, returns: str, crash: int) -> None:
        self.book, self.world = Book(policy(returns)), World(returns)
        self.returns, self.crash_every = returns, crash
        self.now, self.count = START, 0
        self.seqs: Counter[str] = Counter()
        self.bought: list[Bought] = []
        self.holds: list[tuple[str, str, int]] = []
        self.paid: list[tuple[str, str]] = []
        self.flying: list[tuple[str, TransferTerms]] = []
        self.requests: list[tuple[str, str]] = []
        self.past: list[tuple[Command, str]] = []
        self.in_transfer = 0
        for owner in MEMBERS:
            self.buy(owner, ("month", "slide"), 9, 3)

    def settle_in(self, others: Sequence[str]) -> None:
        """A household: one who owns the pool, others who spend from it or only put in.

        Of two, the other has not joined yet.
        """
        self.pool("found", "M1", True)
        self.give("M1", 3)
        for place, member in enumerate(others):
            self.pool("invite", member, place == 0)
            if len(others) > 1:
                self.pool("join", member, True)
                self.give(member, 5)

    # how a command is carried out, in both worlds

    def name(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    def act(self, command: Command, key: str, model: Callable[[], object]) -> list[Step] | None:
        """Carry out a command here and in the model: both refuse it, or both end up the same."""
        self.past.append((command, key))
        try:
            steps = self.book.decide(command)
        except ServiceError:
            try:
                model()
            except Refused:
                return None
            raise AssertionError(f"only the ledger refuses {command}") from None
        try:
            model()
        except Refused as refused:
            raise AssertionError(f"only the model refuses {command}: {refused}") from None
        assert not {s.key for s in steps} & self.book.keys.get(command.owner, set()), command
        self.land(command, steps)
        self.check(command.owner)
        return steps

    def land(self, command: Command, steps: list[Step]) -> None:
        """Append facts; sometimes the process dies half-way, and the command comes again."""
        self.count += 1
        if self.crash_every and len(steps) > 1 and self.count % self.crash_every == 0:
            self.append(command.owner, steps[: self.count % len(steps)])
            self.append(command.owner, self.book.decide(command))
            steps = self.book.decide(Advance(command.owner, 0))  # as the daily duty will
        self.append(command.owner, steps)

    def append(self, owner: str, steps: list[Step]) -> list[Step]:
        new = self.book.append(owner, steps)
        if new and len(new) == len(steps):
            assert new[-1].after == self.book.account(owner), new
        for step in new:
            if isinstance(step.fact, PointsPosted):
                self.in_transfer += checks.entry(step.fact)
        return new

    def check(self, owner: str) -> None:
        checks.same(self.book.account(owner), self.world.purse(owner), self.returns)
        flying = sum(f.points for f in self.world.flights.values() if f.on_its_way)
        assert self.in_transfer == flying

    def check_all(self) -> None:
        for owner, facts in self.book.facts.items():
            self.check(owner)
            checks.rebuilt(facts, self.book.account(owner))

    # activities

    def begin(self, owner: str, back: int = 0) -> tuple[int, int, str]:
        self.seqs[owner] += 1
        at = max(START, self.now - back)
        return self.seqs[owner], at, f"act_{owner}_{self.seqs[owner]}"

    def buy(self, owner: str, mix: tuple[str, ...], n: int, first: int, back: int = 0) -> None:
        seq, at, activity = self.begin(owner, back)
        one = n * first // 7
        points = ((1, 700, one), (2, 300, n - one))
        grants = [Grant(campaign, "base", n, points) for campaign in mix]
        grants.append(Grant("plain", "tier", n, points))
        made = credits(RULES, grants, "silver", at, activity, seq)
        command = Earn(owner, activity, seq, at, tuple(grants), made, Progress(at, "purchase", 1))
        told = [(g.campaign_id, g.wallet, g.points) for g in grants]
        bought = Bought(owner, seq, at, activity, tuple(grants), Earned(), [])

        def model() -> None:
            bought.shares = self.world.earn(owner, at, "purchase", None, activity, f"{seq}", told)

        self.act(command, entry_key(seq), model)
        bought.earned = Earned(tuple(grants), tuple(each.terms.lot for each in made))
        if n:
            self.bought.append(bought)

    def visit(self, who: str, back: int) -> None:
        seq, at, activity = self.begin(who, back * DAY)
        command = Note(who, activity, seq, at, Progress(at, "visit"))
        self.act(
            command,
            f"progress:{seq}",
            lambda: self.world.earn(who, at, "visit", None, activity, "", []),
        )

    def deliver(self, index: int) -> None:
        awaited = [b for b in self.bought if any(g.campaign_id == "await" for g in b.grants)]
        if (bought := latest(awaited, index)) is None:
            return
        seq, at, activity = self.begin(bought.owner)
        about, done = bought.activity, Progress(at, "delivered")
        command = Note(bought.owner, activity, seq, at, done, about)
        self.act(
            command,
            f"progress:{seq}",
            lambda: self.world.earn(bought.owner, at, "delivered", about, activity, "", []),
        )

    def give_back(self, index: int, line: int, part: int) -> None:
        """A part of one line, or all that is left of both."""
        if (bought := latest(self.bought, index)) is None:
            return
        lines, parts = [], []
        for number, amount in ((1, 700), (2, 300)):
            before = bought.back[number]
            after = amount if line == 0 else before
            if line == number:
                after = min(amount, before + amount * part // 3)
            lines.append(ReturnedLine(number, amount, before, after))
            for grant, share in zip(bought.grants, bought.shares, strict=True):
                earned = grant.lines[number - 1][2]
                parts.append((share, earned * after // amount - earned * before // amount))
            bought.back[number] = after
        full = bought.back == {1: 700, 2: 300}
        if full:
            self.bought.remove(bought)
        self.return_(bought, tuple(lines), full, parts)

    def return_(
        self,
        bought: Bought,
        lines: tuple[ReturnedLine, ...],
        full: bool,
        parts: list[tuple[Share, int]],
    ) -> None:
        seq, at, activity = self.begin(bought.owner)
        back = ReturnedPurchase(bought.activity, bought.seq, bought.at, 1, full, lines)
        gone = Progress(bought.at, "return", -1 if full else 0, -1)
        command = TakeBack(bought.owner, activity, seq, at, back, bought.earned, gone)
        self.act(
            command,
            entry_key(seq),
            lambda: self.world.give_back(bought.owner, at, bought.at, full, parts),
        )

    # holds

    def place(self, who: str, n: int, hours: int, by: str, reward: str | None) -> None:
        name, until = self.name("h"), self.now + hours * HOUR
        limits = RewardLimits(most=4, per_period=2, days=10)
        command = PlaceHold(
            who, f"hold:{name}", name, "base", n, self.now, until, "test", by, reward, limits=limits
        )
        done = self.act(
            command,
            command.key,
            lambda: self.world.hold(who, name, n, self.now, until, by, reward, (4, 2, 10 * DAY)),
        )
        if done:
            self.holds.append((who, name, n))
            if reward:
                self.paid.append((who, name))

    def end_hold(self, index: int, how: str) -> None:
        if (found := latest(self.holds, index)) is None:
            return
        who, name, n = found
        points = {"capture": -1, "part": max(1, n - 2), "release": None}[how]
        command: Command = Release(who, name, self.now, "till")
        if points is not None:
            command = Capture(who, name, self.now, "till", None if points < 0 else points)
        if self.act_once(
            command,
            end_of_hold(name),
            lambda: self.world.end_hold(who, name, self.now, points),
        ):
            self.holds.remove(found)

    def end_redemption(self, index: int, cancel: bool) -> None:
        if (found := latest(self.paid, index)) is None:
            return
        who, name = found
        command: Command = Fulfil(who, name, self.now, "shop")
        if cancel:
            command = Cancel(who, name, self.now, "shop", "changed their mind")
        if self.act_once(
            command,
            end_of_redemption(name),
            lambda: self.world.end_redemption(who, name, self.now, cancel),
        ):
            self.paid.remove(found)

    def act_once(self, command: Command, key: str, model: Callable[[], object]) -> bool:
        """What has ended is refused, however often it is asked for."""
        before = len(self.book.facts[command.owner])
        ended = key in self.book.keys[command.owner]
        self.act(command, key, model)
        assert not ended or len(self.book.facts[command.owner]) == before, command
        return ended

    # transfers

    def send(self, who: str, other: str, n: int, at_once: bool, asks: str) -> None:
        name, until = self.name("t"), self.now + 5 * DAY
        command = Send(who, f"send:{name}", name, other, "base", n, self.now, until, asks, at_once)
        flight = Flight(who, other, [], until, at_once)
        steps = self.act(
            command,
            command.key,
            lambda: self.world.send(who, name, flight, n, self.now, asks),
        )
        self.took_off(who, steps)

    def took_off(self, who: str, steps: list[Step] | None) -> None:
        for step in steps or ():
            if isinstance(step.fact, PointsPosted) and step.fact.kind == "transfer_out":
                assert step.fact.transfer is not None
                self.flying.append((who, step.fact.transfer))

    def carry(self, index: int, how: str) -> None:
        """The next thing that may happen to a transfer; nothing when it is over."""
        if (found := latest(self.flying, index)) is None:
            return
        who, terms = found
        name, to = terms.transfer_id, terms.other
        flight = self.world.flights[name]
        if flight.accepted is None and how == "receive":
            command: Command = Receive(to, who, terms, self.now, to)
            self.act(command, transfer_key(name), lambda: self.world.receive(name, self.now))
        elif flight.accepted is None and how == "decline" and not terms.at_once:
            command = Decline(to, who, name, self.now, to, "declined")
            self.act(command, transfer_key(name), lambda: self.world.decline(name, self.now))
        elif flight.accepted is not None and not flight.ended:
            command = EndSent(who, name, self.now, flight.accepted, "declined")
            key = end_of_transfer(name)
            self.act(command, key, lambda: self.world.end_flight(name, self.now))
            self.flying.remove(found)

    # pools

    def give(self, who: str, n: int) -> None:
        self.send(who, POOL, n, True, who)
        self.carry(0, "receive")

    def pool(self, what: str, who: str, spends: bool) -> None:
        name = self.name("p")
        by = who if what != "invite" else MEMBERS[0]
        role = "spender" if spends else "contributor"
        command = PoolChange(POOL, name, what, who, by, self.now, role)  # type: ignore[arg-type]
        models: dict[str, Callable[[], object]] = {
            "found": lambda: self.world.found(POOL, who, self.now),
            "invite": lambda: self.world.invite(POOL, who, by, role, self.now),
            "join": lambda: self.world.join(POOL, who, self.now),
            "leave": lambda: self.world.leave(POOL, who, f"{name}.base", self.now),
        }
        self.took_off(POOL, self.act(command, name, models[what]))

    # corrections

    def adjust(self, who: str, n: int, agent: str) -> None:
        name = self.name("r")
        terms = AdjustmentTerms(name, "base", n, "goodwill", agent)
        made = self.correction(n)
        command = Adjust(who, f"adjust:{name}", terms, self.now, ALONE, made)
        self.act(
            command,
            command.key,
            lambda: self.world.adjust(who, name, n, self.now, agent, ALONE),
        )
        if abs(n) > ALONE:
            self.requests.append((who, name))

    def correction(self, n: int) -> Any:
        grant = Grant("month", "base", max(n, 0))
        return credits(RULES, [grant], "silver", self.now, "", 0)[0]

    def second(self, index: int, agent: str, agreed: bool) -> None:
        if (found := latest(self.requests, index)) is None:
            return
        who, name = found
        asked = self.book.account(who).requests.get(name)
        command: Command = Reject(who, name, self.now, agent, "no")
        if agreed:
            made = self.correction(asked.points if asked else 0)
            command = Approve(who, name, self.now, agent, made)
        if self.act_once(
            command,
            adjustment_key(name),
            lambda: self.world.approve(who, name, self.now, agent, agreed),
        ):
            self.requests.remove(found)

    # time, and everything again

    def time_passes(self, by: int) -> None:
        """The clock goes on, or back."""
        self.now = max(START, min(self.now + by, HORIZON))

    def the_duty_runs(self, who: str) -> None:
        """In one jump or in many: the same facts."""
        steps = self.book.decide(Advance(who, self.now))
        slow = Book(self.book.policy, {who: self.book.account(who)})
        for part in (self.now - 9 * DAY, self.now - DAY, self.now - HOUR, self.now):
            slow.do(Advance(who, part))
        assert slow.facts[who] == steps
        self.append(who, steps)
        self.world.pass_time(who, self.now)
        self.check(who)

    def again(self, index: int) -> None:
        """Any earlier command comes again: refused, or nothing but what time brings."""
        if not self.past:
            return
        command, key = self.past[-1 - index % len(self.past)]
        known = key in self.book.keys.get(command.owner, set())
        try:
            steps = self.book.decide(command)
        except ServiceError:
            return
        if not known and not isinstance(command, Earn | Note | TakeBack | EndSent):
            return  # it was refused then: it is a new request now, which other rules make
        new = self.append(command.owner, steps)
        assert all(step.key.startswith(("at:", "hold-end:")) for step in new), (command, new)
        if new:
            self.world.pass_time(command.owner, getattr(command, "at", 0))
        self.check(command.owner)
