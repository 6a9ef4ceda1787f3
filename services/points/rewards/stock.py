"""Taking stock, giving it back, settling it: each once for a redemption, whatever is retried.

A redemption takes in its member's own slice. Only when too little is there does it look at all of
them, and then it first leaves a mark in its own (``StockSought``, under the key it would have taken
with): whoever retries it begins at the same place and is told where to look on.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b

import msgspec
from msgspec.structs import replace

from contracts.catalogue import StockAdded, StockSettled, StockTaken
from contracts.envelope import Fact
from kit.clock import Clock
from kit.errors import ServiceError
from kit.streams import Command, New, Result
from kit.telemetry import current_traceparent
from services.points.domain import stock as domain
from services.points.domain.stock import (
    Add,
    GiveBack,
    NotOpen,
    Seek,
    Settle,
    Slice,
    SliceShort,
    SoldOut,
    Take,
    TakeClosed,
    plan,
    shares,
)
from services.points.rewards.behind import Behind
from services.points.rewards.turnstile import Turnstile
from services.points.rewards.views import STOCK, Asked, Stock, owner_of

WALKS = 50
SETTLE_SECONDS = 0.1
"""What is paid for is settled so long behind the answers, in one batch with what is then taken."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """The stock of one reward: how many slices it lies in."""

    reward_id: str
    slices: int

    @property
    def owners(self) -> list[str]:
        """The owners of the slices' streams, in order."""
        return [owner_of(self.reward_id, place) for place in range(self.slices)]

    def home(self, text: str) -> int:
        """The slice that belongs to a member (or to a delivery's key)."""
        return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) % self.slices


@dataclass(frozen=True, slots=True)
class Paid:
    """What a redemption took and has paid for."""

    shelf: Shelf
    redemption_id: str
    member_id: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Taken:
    """Where a redemption's stock is, and what became of it: facts by key, for each slice."""

    redemption_id: str
    places: dict[str, dict[str, Fact]]

    def quantity(self, owner: str) -> int:
        """How many were taken in a slice."""
        found = self.places[owner]
        fact = found.get(f"part:{self.redemption_id}") or found[f"take:{self.redemption_id}"]
        return msgspec.json.decode(fact.body, type=StockTaken).quantity

    def is_(self, what: str) -> list[str]:
        """The slices where it is settled (``settle``) or given back (``back``)."""
        key = f"{what}:{self.redemption_id}"
        return [owner for owner, found in self.places.items() if key in found]


