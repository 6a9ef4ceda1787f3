"""Drop the documents of rewards and fold them again from their journals."""

from services.points.rewards.views import COLLECTIONS
from services.points.rewards.wiring import Rewards


async def rebuild(rewards: Rewards) -> int:
    """Rebuild rewards, stock and meters; return how many rewards there are.

    Copies of member cards come from the cards topic and stay. Stop the service's processes first:
    they hold heads in memory.
    """
    for collection in COLLECTIONS:
        await rewards.views.drop(collection)
    streams = (rewards.catalogue, rewards.shop.streams, rewards.meters.streams)
    for each in streams:
        each.forget()
    counts = [await each.rebuild() for each in streams]
    return counts[0]
