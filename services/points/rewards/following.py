"""Redemptions follow the ledger: what ends one there gives its stock back, or what it is for.

A process may die between a fact of the account and what follows from it. The entries come back
on their topic, at least once and in order for each member, and what is done is not done twice.
"""

import asyncio
from collections.abc import Sequence

import structlog

from contracts.envelope import Fact
from kit.errors import ServiceError
from kit.streams import Command as StreamCommand
from services.points.commands import deciding
from services.points.domain.advancing import Advance
from services.points.domain.deciding import Command
from services.points.domain.redemptions import Redemption
from services.points.rewards import queries
from services.points.rewards.duties import Became, Status
from services.points.rewards.redemptions import Moved, Redemptions, as_of, find, moved, note
from services.points.rewards.settling import complete, give_back, rule_out

AT_ONCE = 32
_log = structlog.get_logger(__name__)


async def follow(redemptions: Redemptions, facts: Sequence[Fact]) -> None:
    """Take in entries of the ledger; most concern no redemption.

    What happened to one redemption is followed in its order, different ones side by side. Most are
    confirmed, and then handed over by somebody: nothing follows from those.
    """
    found: dict[str, list[Moved]] = {}
    for fact in facts:
        if (each := moved(fact)) is not None:
            found.setdefault(each.redemption_id, []).append(each)
    if not found:
        return
    began = [each for one in found.values() for each in one if each.kind == "hold"]
    await note(redemptions, [(each.redemption_id, each.member_id, each.at) for each in began])
    plain = await _plain_ones(redemptions, [one[-1] for one in found.values()])
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(redemption: list[Moved]) -> None:
        async with gate:
            for each in redemption:
                await _follow(redemptions, each)

    rest = [each for redemption_id, each in found.items() if redemption_id not in plain]
    await asyncio.gather(*map(one, rest))


async def _plain_ones(redemptions: Redemptions, last: Sequence[Moved]) -> set[str]:
    """The redemptions confirmed last that need nothing else: who confirmed them settles the stock.

    So what another process takes of the same slices is not disturbed.
    """
    confirmed = [each for each in last if each.kind == "capture"]
    plain = {each: await _is_plain(redemptions, each) for each in {c.reward_id for c in confirmed}}
    return {each.redemption_id for each in confirmed if plain[each.reward_id]}


async def _is_plain(redemptions: Redemptions, reward_id: str) -> bool:
    """Whether it is somebody's to hand over; not if more follows, or it is not there."""
    try:
        defined = (await queries.reward_lately(redemptions.rewards, reward_id)).defined
    except ServiceError as error:
        if error.kind != "missing":
            raise
        return False
    return (
        defined is not None
        and defined.gives not in ("donation", "voucher")
        and (defined.series is None)
    )


async def _follow(redemptions: Redemptions, each: Moved) -> None:
    if each.kind in ("release", "cancel"):
        await give_back(redemptions, each.reward_id, each.member_id, each.redemption_id)
    elif each.kind == "capture":
        then = as_of(redemptions, each.at)
        known = await find(then, each.member_id, each.redemption_id)
        if known is not None and known.status in ("confirmed", "fulfilled"):
            await _complete(then, known)


async def _complete(redemptions: Redemptions, known: Redemption) -> None:
    """What cannot be given has been cancelled by this: no error for who follows."""
    try:
        await complete(redemptions, known)
    except ServiceError as error:
        if error.kind not in ("refused", "missing"):
            raise
        _log.warning("redemption_undone", redemption=known.redemption_id, code=error.code)


def status_of(redemptions: Redemptions) -> Status:
    """What the stock's duty asks: what became of a redemption whose take is due.

    A reservation that has run out is told so in its account first: then it cannot come back. One
    that never began is told that it never will.
    """

    async def ask(member_id: str, redemption_id: str, reward_id: str) -> Became:
        found = await find(redemptions, member_id, redemption_id)
        if found is None and not await rule_out(redemptions, member_id, redemption_id):
            found = await find(redemptions, member_id, redemption_id)  # it has begun just now
        if found is not None and found.status == "expired" and found.ended_at is None:
            await _let_time_pass(redemptions, member_id)
            found = await find(redemptions, member_id, redemption_id)
        if found is None or found.status in ("cancelled", "expired"):
            return "gone"
        if found.reward_id != reward_id:  # the key came again with another reward, and that died
            return "gone"
        return "live" if found.status == "reserved" else "confirmed"

    return ask


async def _let_time_pass(redemptions: Redemptions, member_id: str) -> None:
    now = redemptions.clock()
    asked: StreamCommand[Command] = StreamCommand(
        member_id, f"advance:{now}", b"", Advance(member_id, now)
    )
    (result,) = await redemptions.ledger.execute([asked], deciding(redemptions.rules.policy))
    if result.error is not None:
        raise result.error
