"""What stands between a request and points that would leave an account.

In the account itself: how fast points may leave it, and the time after contact details changed.
Here: a second factor for large amounts, how often one device, or one payee, is seen, and how much
one agent corrects alone. A request
counts on those meters before it is carried out, and only if the account would have let it pass:
nobody can fill up somebody else's meter with requests that come to nothing.
"""

from typing import Literal, Protocol

from kit.clock import DAY
from kit.errors import ServiceError
from services.points.asking import Asked
from services.points.commands import Outcome, carry_out
from services.points.domain.adjusting import Adjust
from services.points.domain.deciding import Command, decide
from services.points.domain.entries import Policy
from services.points.domain.errors import StepUpNeeded
from services.points.domain.meters import VelocityExceeded
from services.points.policy import Rules
from services.points.views import Ledger

MeterKind = Literal["device", "payee", "agent"]


class Meters(Protocol):
    """Counts requests by device, payee and agent."""

    async def count(self, kind: MeterKind, id_: str, request: str, points: int) -> int:
        """Count a request, once; when it counted. Raises ServiceError when it is over a limit."""


def require_step_up(rules: Rules, asked: Asked, points: int) -> None:
    """Raise StepUpNeeded when a member asks for so much without a second factor."""
    most = rules.step_up_above
    if most is not None and points > most and asked.own and not asked.stepped_up:
        raise StepUpNeeded(f"this is above {most} points", limit=most, asked=points)


async def move_out(
    ledger: Ledger,
    meters: Meters,
    policy: Policy,
    asked: Asked,
    command: Command,
    content: bytes,
    points: int,
    payee: str | None = None,
) -> Outcome:
    """Carry out a command by which points leave an account, if its device and payee are in order.

    What is imported from the past was not asked for just now, and does not count.
    """
    if not asked.historic and await _would_pass(ledger, policy, command):
        if asked.device_id is not None:
            await meters.count("device", asked.device_id, asked.id, points)
        if payee is not None:
            await meters.count("payee", payee, asked.id, points)
    return await carry_out(ledger, policy, command, asked.key, content)


async def may_correct_alone(
    ledger: Ledger, meters: Meters, policy: Policy, asked: Asked, command: Adjust, now: int
) -> bool:
    """Whether who asks may correct so much alone, after what they did within a day; it counts then.

    What was answered before is left as it was answered, and what the account refuses is refused:
    neither counts. A process that dies between the meter and the ledger has counted what it never
    booked: too much may count, never too little. What is sent again when it counts no more waits.
    What is said to have happened earlier counts like the rest, or the limit would be easy to pass.
    """
    if await _answered(ledger, asked):
        return True
    head = (await ledger.heads([command.owner], fresh=True))[command.owner]
    try:
        decide(head.state, command, policy)
    except ServiceError:
        if not await _answered(ledger, asked):
            raise
        return True
    try:
        at = await meters.count("agent", asked.by, asked.id, abs(command.asked.points))
    except VelocityExceeded:
        return False
    return at > now - DAY


async def _answered(ledger: Ledger, asked: Asked) -> bool:
    return asked.key in await ledger.journal.find(ledger.stream(asked.owner), [asked.key])


async def _would_pass(ledger: Ledger, policy: Policy, command: Command) -> bool:
    """Whether the account as it is now allows it. If not, it may be the retry of what it did."""
    head = (await ledger.heads([command.owner], fresh=True))[command.owner]
    try:
        decide(head.state, command, policy)
    except ServiceError:
        return False
    return True
