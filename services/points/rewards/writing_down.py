"""Writing stock down: what is broken or gone comes off the shelf, once for a key, all or nothing.

A write-down takes from the slices as a redemption does, so it gets only what nobody else has: first
in its home slice, as much as is there (``take:{id}``, which tells whether the key is free), then on
a walk over the others (``part:{id}``). When it has all of it, the fact ``down:{id}`` in the home
slice decides, and says what goes in which other slice; until then all of it can go back, and where
the home slice gave it back (``back:{id}``) nothing is ever written down under this key. The slices
that are not home follow what home has decided, by the request, by its retry, or by the duty that
looks at takes which are due.
"""

from dataclasses import dataclass
from hashlib import blake2b

import msgspec
from msgspec.structs import replace

from contracts.catalogue import StockTaken, StockWrittenDown
from kit.clock import SECOND
from services.points.domain.stock import (
    GiveBack,
    NotOpen,
    SetAside,
    StockShort,
    WriteDown,
    WriteDownDropped,
)
from services.points.rewards.stock import WALKS, Shelf, Shop, done
from services.points.rewards.views import owner_of

PREFIX = "write-down"
SET_ASIDE = 15 * 60 * SECOND
"""So long after it began, a write-down whose process died is finished or given up."""


@dataclass(frozen=True, slots=True)
class _Began:
    """A write-down, where it began, and what was asked for."""

    shelf: Shelf
    home: int
    asked: StockWrittenDown
    digest: bytes

    @property
    def id(self) -> str:
        """Its id, which says where it began."""
        return self.asked.write_down_id

    @property
    def owner(self) -> str:
        """The owner of the slice where it began."""
        return owner_of(self.shelf.reward_id, self.home)


async def write_down(
    shop: Shop, shelf: Shelf, wanted: StockWrittenDown, key: str, now: int
) -> bool:
    """Write ``wanted.whole`` down; False when it was before under this key.

    Raises StockShort, only after every slice was read fresh, WriteDownDropped when it was given up
    (before, or because too many take at once), and ServiceError ``conflict`` when the key was used
    for another.
    """
    began = _began(shelf, wanted, key)
    if not await shop.find(began.owner, [f"take:{began.id}"]):
        await _refuse_when_short(shop, began)
    until = now + SET_ASIDE
    aside = StockTaken(shelf.reward_id, began.id, "", wanted.whole, until)
    done(await shop.ask(began.owner, f"take:{began.id}", SetAside(aside), began.digest))
    repeated = await _decided(shop, began.owner, began.id) is not None
    decided = await _decide(shop, began, aside)
    moved = await _follow(shop, shelf, began.id)
    await shop.streams.keep(shelf.owners)  # whoever writes down looks at the figures next
    if decided is None:
        raise WriteDownDropped(shelf.reward_id)
    return moved or not repeated


def _began(shelf: Shelf, wanted: StockWrittenDown, key: str) -> _Began:
    home = shelf.home(key)
    asked = replace(wanted, write_down_id=f"{PREFIX}:{home}:{key}")
    content = f"{wanted.whole}\0{wanted.reason}\0{wanted.note}"
    return _Began(shelf, home, asked, blake2b(content.encode(), digest_size=16).digest())


async def _refuse_when_short(shop: Shop, began: _Began) -> None:
    left, whole = await shop.left(began.shelf), began.asked.whole
    if left < whole:
        raise StockShort(began.shelf.reward_id, whole, left)


async def _decide(shop: Shop, began: _Began, aside: StockTaken) -> StockWrittenDown | None:
    """Collect all of it and have home decide; None when it was given up. Raises StockShort."""
    for _ in range(WALKS):
        have = await shop.walk(began.shelf, began.home, aside, begun=True)
        if have is None:
            break
        if began.home not in have:
            return await _decided(shop, began.owner, began.id)
        if sum(have.values()) == aside.quantity:
            others = {place: many for place, many in have.items() if place != began.home}
            shares = {owner_of(aside.reward_id, place): many for place, many in others.items()}
            command = WriteDown(replace(began.asked, shares=shares))
            result = await shop.ask(began.owner, f"down:{began.id}", command, began.digest)
            if isinstance(result.error, NotOpen):
                return None
            return _read(done(result).facts[0].body)
    return await _give_up(shop, began)


async def _give_up(shop: Shop, began: _Began) -> StockWrittenDown | None:
    """Give all of it back, and say so when too little is left; what home decided if it has."""
    decided = await _home_ends(shop, began.owner, began.id)
    if decided is None:
        await _follow(shop, began.shelf, began.id)
        await shop.streams.keep(began.shelf.owners)
        await _refuse_when_short(shop, began)
    return decided


async def _follow(shop: Shop, shelf: Shelf, write_down_id: str) -> bool:
    """Have the slices follow what home decided; whether there was anything left to do."""
    moved = False
    for owner, each in zip(shelf.owners, await shop.slices(shelf), strict=True):
        if write_down_id in each.open:
            moved = await close(shop, owner, write_down_id) or moved
    return moved


def is_write_down(redemption_id: str) -> bool:
    """Whether a take is that of a write-down. No redemption's id has a colon."""
    return redemption_id.startswith(f"{PREFIX}:")


def home_of(reward_id: str, write_down_id: str) -> str:
    """The owner of the slice where a write-down of a reward began."""
    return owner_of(reward_id, int(write_down_id.split(":", 2)[1]))


async def close(shop: Shop, owner: str, write_down_id: str) -> bool:
    """End what a write-down took of a slice as home decided; False when it had ended before.

    Where home has not decided, its time is over: all of it goes back.
    """
    reward_id = owner.rpartition(".")[0]
    home = home_of(reward_id, write_down_id)
    decided = await _home_ends(shop, home, write_down_id)
    if owner == home:
        return decided is None
    if decided is not None and owner in decided.shares:
        share = WriteDown(replace(decided, shares={}))
        result = await shop.ask(owner, f"down:{write_down_id}", share)
    else:
        result = await shop.close(owner, GiveBack(reward_id, write_down_id))
    if isinstance(result.error, NotOpen):
        return False
    return not done(result).repeated


async def _home_ends(shop: Shop, home: str, write_down_id: str) -> StockWrittenDown | None:
    """Have home give it back, unless it has decided to write it down: then what it decided."""
    if (decided := await _decided(shop, home, write_down_id)) is not None:
        return decided
    result = await shop.close(home, GiveBack(home.rpartition(".")[0], write_down_id))
    if isinstance(result.error, NotOpen):
        return await _decided(shop, home, write_down_id)
    done(result)
    return None


async def _decided(shop: Shop, home: str, write_down_id: str) -> StockWrittenDown | None:
    key = f"down:{write_down_id}"
    fact = (await shop.find(home, [key])).get(key)
    return _read(fact.body) if fact is not None else None


def _read(body: bytes | msgspec.Raw) -> StockWrittenDown:
    return msgspec.json.decode(body, type=StockWrittenDown)
