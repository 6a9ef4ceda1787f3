"""Waiting until everything that was accepted has been worked off."""

import asyncio
import time
from collections.abc import Callable

from contracts.topics import ACTIVITIES, CARDS, ENTRIES, MEMBER_FACTS, REWARDS, VOUCHERS
from kit.bus.port import Bus
from kit.errors import ServiceError
from mooring.services import Services

GROUPS = {
    "members": (ACTIVITIES.name, MEMBER_FACTS.name),
    "events": (ACTIVITIES.name, CARDS.name),
    "points": (REWARDS.name, MEMBER_FACTS.name),
    "points-follow": (ENTRIES.name, CARDS.name, VOUCHERS.name),
    "points-seal": (ENTRIES.name,),
}
SEALER = "points-seal"
QUIET_ROUNDS = 2


class NotSettled(Exception):
    """The backlog did not drain in time."""


async def backlog(bus: Bus, services: Services, *, sealed: bool = True) -> int:
    """Return how many facts are not published yet (0 or 1 a journal) plus messages not consumed.

    With ``sealed`` the audit chain is counted too.
    """
    journals = [
        services.events.activities,
        services.events.decisions,
        services.members.files,
        services.members.relationships,
        services.points.entries,
        services.points.rewards.journal,
        services.points.vouchers.journal,
    ]
    if sealed:
        journals.append(services.points.chain.seals)
    waiting = 0
    for journal in journals:
        waiting += len(await journal.unpublished(1))
    for group, topics in GROUPS.items():
        if sealed or group != SEALER:
            waiting += await bus.lag(topics, group)
    return waiting


async def settle(
    bus: Bus,
    services: Services,
    *,
    sealed: bool = True,
    timeout_seconds: float = 600.0,
    progress: Callable[[int], None] = lambda waiting: None,
) -> None:
    """Return once nothing is under way any more; raises NotSettled.

    Without ``sealed`` it does not wait for the audit chain, which follows the ledger by a second.
    A fact that is being handled is still counted, since offsets are committed after the effect; two
    quiet rounds close the gap between one topic's commit and the next one's publication.
    """
    deadline = time.monotonic() + timeout_seconds
    quiet = 0
    waiting = -1
    while time.monotonic() < deadline:
        try:
            waiting = await backlog(bus, services, sealed=sealed)
        except ServiceError as error:
            if error.kind != "unavailable":
                raise
        progress(waiting)
        quiet = quiet + 1 if waiting == 0 else 0
        if quiet >= QUIET_ROUNDS:
            return
        await asyncio.sleep(0.05)
    raise NotSettled(f"{waiting} facts and messages are still waiting after {timeout_seconds:g} s")
