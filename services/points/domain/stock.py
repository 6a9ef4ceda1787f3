"""Stock of a reward, in slices: what a slice holds, and what may be done with it.

Invariants:

* left = added − taken + given back, and never below zero: only what is there is taken;
* a redemption takes once of a slice; what it took is settled or given back, each once;
* what was settled may still come back (a cancelled redemption), what came back is never settled;
* a write-down takes, too, and what it took is written down or given back: what others took, and
  what they may still take, it never touches;
* ``open`` holds what is neither settled nor given back yet, and no more than ``MOST_OPEN`` of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from contracts.catalogue import (
    StockAdded,
    StockGivenBack,
    StockSettled,
    StockSought,
    StockTaken,
    StockWrittenDown,
    WriteDownReason,
)
from kit.errors import ServiceError

MOST_OPEN = 10_000
MOST_STOCK = 10**9

LATELY = 20
"""So many write-downs a slice remembers; the last 20 of a reward are in its slices, whichever."""

Fact = StockAdded | StockTaken | StockSought | StockSettled | StockGivenBack | StockWrittenDown


class SliceShort(ServiceError):
    """This slice holds less than is asked; others may hold more."""

    def __init__(self, left: int) -> None:
        super().__init__("refused", "slice_short", "This slice holds too little", left=left)


class SoldOut(ServiceError):
    """All slices together hold less than is asked."""

    def __init__(self, reward_id: str, asked: int, left: int) -> None:
        message = f"Only {left} are left, {asked} were asked for" if left else "It is sold out"
        super().__init__(
            "refused", "sold_out", message, reward_id=reward_id, asked=asked, left=left
        )


class StockShort(ServiceError):
    """Fewer are left than are to be written down; what is reserved is not to be had."""

    def __init__(self, reward_id: str, asked: int, left: int) -> None:
        super().__init__(
            "refused",
            "stock_short",
            f"{asked} cannot be written down: {left} are left that are not reserved",
            reward_id=reward_id,
            asked=asked,
            left=left,
        )


class WriteDownDropped(ServiceError):
    """A write-down was begun and given up; nothing of it is written down."""

    def __init__(self, reward_id: str) -> None:
        super().__init__(
            "refused",
            "write_down_dropped",
            "Nothing was written down under this key; ask again with a new one",
            reward_id=reward_id,
        )


class TakeClosed(ServiceError):
    """The redemption's stock went back; it needs a new redemption to take again."""

    def __init__(self, redemption_id: str) -> None:
        super().__init__(
            "refused",
            "stock_given_back",
            "What this redemption had reserved went back to the stock; ask again with a new key",
            redemption_id=redemption_id,
        )


class NotOpen(ServiceError):
    """There is nothing of this redemption in the slice that waits to be settled or given back."""

    def __init__(self, redemption_id: str) -> None:
        super().__init__(
            "refused",
            "stock_not_reserved",
            "Nothing is reserved for this redemption",
            redemption_id=redemption_id,
        )


class OpenTake(msgspec.Struct, frozen=True, array_like=True):
    """Taken, and neither settled nor given back."""

    member_id: str
    quantity: int
    until: int


class WrittenDown(msgspec.Struct, frozen=True, array_like=True):
    """A write-down, as a whole, that concerned a slice."""

    write_down_id: str
    at: int
    quantity: int
    reason: WriteDownReason
    by: str
    note: str | None = None


class Slice(msgspec.Struct, frozen=True):
    """What a slice's facts add up to; ``written_down`` by reason, ``lately`` oldest first."""

    added: int = 0
    taken: int = 0
    given_back: int = 0
    settled: int = 0
    open: dict[str, OpenTake] = {}
    written_down: dict[WriteDownReason, int] = {}
    lately: tuple[WrittenDown, ...] = ()

    @property
    def left(self) -> int:
        """How many may still be taken."""
        return self.added - self.taken + self.given_back

    @property
    def due(self) -> int | None:
        """When the first open take must be looked at."""
        return min((take.until for take in self.open.values()), default=None)


@dataclass(frozen=True, slots=True)
class Add:
    """Put this slice's share of a delivery into it."""

    fact: StockAdded


@dataclass(frozen=True, slots=True)
class Take:
    """Take, all of it here or nothing; ``part``: as much of it as is here."""

    fact: StockTaken
    part: bool = False


@dataclass(frozen=True, slots=True)
class Seek:
    """Take all of it here; else note that it is taken elsewhere."""

    fact: StockTaken


