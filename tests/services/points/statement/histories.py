"""Accounts that live through something, on a real journal, to be told about in statements."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from contracts.events import Grant, ReturnedLine, ReturnedPurchase
from contracts.points import AdjustmentTerms, Progress
from kit.clock import DAY
from kit.errors import ServiceError
from kit.streams import Command as StreamCommand
from services.points.commands import deciding, digest
from services.points.domain.adjusting import Adjust
from services.points.domain.advancing import Advance, end_of_hold
from services.points.domain.deciding import Command
from services.points.domain.earning import Earn, Earned, TakeBack, credits, entry_key
from services.points.domain.holding import Capture, PlaceHold, Release
from services.points.domain.moving import EndSent, Send, end_of_transfer
from services.points.domain.terms import Credit
from services.points.policy import Rules
from services.points.wiring import Wiring
from tests.services.points.ledger.book import HOUR, RULES, moment, policy

START = moment(2026, 1, 20, 9)
MIXES = (("plain",), ("month",), ("later",), ("bonus",), ("month", "later"))


@dataclass
class Life:
    """One account; each thing that happens to it takes place at ``now``."""

    wiring: Wiring
    owner: str
    now: int = START
    count: int = 0
    seq: int = 0
    bought: list[tuple[int, Earned]] = field(default_factory=list)
    holds: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)

    @property
    def rules(self) -> Rules:
        """The programme's, with the lots of the tests."""
        return replace(self.wiring.rules, policy=policy())

    async def do(self, command: Command, key: str) -> bool:
        """Carry a command out; whether the rules allowed it."""
        asking = StreamCommand(self.owner, key, digest(key), command)
        (result,) = await self.wiring.ledger.execute([asking], deciding(policy()))
        if result.error is not None and not isinstance(result.error, ServiceError):
            raise result.error
        return result.error is None

    def name(self) -> str:
        self.count += 1
        return f"x{self.count}"

    async def earn(self, points: int, mix: Sequence[str] = ("plain",), late: int = 0) -> None:
        self.seq += 1
        at, activity, lines = self.now - late, f"act_{self.seq}", ((1, 100, points),)
        grants = [Grant(campaign, "base", points, lines) for campaign in mix]
        grants.append(Grant("plain", "tier", points, lines))
        made = credits(RULES, grants, "silver", at, activity, self.seq)
        progress = Progress(at, "purchase", 1)
        command = Earn(self.owner, activity, self.seq, at, tuple(grants), made, progress)
        await self.do(command, entry_key(self.seq))
        earned = Earned(tuple(grants), tuple(each.terms.lot for each in made))
        self.bought.append((self.seq, earned))

    async def give_back(self, index: int, part: int = 100) -> None:
        """Return a purchase, at most once."""
        if self.bought:
            purchase, earned = self.bought.pop(index % len(self.bought))
            self.seq += 1
            lines = (ReturnedLine(1, 100, 0, part),)
            back = ReturnedPurchase(f"act_{purchase}", purchase, 0, part, part == 100, lines)
            command = TakeBack(self.owner, f"act_{self.seq}", self.seq, self.now, back, earned)
            await self.do(command, entry_key(self.seq))

    async def hold(self, points: int, reward: str | None = None, hours: int = 240) -> None:
        hold = self.name()
        command = PlaceHold(
            self.owner,
            f"hold:{hold}",
            hold,
            "base",
            points,
            self.now,
            self.now + hours * HOUR,
            "table for two",
            "M1",
            reward,
        )
        if await self.do(command, command.key):
            self.holds.append(hold)

    async def end_hold(self, points: int | None) -> None:
        """Capture so many points of the oldest hold; release it for None."""
        if self.holds:
            hold = self.holds.pop(0)
            if points is None:
                await self.do(Release(self.owner, hold, self.now, "M1"), end_of_hold(hold))
            else:
                capture = Capture(self.owner, hold, self.now, "M1", points)
                await self.do(capture, end_of_hold(hold))

    async def send(self, points: int) -> None:
        name = self.name()
        until = self.now + 7 * DAY
        command = Send(self.owner, f"send:{name}", name, "M2", "base", points, self.now, until, "")
        if await self.do(command, command.key):
            self.sent.append(name)

    async def come_back(self) -> None:
        if self.sent:
            name = self.sent.pop(0)
            command = EndSent(self.owner, name, self.now, False, "declined")
            await self.do(command, end_of_transfer(name))

    async def adjust(self, points: int) -> None:
        name = self.name()
        asked = AdjustmentTerms(name, "base", points, "goodwill", "agent")
        (credit,) = credits(RULES, [Grant("month", "base", points)], "", self.now, "", 0)
        into = Credit("base", abs(points), credit.terms)
        await self.do(Adjust(self.owner, name, asked, self.now, 10**6, into), name)

    async def pass_time(self) -> None:
        """Write down what has fallen due, as the daily duty does."""
        await self.do(Advance(self.owner, self.now), f"time:{self.now}")
