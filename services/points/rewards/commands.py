"""Use cases that write: define and retire a reward, add to its stock, write stock down."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import msgspec

from contracts.catalogue import RewardDefined, StockAdded, StockWrittenDown
from kit.errors import ServiceError
from kit.streams import Command, New
from kit.telemetry import current_traceparent
from services.points.domain.catalogue import Define, Retire, Reward, decide, no_such_reward
from services.points.rewards import writing_down
from services.points.rewards.stock import Shelf, done
from services.points.rewards.terms import check
from services.points.rewards.wiring import Rewards


@dataclass(frozen=True, slots=True)
class Saved:
    """A reward after a command; ``changed`` is False when things were so already."""

    reward: Reward
    changed: bool


async def define(rewards: Rewards, content: RewardDefined, replaces: int | None = None) -> Saved:
    """Save a version of a reward; the same content again makes none.

    Raises ServiceError ``invalid``, ``refused``, or ``conflict`` when ``replaces`` is not the
    newest version.
    """
    check(content, rewards.terms)
    return await _saved(rewards, content.reward_id, Define(content, replaces))


async def retire(rewards: Rewards, reward_id: str, reason: str, by: str) -> Saved:
    """Offer a reward no more. Again changes nothing. Raises ServiceError ``missing``."""
    return await _saved(rewards, reward_id, Retire(reward_id, reason, by))


async def _saved(rewards: Rewards, reward_id: str, command: Define | Retire) -> Saved:
    """Decide on the newest version: "nothing to do" must not be said of an old one.

    The document is written even when nothing changed: a retry mends what a crash left.
    """
    streams, now, said = rewards.catalogue, rewards.clock(), _digest(command)
    await streams.heads([reward_id], fresh=True)

    def facts(state: Reward, asked: Define | Retire) -> Sequence[New]:
        fact = decide(state, asked)
        if fact is None:
            return ()
        # What is said is part of the key: two who say different things at once race for the seq.
        name = f"define:{fact.revision}" if isinstance(fact, RewardDefined) else "retire"
        return [New(f"{name}:{said.hex()}", type(fact).__name__, now, fact)]

    made = Command(reward_id, "none", said, command, current_traceparent())
    (result,) = await streams.execute([made], facts)
    done(result)
    head = (await streams.keep([reward_id]))[reward_id]
    return Saved(head.state, bool(result.facts))


def _digest(command: Define | Retire) -> bytes:
    return blake2b(msgspec.json.encode(command), digest_size=16).digest()


async def add_stock(rewards: Rewards, delivery: StockAdded, key: str) -> bool:
    """Add a delivery to a reward's stock; False when it was added before under this key.

    Raises ServiceError ``missing``, or ``refused`` for a reward without a limit.
    """
    return await rewards.shop.add(await _shelf(rewards, delivery.reward_id), delivery, key)


async def write_down(rewards: Rewards, wanted: StockWrittenDown, key: str) -> bool:
    """Write stock down; False when it was written down before under this key.

    Raises ServiceError ``missing``, or ``refused`` for a reward without a limit, when fewer are
    left than ``wanted.whole``, and when it was given up before under this key.
    """
    shelf = await _shelf(rewards, wanted.reward_id)
    return await writing_down.write_down(rewards.shop, shelf, wanted, key, rewards.clock())


async def _shelf(rewards: Rewards, reward_id: str) -> Shelf:
    head = (await rewards.catalogue.keep([reward_id]))[reward_id]
    if head.state.defined is None:
        raise no_such_reward(reward_id)
    return shelf_of(head.state.defined)


def shelf_of(defined: RewardDefined) -> Shelf:
    """The stock of a reward. Raises ServiceError ``refused`` when there is no limit to it."""
    if not defined.slices:
        raise ServiceError(
            "refused",
            "stock_unlimited",
            "This reward has no limited stock; define it with `limited`",
            reward_id=defined.reward_id,
        )
    return Shelf(defined.reward_id, defined.slices)
