"""What an auditor asks of rewards: do the journals hold, and are the documents their fold?"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from contracts.catalogue import (
    RewardDefined,
    StockGivenBack,
    StockSettled,
    StockTaken,
    StockWrittenDown,
)
from contracts.envelope import Fact
from kit.clock import DAY, from_micros
from kit.streams import Fold, Streams
from kit.views.port import Collection, IndexValue, Views
from services.points.domain.stock import Slice
from services.points.rewards.views import (
    METERS,
    REWARDS,
    STOCK,
    MeterFold,
    RewardFold,
    SliceFold,
    reward_index,
    slice_index,
)
from services.points.rewards.wiring import Rewards
from services.points.rewards.writing_down import home_of

FORGOTTEN_AFTER = DAY
"""A take that is still open so long after it was due was forgotten by the duty."""
IndexOf = Callable[[str, Any], Mapping[str, IndexValue]]


@dataclass
class _Walk:
    """A stream as the walk over its facts finds it.

    ``out`` is what redemptions took of a slice, ``down`` what was written down of it.
    """

    stream: str
    state: Any
    seq: int = 0
    states: dict[int, Any] = field(default_factory=dict)
    out: dict[str, int] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)
    back: set[str] = field(default_factory=set)
    down: dict[str, StockWrittenDown] = field(default_factory=dict)

    @property
    def owner(self) -> str:
        """Whose stream it is."""
        return self.stream.partition(":")[2]


@dataclass(frozen=True)
class _Kind:
    """How one kind of stream is walked and compared with its documents."""

    streams: Streams[Any, Any]
    fold: Fold[Any]
    collection: Collection
    index: IndexOf | None


async def findings(rewards: Rewards) -> list[str]:
    """Return what does not hold, as sentences; empty when all is well.

    Checked: seqs gapless; revisions count up; a slice never below zero, nothing settled, written
    down or given back that was not taken, in another quantity, or twice; added is left, reserved,
    redeemed and written down; a write-down takes from each slice what the slice where it began
    says, in all what was asked for; no take open long after it was due; every document and its
    index the fold of its stream.
    """
    slices: dict[str, int] = {}
    stock: list[_Walk] = []
    found: list[str] = []
    kinds = {
        "reward": _Kind(rewards.catalogue, RewardFold(), REWARDS, reward_index),
        "stock": _Kind(rewards.shop.streams, SliceFold(), STOCK, slice_index),
        "meter": _Kind(rewards.meters.streams, MeterFold(), METERS, None),
    }
    for kind in kinds.values():
        async for walk in _streams(kind, found):
            found += await _document_findings(rewards.views, kind, walk)
            if walk.stream.startswith("reward:"):
                slices[walk.owner] = walk.state.defined.slices
            elif walk.stream.startswith("stock:"):
                found += _slice_findings(walk, slices, rewards.clock())
                if walk.down or walk.state.open:
                    walk.states.clear()
                    stock.append(walk)
    return [*found, *_write_down_findings(stock)]


async def _streams(kind: _Kind, found: list[str]) -> AsyncIterator[_Walk]:
    """Walk the streams of a kind, adding to ``found``, and yield each at its end."""
    walk: _Walk | None = None
    async for facts in kind.streams.journal.scan():
        for fact in facts:
            if not fact.stream.startswith(f"{kind.streams.kind}:"):
                continue
            if walk is None or walk.stream != fact.stream:
                if walk is not None:
                    yield walk
                walk = _Walk(fact.stream, kind.fold.initial(fact.owner))
            found += _fact_findings(walk, fact, kind)
    if walk is not None:
        yield walk


def _fact_findings(walk: _Walk, fact: Fact, kind: _Kind) -> Iterator[str]:
    body = kind.streams.body(fact)
    if fact.seq != walk.seq + 1:
        yield f"{fact.id}: seq {walk.seq + 1} was expected"
    if isinstance(body, RewardDefined) and body.revision != walk.state.revision + 1:
        yield f"{fact.id}: revision {body.revision} follows {walk.state.revision}"
    walk.seq, walk.state = fact.seq, kind.fold.apply(walk.state, fact, body)
    walk.states[fact.seq] = walk.state
    if isinstance(body, StockTaken):
        if body.redemption_id in walk.out:
            yield f"{fact.id}: {body.redemption_id} takes a second time"
        walk.out[body.redemption_id] = body.quantity
    elif isinstance(body, StockSettled | StockGivenBack | StockWrittenDown):
        yield from _closing_findings(walk, fact, body)
    if isinstance(walk.state, Slice) and walk.state.left < 0:
        yield f"{fact.id}: {walk.state.left} are left"


def _closing_findings(
    walk: _Walk, fact: Fact, body: StockSettled | StockGivenBack | StockWrittenDown
) -> Iterator[str]:
    """Taken → settled → given back, each once; a take may go back without having been settled.

    What a write-down took is written down, or goes back: one of the two.
    """
    name = body.write_down_id if isinstance(body, StockWrittenDown) else body.redemption_id
    if walk.out.get(name) != body.quantity:
        yield f"{fact.id}: {name} took {walk.out.get(name, 0)}, not {body.quantity}"
    if name in walk.back:
        yield f"{fact.id}: {name} was given back before"
    if name in walk.down:
        yield f"{fact.id}: {name} was written down before"
    if isinstance(body, StockWrittenDown):
        walk.down[name] = body
    elif isinstance(body, StockSettled):
        walk.settled.add(name)
    else:
        walk.back.add(name)


def _slice_findings(walk: _Walk, slices: dict[str, int], now: int) -> Iterator[str]:
    reward_id, _, place = walk.owner.rpartition(".")
    if not int(place) < slices.get(reward_id, 0):
        yield f"{walk.stream}: {reward_id} has no such slice"
    state: Slice = walk.state
    reserved = sum(take.quantity for take in state.open.values())
    gone = sum(state.written_down.values())
    if state.added != state.left + reserved + state.settled + gone:
        yield (
            f"{walk.stream}: of {state.added} added {state.left} are left, "
            f"{reserved} reserved, {state.settled} redeemed and {gone} written down"
        )
    for name, take in state.open.items():
        if take.until + FORGOTTEN_AFTER < now:
            due = from_micros(take.until).isoformat()
            yield f"{walk.stream}: what {name} took is open since {due}"


def _write_down_findings(stock: Sequence[_Walk]) -> Iterator[str]:
    """Where each write-down began says how much of it goes in which slice; there it did, or will.

    What it took elsewhere, and the duty has not seen to yet, is still open.
    """
    took = {
        (walk.owner, name): quantity
        for walk in stock
        for name, quantity in (
            *((name, body.quantity) for name, body in walk.down.items()),
            *((name, take.quantity) for name, take in walk.state.open.items()),
        )
    }
    began: set[tuple[str, str]] = set()
    for walk in stock:
        for name, body in walk.down.items():
            if walk.owner != home_of(body.reward_id, name):
                continue
            began.update((owner, name) for owner in (walk.owner, *body.shares))
            if body.quantity + sum(body.shares.values()) != body.whole:
                yield f"{walk.stream}: {name} is of {body.whole}, its shares are not"
            for owner, share in body.shares.items():
                if (there := took.get((owner, name), 0)) != share:
                    yield f"stock:{owner}: {name} took {there}, its share is {share}"
    for walk in stock:
        for name in walk.down:
            if (walk.owner, name) not in began:
                yield f"{walk.stream}: {name} is written down where it has no share"


async def _document_findings(views: Views, kind: _Kind, walk: _Walk) -> list[str]:
    snapshot = await kind.streams.snapshot(walk.owner)
    if snapshot is None:
        return []
    if snapshot.seq > walk.seq and await kind.streams.journal.head(walk.stream) >= snapshot.seq:
        return []  # the service is at work, and has come further than the walk
    if (folded := walk.states.get(snapshot.seq)) != snapshot.state:
        return [f"{walk.stream}: the document at {snapshot.seq} is not its fold ({folded})"]
    document = (await views.load(kind.collection, [walk.owner]))[walk.owner]
    expected = kind.index(walk.owner, folded) if kind.index else {}
    if dict(document.index) != dict(expected):
        return [f"{walk.stream}: the document is found by {dict(document.index)}, not {expected}"]
    return []
