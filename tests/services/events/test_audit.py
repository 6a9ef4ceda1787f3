"""The audit of activities and decisions on a store that moves while it is walked."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, cast

from kit.audit import Verdict
from kit.bus.port import Bus
from services.events import audit
from services.events.settings import WorkerSettings
from services.events.views import DECIDING, recording
from services.events.wiring import Wiring
from tests.services.events.test_worker import at_work, decided, purchase, record, say_cards


@dataclass
class Overtaken:
    """A journal or views; before each read of it the world goes on."""

    inner: Any
    go_on: Callable[[], Awaitable[None]]

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.inner, name)
        if name not in ("load", "read", "read_many", "head"):
            return call

        async def later(*arguments: Any, **named: Any) -> Any:
            await self.go_on()
            return await call(*arguments, **named)

        return later


async def test_a_worker_that_goes_on_between_any_two_reads_breaks_nothing(
    settings: WorkerSettings, bus: Bus, wiring: Wiring
) -> None:
    done = 0

    async def go_on() -> None:
        nonlocal done
        done += 1
        await record(wiring, [purchase(str(done), 100)])
        await say_cards(bus, wiring, ("M1",))
        await decided(wiring, ("M1",))
        await wiring.recording.rebuild()

    async with at_work(settings):
        await go_on()
        views = Overtaken(wiring.store.views, go_on)
        moving = replace(
            wiring,
            activities=cast(Any, Overtaken(wiring.activities, go_on)),
            decisions=cast(Any, Overtaken(wiring.decisions, go_on)),
            store=cast(Any, SimpleNamespace(views=views)),
            recording=recording(wiring.activities, cast(Any, views), wiring.clock),
        )
        verdict = await audit.examine(moving)
    assert done > 5
    assert verdict.findings == []
    assert await audit.examine(wiring) == Verdict()


async def test_activities_that_nobody_has_decided_yet_are_unsettled_and_not_broken(
    settings: WorkerSettings, bus: Bus, wiring: Wiring
) -> None:
    await record(wiring, [purchase("1", 100)])
    async with at_work(settings):
        await say_cards(bus, wiring, ("M1",))
        await decided(wiring, ("M1",))
    await record(wiring, [purchase("2", 200), purchase("3", 300)])
    assert await audit.examine(wiring) == Verdict(
        unsettled=["M1: not settled, 1 of 3 activities are decided"]
    )


async def test_activities_of_somebody_who_has_not_enrolled_wait_and_are_settled(
    settings: WorkerSettings, bus: Bus, wiring: Wiring
) -> None:
    await record(wiring, [purchase("1", 100)])
    assert (await audit.examine(wiring)).unsettled != []
    async with at_work(settings), asyncio.timeout(20):
        while (await audit.examine(wiring)).unsettled:
            await asyncio.sleep(0.02)
    assert await audit.examine(wiring) == Verdict()
    assert await wiring.decisions.head("decision:M1") == 0


async def test_progress_that_is_behind_has_time_to_catch_up_and_is_broken_only_then(
    settings: WorkerSettings, bus: Bus, wiring: Wiring
) -> None:
    await record(wiring, [purchase("1", 100)])
    async with at_work(settings):
        await say_cards(bus, wiring, ("M1",))
        await decided(wiring, ("M1",))
    progress = (await wiring.store.views.load(DECIDING, ["M1"]))["M1"]
    await wiring.store.views.delete(DECIDING, ["M1"])
    behind = "M1: 1 activities are decided, progress says 0"
    assert await audit.findings(wiring, patience_seconds=0.1) == [behind]

    async def catch_up() -> None:
        await asyncio.sleep(0.1)
        version_0 = type(progress)(progress.id, 0, progress.body, progress.index)
        assert await wiring.store.views.save(DECIDING, [version_0]) == []

    catching_up = asyncio.create_task(catch_up())
    verdict = await audit.examine(wiring)
    await catching_up
    assert verdict == Verdict(unsettled=[f"{behind}, but that has moved since"])


async def test_progress_and_snapshots_that_are_ahead_of_the_journals_are_broken_at_once(
    settings: WorkerSettings, bus: Bus, wiring: Wiring
) -> None:
    await record(wiring, [purchase(str(n), 100) for n in range(1, 3)])
    async with at_work(settings):
        await say_cards(bus, wiring, ("M1",))
        await decided(wiring, ("M1",))
    (document,) = (await wiring.store.views.load(DECIDING, ["M1"])).values()
    ahead = document.body.replace(b"[2,2,", b"[7,7,", 1)
    assert ahead != document.body
    changed = type(document)("M1", document.version, ahead, document.index)
    assert await wiring.store.views.save(DECIDING, [changed]) == []
    await wiring.recording.rebuild()
    (snapshot,) = (await wiring.store.views.load(wiring.recording.collection, ["M1"])).values()
    other = type(snapshot)("M1", snapshot.version, snapshot.body.replace(b'"seq":2', b'"seq":9', 1))
    assert await wiring.store.views.save(wiring.recording.collection, [other]) == []
    assert await audit.findings(wiring, patience_seconds=0) == [
        "M1: the snapshot at 9 is not its fold",
        "M1: 2 activities are decided, progress says 7",
    ]
