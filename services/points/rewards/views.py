"""How the facts of the catalogue become documents: rewards, slices of stock, meters."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contracts.catalogue import (
    MeterCounted,
    RewardDefined,
    RewardRetired,
    StockAdded,
    StockGivenBack,
    StockSettled,
    StockSought,
    StockTaken,
    StockWrittenDown,
)
from contracts.envelope import Fact
from kit.clock import Clock
from kit.journal.port import Journal
from kit.streams import Streams
from kit.views.port import Collection, IndexValue, Views
from services.points.domain import catalogue, meters, stock

REWARDS = Collection(
    "rewards", fields={"state": str, "until": int}, indexes=(("state",), ("state", "until"))
)
"""By reward: its newest version. ``until`` is when it ends, ``FOR_EVER`` if it does not."""

STOCK = Collection("stock", fields={"due": int, "left": int}, indexes=(("due",),))
"""By slice: what is left, and when the first take that is still open must be looked at."""

METERS = Collection("meters")
COLLECTIONS = (REWARDS, STOCK, METERS)
FOR_EVER = 2**62
METER_SNAPSHOT_EVERY = 16
STOCK_SNAPSHOT_EVERY = 64

Catalogue = Streams[catalogue.Reward, catalogue.Define | catalogue.Retire]
Stock = Streams[stock.Slice, "Asked"]
Meters = Streams[meters.Meter, meters.Count]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of a slice of stock at ``at``, and the key of the fact it makes."""

    key: str
    at: int
    action: stock.Command


class RewardFold:
    """Fold the versions of a reward."""

    state_type = catalogue.Reward
    bodies: Mapping[str, type] = {"RewardDefined": RewardDefined, "RewardRetired": RewardRetired}

    def initial(self, owner: str) -> catalogue.Reward:
        """No version yet."""
        return catalogue.Reward()

    def apply(self, state: catalogue.Reward, fact: Fact, body: Any) -> catalogue.Reward:
        """The reward after a fact."""
        return catalogue.apply(state, body, fact.occurred_at)


class SliceFold:
    """Fold a slice of stock."""

    state_type = stock.Slice
    bodies: Mapping[str, type] = {
        kind.__name__: kind
        for kind in (
            StockAdded,
            StockTaken,
            StockSought,
            StockSettled,
            StockGivenBack,
            StockWrittenDown,
        )
    }

    def initial(self, owner: str) -> stock.Slice:
        """An empty slice."""
        return stock.Slice()

    def apply(self, state: stock.Slice, fact: Fact, body: Any) -> stock.Slice:
        """The slice after a fact."""
        return stock.apply(state, body, fact.occurred_at)


class MeterFold:
    """Fold a meter."""

    state_type = meters.Meter
    bodies: Mapping[str, type] = {"MeterCounted": MeterCounted}

    def initial(self, owner: str) -> meters.Meter:
        """Never used."""
        return meters.Meter()

    def apply(self, state: meters.Meter, fact: Fact, body: Any) -> meters.Meter:
        """The meter after a request."""
        return meters.apply(state, body, fact.occurred_at)


def reward_index(owner: str, state: catalogue.Reward) -> Mapping[str, IndexValue]:
    """What lists of rewards are made by."""
    until = state.defined.valid_until if state.defined else None
    shown = "retired" if state.retired_at else "offered"
    return {"state": shown, "until": FOR_EVER if until is None else until}


def slice_index(owner: str, state: stock.Slice) -> Mapping[str, IndexValue]:
    """What the duty finds open takes by, and what lists show."""
    return {"due": state.due, "left": state.left}


def catalogue_streams(journal: Journal, views: Views, clock: Clock) -> Catalogue:
    """The streams ``reward:{reward_id}``; every version is written to the list at once."""
    return Streams(
        "reward", journal, views, REWARDS, RewardFold(), clock, snapshot_every=1, index=reward_index
    )


def stock_streams(journal: Journal, views: Views, clock: Clock) -> Stock:
    """The streams ``stock:{reward_id}.{slice}``, whose documents the turnstile writes."""
    return Streams(
        "stock",
        journal,
        views,
        STOCK,
        SliceFold(),
        clock,
        snapshot_every=STOCK_SNAPSHOT_EVERY,
        index=slice_index,
    )


def meter_streams(journal: Journal, views: Views, clock: Clock) -> Meters:
    """The streams ``meter:{kind}.{id}``."""
    return Streams(
        "meter", journal, views, METERS, MeterFold(), clock, snapshot_every=METER_SNAPSHOT_EVERY
    )


def owner_of(reward_id: str, place: int) -> str:
    """The owner of a slice's stream. A reward's id has no dot, so the last dot parts the two."""
    return f"{reward_id}.{place}"
