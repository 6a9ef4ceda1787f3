"""What time asks of the stock: takes whose redemption nobody finished are settled or given back.

A redemption that died (a crash, a hold that timed out) leaves its take open. The slice's document
says when its first open take is due; the duty asks what became of the redemption and does that. It
may run any number of times, at once with others, and late: a take is closed once. The index may
miss a take (a crash between the fact and the document), so from time to time every slice is read.
What a write-down took ends as its home slice has decided (``writing_down``).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Literal

from kit.views.port import IndexValue, Query
from services.points.domain.catalogue import Reward
from services.points.domain.stock import GiveBack, NotOpen, Settle
from services.points.rewards import writing_down
from services.points.rewards.stock import Shelf, Shop, done
from services.points.rewards.views import REWARDS, STOCK, Catalogue

PAGE = 200
Became = Literal["live", "confirmed", "gone"]
Status = Callable[[str, str, str], Awaitable[Became]]


async def close_due(shop: Shop, status: Status, now: int) -> int:
    """Close the takes that are due by ``now``, found by the index; return how many were closed.

    ``status(member_id, redemption_id, reward_id)`` says whether the redemption is still under way
    (``live``: left alone until the next time), paid for, or gone.
    """
    closed = 0
    after: tuple[IndexValue, str] | None = None
    while True:
        query = Query(order_by="due", lower=0, upper=now + 1, after=after, limit=PAGE)
        found = await shop.streams.views.find(STOCK, query)
        closed += await _close(shop, [document.id for document in found], status, now)
        if len(found) < PAGE:
            return closed
        after = (found[-1].index["due"], found[-1].id)


async def sweep(shop: Shop, catalogue: Catalogue, status: Status, now: int) -> int:
    """Close what is due in every slice there is, whatever the index says, and mend the index.

    A reward's document is there before the first of its stock is added, so none is missed.
    """
    closed = 0
    async for rewards in every_reward(catalogue):
        for reward_id, reward in rewards.items():
            slices = reward.defined.slices if reward.defined else 0
            closed += await _close(shop, Shelf(reward_id, slices).owners, status, now)
    return closed


async def every_reward(catalogue: Catalogue) -> AsyncIterator[dict[str, Reward]]:
    """Yield all rewards in the list, page by page, retired ones too."""
    after: tuple[IndexValue, str] | None = None
    while found := await catalogue.views.find(REWARDS, Query(after=after, limit=PAGE)):
        heads = await catalogue.heads([document.id for document in found], fresh=True)
        yield {reward_id: head.state for reward_id, head in heads.items()}
        after = (None, found[-1].id)


async def _close(shop: Shop, owners: Sequence[str], status: Status, now: int) -> int:
    closed = 0
    heads = await shop.streams.keep(owners)
    for owner, head in heads.items():
        for redemption_id, take in head.state.open.items():
            if take.until > now:
                continue
            if writing_down.is_write_down(redemption_id):
                closed += await writing_down.close(shop, owner, redemption_id)
            else:
                became = await status(take.member_id, redemption_id, owner.rpartition(".")[0])
                closed += await _become(shop, owner, redemption_id, became)
    return closed


async def _become(shop: Shop, owner: str, redemption_id: str, became: Became) -> int:
    reward_id = owner.rpartition(".")[0]
    if became == "live":
        return 0
    action = Settle if became == "confirmed" else GiveBack
    result = await shop.close(owner, action(reward_id, redemption_id))
    if isinstance(result.error, NotOpen):  # somebody else closed it meanwhile
        return 0
    return int(not done(result).repeated)
