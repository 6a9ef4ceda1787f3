"""What stands between a request and points that would leave an account.

In the account itself: how fast points may leave it, and the time after contact details changed.
Here: a second factor for large amounts, and how often one device, or one payee, is seen. A request
counts on those meters before it is carried out, and only if the account would have let it pass:
nobody can fill up somebody else's meter with requests that come to nothing.
"""

from typing import Literal, Protocol

from kit.errors import ServiceError
from services.points.asking import Asked
from services.points.commands import Outcome, carry_out
from services.points.domain.deciding import Command, decide
from services.points.domain.entries import Policy
from services.points.domain.errors import StepUpNeeded
from services.points.policy import Rules
from services.points.views import Ledger

MeterKind = Literal["device", "payee"]


class Meters(Protocol):
    """Counts requests by device and payee."""

    async def count(self, kind: MeterKind, id_: str, request: str, points: int) -> None:
        """Count a request, once; raises ServiceError when it is over a limit."""


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


async def _would_pass(ledger: Ledger, policy: Policy, command: Command) -> bool:
    """Whether the account as it is now allows it. If not, it may be the retry of what it did."""
    head = (await ledger.heads([command.owner], fresh=True))[command.owner]
    try:
        decide(head.state, command, policy)
    except ServiceError:
        return False
    return True
