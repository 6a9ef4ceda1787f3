"""A process that dies at any write of a command with a remark, and stores that do not answer."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from kit.errors import Unavailable
from kit.journal.port import Appended, Draft, Journal
from kit.store import Store
from kit.views.port import Collection
from services.points import commands_adjustments, commands_transfers
from services.points.asking import Asked
from services.points.commands_remarks import Told
from services.points.domain.errors import InsufficientPoints
from services.points.remarks import Remarks
from services.points.schemas_adjustments import AdjustmentBody
from services.points.schemas_transfers import TransferBody
from services.points.views import ledger
from services.points.wiring import ENTRIES_JOURNAL, Wiring
from tests.services.points.club import Club
from tests.services.points.remarking import TEXT, Line, terms, texts
from tests.services.points.rewards.crashing import Died, DyingStore, DyingViews, Fuse

Act = Callable[[Wiring, str], Awaitable[Told]]


class DyingToDelete(DyingViews):
    """Views on a fuse that burns with deletes, too."""

    async def delete(self, collection: Collection, ids: Sequence[str]) -> None:
        self._fuse.burn()
        await self._views.delete(collection, ids)


class Dying(DyingStore):
    """A store on a fuse."""

    def __init__(self, store: Store, fuse: Fuse) -> None:
        super().__init__(store, fuse)
        self._views = DyingToDelete(store.views, fuse)


def on(wiring: Wiring, store: Any) -> Wiring:
    """A process that writes accounts and remarks to this store."""
    entries = store.journal(ENTRIES_JOURNAL)
    accounts = ledger(entries, store.views, wiring.clock)
    remarks = Remarks(store.views, wiring.clock)
    return replace(wiring, entries=entries, ledger=accounts, remarks=remarks)


async def offer(wiring: Wiring, text: str, points: int = 300) -> Told:
    asked = Asked("M1", "transfer_k", "M1", wiring.clock())
    return await commands_transfers.send(
        wiring, asked, TransferBody(to="M2", points=points, note=text)
    )


async def correct(wiring: Wiring, text: str, points: int = 300) -> Told:
    asked = Asked("M1", "adjustment_k", "A1", wiring.clock(), own=False)
    body = AdjustmentBody(points=points, reason="goodwill", note=text)
    return await commands_adjustments.ask(wiring, asked, body)


async def request(wiring: Wiring, text: str) -> Told:
    return await correct(wiring, text, 700)


async def too_much(wiring: Wiring, text: str) -> Told:
    return await offer(wiring, text, 900)


ACTS = pytest.mark.parametrize("act", [offer, correct, request])


async def died(act: Act, wiring: Wiring, write: int, text: str = TEXT) -> bool:
    """Die in the act, instead of this write."""
    try:
        await act(on(wiring, Dying(wiring.store, Fuse(write))), text)
    except Died:
        return True
    return False


async def said(wiring: Wiring) -> str | None:
    """What the last fact with a remark says; the text is not in it."""
    (*_, last) = await terms(wiring, "M1")
    assert "note" not in last
    return await wiring.remarks.note(Line(remark=last["remark"]))


@ACTS
@pytest.mark.parametrize(("write", "dies"), [(1, True), (2, True), (3, False)])
async def test_sent_again_after_a_crash_at_any_write_it_happens_once(
    club: Club, act: Act, write: int, dies: bool
) -> None:
    await club.earn("M1", 1000)
    wiring, before = club.wiring, await club.facts("M1")
    assert await died(act, wiring, write) is dies
    assert await texts(wiring) == [TEXT] * min(write - 1, 1)
    assert await club.facts("M1") == before + (not dies)
    told = await act(on(wiring, wiring.store), TEXT)
    assert (told.note, await said(wiring)) == (TEXT, TEXT)
    assert await club.facts("M1") == before + 1
    orphans = 1 if write == 2 else 0
    assert await wiring.remarks.erase("M1") == 1 + orphans
    assert await said(wiring) is None


@ACTS
@pytest.mark.parametrize("text", [TEXT, "Another"])
@pytest.mark.parametrize("write", [1, 2, 3])
async def test_a_retry_that_dies_leaves_the_first_text_in_its_place(
    club: Club, act: Act, text: str, write: int
) -> None:
    await club.earn("M1", 1000)
    wiring = club.wiring
    await act(on(wiring, wiring.store), TEXT)
    facts = await club.facts("M1")
    assert await died(act, wiring, write, text)
    assert len(await texts(wiring)) == 1 + (write > 1)
    told = await act(on(wiring, wiring.store), TEXT)
    assert (told.note, told.outcome.repeated, await said(wiring)) == (TEXT, True, TEXT)
    assert await club.facts("M1") == facts
    assert await wiring.remarks.erase("M2" if act is offer else "M1") == 1 + (write > 1)


@pytest.mark.parametrize(("write", "left"), [(1, []), (2, [TEXT]), (3, [])])
async def test_a_refusal_that_dies_leaves_at_most_a_text_that_an_erasure_finds(
    club: Club, write: int, left: list[str]
) -> None:
    await club.earn("M1", 500)
    wiring = club.wiring
    ends = Died if write < 3 else InsufficientPoints
    with pytest.raises(ends):
        await too_much(on(wiring, Dying(wiring.store, Fuse(write))), TEXT)
    assert await texts(wiring) == left
    assert await wiring.remarks.erase("M1") == len(left)
    assert await club.facts("M1") == 1


class Out:
    """A store whose journal does not answer, after it has done what was asked, or has not."""

    def __init__(self, store: Store, landed: bool) -> None:
        self.views = store.views
        self._store, self._landed = store, landed

    def journal(self, name: str) -> Any:
        return OutJournal(self._store.journal(name), self._landed)


class OutJournal:
    def __init__(self, journal: Journal, landed: bool) -> None:
        self._journal, self._landed = journal, landed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    async def append(self, drafts: Sequence[Draft]) -> list[Appended]:
        if self._landed:
            await self._journal.append(drafts)
        raise Unavailable("the store", "test")


@ACTS
@pytest.mark.parametrize("landed", [True, False])
async def test_while_nobody_knows_what_became_of_the_fact_its_text_stays(
    any_club: Club, act: Act, landed: bool
) -> None:
    club, wiring = any_club, any_club.wiring
    await club.earn("M1", 1000)
    with pytest.raises(Unavailable):
        await act(on(wiring, Out(wiring.store, landed)), TEXT)
    assert await texts(wiring) == [TEXT]
    if landed:
        assert await said(wiring) == TEXT
    told = await act(on(wiring, wiring.store), TEXT)
    assert (told.note, told.outcome.repeated, await said(wiring)) == (TEXT, landed, TEXT)
    assert len(await texts(wiring)) == (1 if landed else 2)


class Stuttering:
    """A store whose journal is asked twice, as by a driver that did not hear the answer."""

    def __init__(self, store: Store) -> None:
        self.views = store.views
        self._store = store

    def journal(self, name: str) -> Any:
        return StutteringJournal(self._store.journal(name), landed=True)


class StutteringJournal(OutJournal):
    async def append(self, drafts: Sequence[Draft]) -> list[Appended]:
        await self._journal.append(drafts)
        return await self._journal.append(drafts)


@ACTS
async def test_a_fact_that_was_there_already_because_it_is_this_ones_keeps_its_text(
    any_club: Club, act: Act
) -> None:
    club, wiring = any_club, any_club.wiring
    await club.earn("M1", 1000)
    told = await act(on(wiring, Stuttering(wiring.store)), TEXT)
    assert (told.note, told.outcome.repeated) == (TEXT, True)
    assert await said(wiring) == TEXT


class Clinging(DyingViews):
    """Views that delete nothing."""

    async def delete(self, collection: Collection, ids: Sequence[str]) -> None:
        raise Unavailable("the store", "test")


async def test_what_is_refused_is_refused_even_if_its_text_cannot_be_deleted(club: Club) -> None:
    views: Any = Clinging(club.wiring.store.views, Fuse(100))
    wiring = replace(club.wiring, remarks=Remarks(views, club.clock))
    with pytest.raises(InsufficientPoints):
        await too_much(wiring, TEXT)
    assert await texts(wiring) == [TEXT]
