"""Waiting for files: at once when a bell rings, soon when none does, never for ever."""

import asyncio
import time
from pathlib import Path

import pytest

from kit.errors import Unavailable
from kit.sqlite.bell import Bell
from kit.sqlite.watch import LOOK_SECONDS, running_watch


class File:
    """A file whose version the test turns; ``None``: it cannot be read."""

    def __init__(self, bell: Bell | None = None) -> None:
        self.bell = bell
        self.number: int | None = 1
        self.looks = 0

    def version(self) -> int:
        self.looks += 1
        if self.number is None:
            raise Unavailable("the file", "gone")
        return self.number


async def waited(file: File, timeout: float = 10.0) -> float:
    """Wait for news after version 1; return how long it took."""
    start = time.monotonic()
    await running_watch().wait({file: 1}, timeout)
    return time.monotonic() - start


async def test_what_is_new_already_is_not_waited_for() -> None:
    file = File()
    file.number = 2
    assert await waited(file) < 0.05


async def test_time_runs_out() -> None:
    file = File()
    assert 0.02 <= await waited(file, timeout=0.02) < 0.5
    assert file.looks == 1


async def test_a_ring_ends_the_wait(tmp_path: Path) -> None:
    file, there = File(Bell(tmp_path / "f.db")), Bell(tmp_path / "f.db")
    assert file.bell is not None
    took = []
    for _ in range(5):
        file.number = 1
        waiting = asyncio.create_task(waited(file))
        await asyncio.sleep(0.001)
        file.number = 2
        there.ring()
        took.append(await waiting)
    file.bell.close()
    there.close()
    assert min(took) < LOOK_SECONDS / 4


async def test_a_ring_without_news_does_not(tmp_path: Path) -> None:
    file = File(Bell(tmp_path / "f.db"))
    assert file.bell is not None
    asyncio.get_running_loop().call_later(0.01, file.bell.ring)
    assert await waited(file, timeout=0.05) >= 0.05
    assert file.looks == 2
    file.bell.close()


async def test_a_lost_ring_costs_one_look(tmp_path: Path) -> None:
    file = File(Bell(tmp_path / "f.db"))
    assert file.bell is not None
    asyncio.get_running_loop().call_later(0.01, setattr, file, "number", 2)
    assert 0.01 <= await waited(file) < 2 * LOOK_SECONDS + 0.3
    assert file.looks <= 3
    file.bell.close()


async def test_without_bells_it_looks_often(tmp_path: Path) -> None:
    (tmp_path / "bells").touch()
    file = File(Bell(tmp_path / "f.db"))
    await waited(file, timeout=LOOK_SECONDS)
    assert file.looks > 4


async def test_all_who_wait_share_one_timer(tmp_path: Path) -> None:
    bell = Bell(tmp_path / "f.db")
    files = [File(bell) for _ in range(5)]
    await asyncio.gather(*(waited(file, timeout=1.5 * LOOK_SECONDS) for file in files))
    assert {file.looks for file in files} == {2}
    assert running_watch()._timer is None, "nobody waits any more"
    bell.close()


async def test_what_cannot_be_read_is_said_to_who_waits() -> None:
    file = File()
    waiting = asyncio.create_task(waited(file))
    await asyncio.sleep(0)
    file.number = None
    with pytest.raises(Unavailable):
        await waiting


async def test_who_goes_away_is_forgotten(tmp_path: Path) -> None:
    bell = Bell(tmp_path / "f.db")
    file = File(bell)
    waiting = asyncio.create_task(waited(file))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    bell.ring()
    assert file.looks == 1
    assert bell._listeners == set()
    bell.close()


def test_each_event_loop_has_its_own_watch() -> None:
    async def twice() -> bool:
        return running_watch() is running_watch()

    async def watch() -> object:
        return running_watch()

    assert asyncio.run(twice())
    one, other = (asyncio.run(watch()) for _ in range(2))
    assert one is not other
