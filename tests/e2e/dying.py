"""Adapters that kill their process right after they have done something, and who is given them.

A worker's consumer gets a handler on a journal and views that are the real ones, except that the
process ends there and then, as by ``kill -9``, when one of these calls has returned to nobody:

* ``appended``: the facts are in the journal. Points and events have not saved their view, members
  has not said the card, and nobody has committed an offset.
* ``saved``: the view is there. Members has not appended the facts that it counts with, and nobody
  has committed an offset.
"""

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from kit.bus.consume import Handler
from kit.bus.port import Bus
from kit.clock import system_clock
from kit.journal.port import Appended, Draft, Journal
from kit.settings import ServiceWorkerSettings
from kit.views.port import Collection, Document, Views
from programmes.model import load_programme
from services.events import wiring as events
from services.events.campaigns import compiled
from services.events.deciding import Decider
from services.events.views import DECIDING
from services.members import wiring as members
from services.members.absorbing import Absorber
from services.members.keeping import Keeper
from services.members.views import RELATIONSHIPS, decode_kept
from services.points import wiring as points
from services.points.views import ACCOUNTS, SNAPSHOT_EVERY, ledger
from services.points.worker import posting

APPENDED, SAVED = "appended", "saved"


@dataclass
class Fuse:
    """Counts the moments that are left."""

    left: int

    def burn(self) -> None:
        """One moment less; at the last one nothing is said and nothing is tidied."""
        self.left -= 1
        if self.left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class DyingJournal:
    """Dies when an append that ``counts`` has returned; else the journal that it wraps."""

    inner: Journal
    fuse: Fuse
    counts: Callable[[Sequence[Draft]], bool] = bool

    async def append(self, drafts: Sequence[Draft]) -> list[Appended]:
        outcomes = await self.inner.append(drafts)
        if self.counts(drafts):
            self.fuse.burn()
        return outcomes

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@dataclass
class DyingViews:
    """Dies when documents that ``count`` were saved in a collection; else the views it wraps."""

    inner: Views
    fuse: Fuse
    collection: Collection
    counts: Callable[[Sequence[Document]], bool] = bool

    async def save(self, collection: Collection, documents: Sequence[Document]) -> list[str]:
        lost = await self.inner.save(collection, documents)
        if collection == self.collection and self.counts(documents):
            self.fuse.burn()
        return lost

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def handler(name: str, settings: ServiceWorkerSettings, bus: Bus, moment: str, at: Fuse) -> Handler:
    """The handler of a worker, on adapters that it does not survive."""
    makers = {"members-worker": _members, "points-worker": _points, "events-worker": _events}
    never = Fuse(1 << 62)
    fuses = (at, never) if moment == APPENDED else (never, at)
    return makers[name](settings, bus, *fuses)


def _members(settings: ServiceWorkerSettings, bus: Bus, append: Fuse, save: Fuse) -> Handler:
    """Only a save whose facts are owed to the journal counts."""
    wiring = members.wire(settings.store, programme=settings.programme)
    journal = DyingJournal(wiring.relationships, append)
    views = DyingViews(wiring.views, save, RELATIONSHIPS, _owe)
    keeper = Keeper(cast(Views, views), cast(Journal, journal), wiring.rules, wiring.clock)
    return Absorber(keeper, bus).handle


def _owe(documents: Sequence[Document]) -> bool:
    return any(decode_kept(document).owed for document in documents)


def _points(settings: ServiceWorkerSettings, bus: Bus, append: Fuse, save: Fuse) -> Handler:
    """Only an append after which a first snapshot is due counts."""
    wiring = points.wire(settings.store, programme=settings.programme)
    journal = DyingJournal(wiring.entries, append, _make_a_snapshot_due)
    views = DyingViews(wiring.store.views, save, ACCOUNTS)
    dying = ledger(cast(Journal, journal), cast(Views, views), wiring.clock)
    return posting(bus, replace(wiring, ledger=dying)).handler


def _make_a_snapshot_due(drafts: Sequence[Draft]) -> bool:
    return any(draft.seq == SNAPSHOT_EVERY for draft in drafts)


def _events(settings: ServiceWorkerSettings, bus: Bus, append: Fuse, save: Fuse) -> Handler:
    """Only a save with a decision in it counts."""
    wiring = events.wire(settings.store)
    journal = DyingJournal(wiring.decisions, append)
    views = DyingViews(wiring.store.views, save, DECIDING)
    campaigns = compiled(load_programme(settings.programme))
    dying = (wiring.activities, cast(Journal, journal), cast(Views, views), campaigns)
    return Decider(*dying, system_clock).handle