class Shop:
    """All stock. One for each process and event loop."""

    def __init__(self, streams: Stock, clock: Clock) -> None:
        self.streams, self._clock = streams, clock
        self._turnstile = Turnstile(streams, facts_of)
        self._paid = Behind(self._settle_paid, SETTLE_SECONDS)

    async def left(self, shelf: Shelf) -> int:
        """How many are left now: every slice read fresh."""
        return sum(each.left for each in await self.slices(shelf))

    async def left_lately(self, shelves: Sequence[Shelf]) -> dict[str, int]:
        """How many were left a moment ago, by reward: what lists show."""
        ids = [owner for shelf in shelves for owner in shelf.owners]
        found = await self.streams.views.load(STOCK, ids) if ids else {}
        return {
            shelf.reward_id: sum(
                int(found[owner].index["left"] or 0) for owner in shelf.owners if owner in found
            )
            for shelf in shelves
        }

    async def add(self, shelf: Shelf, delivery: StockAdded, key: str) -> bool:
        """Put a delivery on the shelf; False when it was there before.

        ``delivery.quantity`` is all of it. Raises ServiceError ``conflict`` when the key was used
        for another delivery: its first share is laid down before the others and tells.
        """
        first, *others = self.laying(shelf, delivery, key)
        laid = done(await self._turnstile.pass_(first))
        results = await asyncio.gather(*map(self._turnstile.pass_, others))
        await self.streams.keep(shelf.owners)  # whoever delivers looks at the list next
        return not all([laid.repeated, *(done(result).repeated for result in results)])

    def laying(self, shelf: Shelf, delivery: StockAdded, key: str) -> list[Command[Asked]]:
        """What lays a delivery down, the share that tells whether the key is free first."""
        content = f"{delivery.quantity}\0{delivery.note}"
        digest = blake2b(content.encode(), digest_size=16).digest()
        return [
            self._asked(
                owner_of(shelf.reward_id, place),
                f"add:{key}",
                Add(replace(delivery, quantity=quantity)),
                digest,
            )
            for place, quantity in shares(delivery.quantity, shelf.slices, shelf.home(key))
        ]

    async def take(
        self, shelf: Shelf, redemption_id: str, member_id: str, until: int, quantity: int = 1
    ) -> None:
        """Take for a redemption; again changes nothing.

        Raises SoldOut, only after every slice was read fresh, and TakeClosed when what the
        redemption took has gone back since.
        """
        home = shelf.home(member_id)
        wanted = StockTaken(shelf.reward_id, redemption_id, member_id, quantity, until)
        result = await self._take(shelf, home, f"take:{redemption_id}", Take(wanted))
        if isinstance(result.error, SliceShort):
            await self._refuse_when_short(shelf, quantity)
            result = await self._take(shelf, home, f"take:{redemption_id}", Seek(wanted))
        if not done(result).facts:
            return  # it is open already
        (fact,) = result.facts
        if result.repeated:
            taken = await self.taken(shelf, redemption_id, member_id)
            self._refuse_when_closed(taken)
            if taken.is_("settle"):
                return
        if fact.type == "StockSought":
            await self._take_elsewhere(shelf, home, wanted)

    async def _take(self, shelf: Shelf, place: int, key: str, command: Take | Seek) -> Result:
        owner = owner_of(shelf.reward_id, place)
        return await self.ask(owner, key, command, _digest(command.fact))

    async def _take_elsewhere(self, shelf: Shelf, home: int, wanted: StockTaken) -> None:
        for _ in range(WALKS):
            have = await self.walk(shelf, home, wanted)
            if have is None:
                await self.give_back(shelf, wanted.redemption_id, wanted.member_id)
                raise SoldOut(shelf.reward_id, wanted.quantity, await self.left(shelf))
            if sum(have.values()) == wanted.quantity:
                return
        await self.give_back(shelf, wanted.redemption_id, wanted.member_id)
        raise ServiceError("conflict", "contended", "Too many take at once; try again")

    async def walk(
        self, shelf: Shelf, home: int, wanted: StockTaken, begun: bool = False
    ) -> Mapping[int, int] | None:
        """Walk on from the home slice, and take what is still missing of what is wanted.

        Returns what it had in which slice before, or None when too little is left. What was planned
        may be gone on arrival, so whoever has not all of it walks again; each walk that fails is
        one on which somebody else got something. ``begun``: it has a share at home, be it nothing,
        that says what is asked for; without it, it has ended and takes no more.
        """
        redemption_id, key = wanted.redemption_id, f"part:{wanted.redemption_id}"
        slices = await self.slices(shelf)
        have = {
            place: held.quantity
            for place, each in enumerate(slices)
            if (held := each.open.get(redemption_id)) is not None
        }
        missing = wanted.quantity - sum(have.values())
        if not missing or (begun and home not in have):
            return have
        left = [0 if place in have else each.left for place, each in enumerate(slices)]
        if (planned := plan(left, home, missing)) is None:
            return None
        for place, quantity in planned.items():
            part = replace(wanted, quantity=quantity)
            digest = b"" if begun else _digest(part)
            owner = owner_of(shelf.reward_id, place)
            result = await self.ask(owner, key, Take(part, part=True), digest)
            if result.error and not isinstance(result.error, SliceShort):
                raise result.error
        return have

    async def idle(self) -> None:
        """Return when nothing is on its way, documents neither."""
        await self._paid.idle()
        await self._turnstile.idle()

    async def settle(
        self, shelf: Shelf, redemption_id: str, member_id: str, quantity: int = 1
    ) -> None:
        """What it took is paid for; again changes nothing. Raises TakeClosed, NotOpen.

        Most took all of it in their own slice, so that is tried before anything is looked up.
        """
        command = Settle(shelf.reward_id, redemption_id)
        result = await self.close(owner_of(shelf.reward_id, shelf.home(member_id)), command)
        if not isinstance(result.error, NotOpen) and _settled_now(done(result)) == quantity:
            return
        taken = await self.taken(shelf, redemption_id, member_id)
        self._refuse_when_closed(taken)
        if not taken.places:
            raise NotOpen(redemption_id)
        for owner in taken.places.keys() - set(taken.is_("settle")):
            done(await self.close(owner, command))

    def settle_soon(self, paid: Paid) -> None:
        """Settle it behind the answer; whoever closes the takes that are due makes up for it."""
        self._paid.add(paid)

    async def _settle_paid(self, paid: Sequence[Paid]) -> None:
        for each in await self.settle_all(paid):
            with suppress(ServiceError):  # it went back since, or the store is out
                await self.settle(each.shelf, each.redemption_id, each.member_id, each.quantity)

    async def settle_all(self, paid: Sequence[Paid]) -> list[Paid]:
        """Settle what was taken in the members' own slices, all of it at once.

        Returns what was not settled by this: most of it was before, the rest is for ``settle``.
        """
        asked = [
            self._asked(
                owner_of(each.shelf.reward_id, each.shelf.home(each.member_id)),
                f"settle:{each.redemption_id}",
                Settle(each.shelf.reward_id, each.redemption_id),
                b"",
            )
            for each in paid
        ]
        results = await self._turnstile.pass_all(asked)
        return [
            each
            for each, result in zip(paid, results, strict=True)
            if result.error is not None or _settled_now(result) != each.quantity
        ]

    async def give_back(self, shelf: Shelf, redemption_id: str, member_id: str) -> int:
        """Put back what the redemption took, settled or not; how many. Again changes nothing."""
        taken = await self.taken(shelf, redemption_id, member_id)
        for owner in taken.places.keys() - set(taken.is_("back")):
            asked = GiveBack(shelf.reward_id, redemption_id, taken.quantity(owner))
            done(await self.close(owner, asked))
        return sum(taken.quantity(owner) for owner in taken.places)

    async def close(self, owner: str, command: Settle | GiveBack) -> Result:
        """Settle or give back in one slice."""
        name = "settle" if isinstance(command, Settle) else "back"
        return await self.ask(owner, f"{name}:{command.redemption_id}", command)

    async def ask(
        self, owner: str, key: str, action: domain.Command, digest: bytes = b""
    ) -> Result:
        """Ask one slice for a fact that bears ``key``."""
        return await self._turnstile.pass_(self._asked(owner, key, action, digest))

    async def taken(self, shelf: Shelf, redemption_id: str, member_id: str) -> Taken:
        """Find where a redemption's stock is: at home, or where the mark at home says to look."""
        keys = [f"{what}:{redemption_id}" for what in ("take", "settle", "back", "part")]
        home = owner_of(shelf.reward_id, shelf.home(member_id))
        found = await self.find(home, keys)
        mark = found.get(keys[0])
        if mark is None:
            return Taken(redemption_id, {})
        if mark.type == "StockTaken":
            return Taken(redemption_id, {home: found})
        everywhere = {owner: await self.find(owner, keys) for owner in shelf.owners}
        places = {owner: facts for owner, facts in everywhere.items() if keys[3] in facts}
        return Taken(redemption_id, places)

    def _refuse_when_closed(self, taken: Taken) -> None:
        if taken.is_("back"):
            raise TakeClosed(taken.redemption_id)

    async def _refuse_when_short(self, shelf: Shelf, quantity: int) -> None:
        if (left := await self.left(shelf)) < quantity:
            raise SoldOut(shelf.reward_id, quantity, left)

    async def find(self, owner: str, keys: list[str]) -> dict[str, Fact]:
        """The facts of a slice that bear these keys."""
        return await self.streams.journal.find(self.streams.stream(owner), keys)

    async def slices(self, shelf: Shelf) -> list[Slice]:
        """The slices in order, read fresh."""
        heads = await self.streams.heads(shelf.owners, fresh=True)
        return [heads[owner].state for owner in shelf.owners]

    def _asked(self, owner: str, key: str, action: domain.Command, digest: bytes) -> Command[Asked]:
        asked = Asked(key, self._clock(), action)
        return Command(owner, key, digest, asked, current_traceparent())


def facts_of(state: Slice, asked: Asked) -> list[New]:
    """A decision as the journal takes it, under the key by which a retry finds it."""
    fact = domain.decide(state, asked.action)
    if fact is None:
        return []
    return [New(asked.key, type(fact).__name__, asked.at, fact)]


def _settled_now(result: Result) -> int:
    """How many were settled by this very request."""
    if result.repeated:
        return 0
    return sum(msgspec.json.decode(fact.body, type=StockSettled).quantity for fact in result.facts)


def _digest(fact: StockTaken) -> bytes:
    """The deadline is no part of what is asked: a retry comes with a later one."""
    return blake2b(f"{fact.member_id}\0{fact.quantity}".encode(), digest_size=16).digest()


def done(result: Result) -> Result:
    """The result of what was not refused; raises the refusal."""
    if result.error is not None:
        raise result.error
    return result