@dataclass(frozen=True, slots=True)
class Settle:
    """What was taken is paid for."""

    reward_id: str
    redemption_id: str


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Put back what is open, or else the ``taken`` that is settled already (0: open or nothing)."""

    reward_id: str
    redemption_id: str
    taken: int = 0


@dataclass(frozen=True, slots=True)
class SetAside:
    """Begin a write-down: take as much of it as is here, be it nothing."""

    fact: StockTaken


@dataclass(frozen=True, slots=True)
class WriteDown:
    """What a write-down took here is no more."""

    fact: StockWrittenDown


Command = Add | Take | Seek | Settle | GiveBack | SetAside | WriteDown


def decide(state: Slice, command: Command) -> Fact | None:
    """Return the fact a command makes; None for what is taken here and open already.

    Raises SliceShort, NotOpen, and ServiceError ``too_many`` or ``invalid`` beyond the bounds.
    """
    match command:
        case Add(fact):
            return _added(state, fact)
        case Take(fact, part):
            return _taken(state, fact, part)
        case Seek(fact):
            return _sought(state, fact)
        case SetAside(fact):
            return _opened(state, fact, min(fact.quantity, state.left))
        case WriteDown(fact):
            return replace(fact, quantity=_open(state, fact.write_down_id))
        case Settle(reward_id, redemption_id):
            return StockSettled(reward_id, redemption_id, _open(state, redemption_id))
        case GiveBack(reward_id, redemption_id, taken):
            if taken and redemption_id not in state.open:
                return StockGivenBack(reward_id, redemption_id, taken)
            return StockGivenBack(reward_id, redemption_id, _open(state, redemption_id))


def _open(state: Slice, redemption_id: str) -> int:
    take = state.open.get(redemption_id)
    if take is None:
        raise NotOpen(redemption_id)
    return take.quantity


def _added(state: Slice, fact: StockAdded) -> StockAdded:
    if state.left + fact.quantity > MOST_STOCK:
        raise ServiceError(
            "invalid", "too_much_stock", f"A slice holds at most {MOST_STOCK}", left=state.left
        )
    return fact


def _taken(state: Slice, fact: StockTaken, part: bool) -> StockTaken | None:
    """A retry that finds its take open needs no fact, and no trip to the journal to hear so."""
    known = state.open.get(fact.redemption_id)
    if known is not None and (part or known.quantity == fact.quantity):
        return None
    quantity = min(fact.quantity, state.left) if part else fact.quantity
    if quantity > state.left or not quantity:
        raise SliceShort(state.left)
    return _opened(state, fact, quantity)


def _opened(state: Slice, fact: StockTaken, quantity: int) -> StockTaken:
    if len(state.open) >= MOST_OPEN:
        raise ServiceError(
            "too_many", "too_many_reserved", "Too many are reserved at once; try again shortly"
        )
    return replace(fact, quantity=quantity)


def _sought(state: Slice, fact: StockTaken) -> StockTaken | StockSought | None:
    if fact.quantity <= state.left:
        return _taken(state, fact, False)
    return StockSought(
        fact.reward_id, fact.redemption_id, fact.member_id, fact.quantity, fact.until
    )


def apply(state: Slice, fact: Fact, at: int) -> Slice:
    """The slice after a fact of that time."""
    match fact:
        case StockAdded():
            return replace(state, added=state.added + fact.quantity)
        case StockTaken():
            take = OpenTake(fact.member_id, fact.quantity, fact.until)
            opened = {**state.open, fact.redemption_id: take}
            return replace(state, taken=state.taken + fact.quantity, open=opened)
        case StockSettled():
            settled = state.settled + fact.quantity
            return replace(state, settled=settled, open=_without(state, fact.redemption_id))
        case StockGivenBack():
            back = state.given_back + fact.quantity
            settled = state.settled - (0 if fact.redemption_id in state.open else fact.quantity)
            opened = _without(state, fact.redemption_id)
            return replace(state, given_back=back, settled=settled, open=opened)
        case StockSought():
            return state
        case StockWrittenDown():
            return _written_down(state, fact, at)


def _written_down(state: Slice, fact: StockWrittenDown, at: int) -> Slice:
    gone = state.written_down.get(fact.reason, 0) + fact.quantity
    shown = WrittenDown(fact.write_down_id, at, fact.whole, fact.reason, fact.by, fact.note)
    return replace(
        state,
        open=_without(state, fact.write_down_id),
        written_down={**state.written_down, fact.reason: gone},
        lately=(*state.lately, shown)[-LATELY:],
    )


def _without(state: Slice, redemption_id: str) -> dict[str, OpenTake]:
    return {name: take for name, take in state.open.items() if name != redemption_id}


def shares(delivery: int, slices: int, first: int) -> Iterator[tuple[int, int]]:
    """Yield each slice and its share of a delivery, from slice ``first`` on; none is empty."""
    whole, rest = divmod(delivery, slices)
    for step in range(slices):
        if quantity := whole + (step < rest):
            yield (first + step) % slices, quantity


def plan(left: Sequence[int], home: int, wanted: int) -> dict[int, int] | None:
    """Where to take ``wanted`` from, walking on from ``home``; None when there is too little."""
    planned: dict[int, int] = {}
    for step in range(len(left)):
        place = (home + step) % len(left)
        if wanted and (quantity := min(wanted, left[place])) > 0:
            planned[place] = quantity
            wanted -= quantity
    return None if wanted else planned
