"""Bells: heard by those who listen, in whatever process; nothing is left of those who died."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from kit.sqlite.bell import Bell


@pytest.fixture
async def hang(tmp_path: Path) -> AsyncIterator[Callable[[str], Bell]]:
    """Makes bells of files of one directory."""
    bells: list[Bell] = []

    def make(name: str) -> Bell:
        bells.append(Bell(tmp_path / f"{name}.db"))
        return bells[-1]

    yield make
    for bell in bells:
        bell.close()


Hang = Callable[[str], Bell]


def pipes(directory: Path, name: str = "facts") -> list[Path]:
    return sorted((directory / "bells" / name).iterdir())


async def heard_by(bell: Bell, ring: Callable[[], None]) -> bool:
    """Whether it hears what is rung now, in good time."""
    event = asyncio.Event()
    bell.listen(event.set)
    ring()
    try:
        async with asyncio.timeout(1):
            await event.wait()
    except TimeoutError:
        return False
    finally:
        bell.leave(event.set)
    return True


def _nothing() -> None:
    pass


async def test_a_ring_is_heard_by_all_others_of_the_file_and_here(hang: Hang) -> None:
    bells = [hang("facts") for _ in range(3)]
    heard: list[int] = []
    for number, bell in enumerate(bells):
        bell.listen(lambda number=number: heard.append(number))
    bells[0].ring()
    assert heard == [0]
    await asyncio.sleep(0.05)
    assert sorted(heard) == [0, 1, 2]


async def test_the_bell_of_another_file_is_silent(hang: Hang) -> None:
    other = hang("others")
    heard: list[str] = []
    other.listen(lambda: heard.append("others"))
    assert await heard_by(hang("facts"), hang("facts").ring)
    assert heard == []


async def test_rings_of_one_moment_reach_others_as_one(hang: Hang, tmp_path: Path) -> None:
    here, idle = hang("facts"), hang("facts")
    idle.listen(_nothing)
    idle.leave(_nothing)
    for _ in range(5):
        here.ring()
    await asyncio.sleep(0.02)
    end = os.open(*pipes(tmp_path), os.O_RDONLY | os.O_NONBLOCK)
    assert os.read(end, 100) == b"!"
    os.close(end)


async def test_a_newcomer_is_heard_of_though_the_directory_bears_the_time_of_the_last(
    hang: Hang, tmp_path: Path
) -> None:
    here, first, second = hang("facts"), hang("facts"), hang("facts")
    assert await heard_by(first, here.ring)
    directory = tmp_path / "bells" / "facts"
    before = directory.stat().st_mtime_ns
    second.listen(_nothing)
    os.utime(directory, ns=(before, before))
    assert await heard_by(second, here.ring)


async def test_who_has_left_is_not_woken_and_hears_later_that_it_rang(hang: Hang) -> None:
    here, there = hang("facts"), hang("facts")
    heard: list[str] = []

    def hear() -> None:
        heard.append("ring")

    there.listen(hear)
    there.leave(hear)
    here.ring()
    await asyncio.sleep(0.02)
    assert heard == []
    there.listen(hear)
    await asyncio.sleep(0.02)
    assert heard == ["ring"]


async def test_a_pipe_that_is_full_holds_nobody_up(hang: Hang, tmp_path: Path) -> None:
    here, idle, listening = hang("facts"), hang("facts"), hang("facts")
    idle.listen(_nothing)
    idle.leave(_nothing)
    (pipe,) = pipes(tmp_path)
    end = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while True:
            os.write(end, bytes(4_096))
    assert await heard_by(listening, here.ring)
    assert len(pipes(tmp_path)) == 2, "a full pipe is no dead one"
    os.close(end)


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator["subprocess.Popen[str]"]:
    process = start_listener(tmp_path / "facts.db")
    assert await said(process) == "listening"
    yield process
    process.kill()
    process.communicate()


def start_listener(file: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.kit.sqlite.listener", str(file)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    async with asyncio.timeout(20):
        return (await asyncio.to_thread(process.stdout.readline)).strip()


async def test_another_process_hears(hang: Hang, listener: "subprocess.Popen[str]") -> None:
    hang("facts").ring()
    assert await said(listener) == "heard"


@pytest.mark.parametrize("known", [True, False])
async def test_what_a_killed_process_leaves_is_cleared_away(
    hang: Hang, listener: "subprocess.Popen[str]", tmp_path: Path, known: bool
) -> None:
    here = hang("facts")
    if known:
        here.ring()
        assert await said(listener) == "heard"
    listener.send_signal(signal.SIGKILL)
    await asyncio.to_thread(listener.wait)
    assert len(pipes(tmp_path)) == 1
    here.ring()
    await asyncio.sleep(0.02)
    assert pipes(tmp_path) == []


async def test_a_closed_bell_leaves_nothing_behind_and_its_last_ring_is_heard(
    hang: Hang, tmp_path: Path
) -> None:
    here, there = hang("facts"), hang("facts")

    def ring_and_close() -> None:
        here.ring()
        here.close()

    here.listen(_nothing)
    assert len(pipes(tmp_path)) == 1
    assert await heard_by(there, ring_and_close)
    there.close()
    assert pipes(tmp_path) == []


async def test_a_closed_bell_holds_no_pipe_of_others(hang: Hang) -> None:
    here, there = hang("facts"), hang("facts")
    heard: list[str] = []
    there.listen(lambda: heard.append("ring"))
    here.close()
    here.ring()
    await asyncio.sleep(0.02)
    assert heard == []


async def test_two_event_loops_of_one_process_hear_each_other(hang: Hang, tmp_path: Path) -> None:
    here = hang("facts")

    async def ring() -> None:
        there = Bell(tmp_path / "facts.db")
        there.ring()
        await asyncio.sleep(0)
        there.close()

    thread = threading.Thread(target=lambda: asyncio.run(ring()))
    assert await heard_by(here, thread.start)
    await asyncio.to_thread(thread.join)


def test_a_bell_that_goes_on_in_another_event_loop_is_heard(tmp_path: Path) -> None:
    here = Bell(tmp_path / "facts.db")

    async def ring_and_listen() -> bool:
        there = Bell(tmp_path / "facts.db")
        heard = await heard_by(there, here.ring)
        there.close()
        return heard

    loop = asyncio.new_event_loop()
    loop.call_soon(here.ring)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    assert asyncio.run(ring_and_listen())
    here.close()


async def test_where_no_pipe_can_be_made_nobody_can_ring(hang: Hang, tmp_path: Path) -> None:
    (tmp_path / "bells").touch()
    here = hang("facts")
    here.listen(_nothing)
    assert not here.audible
    hang("facts").ring()
    await asyncio.sleep(0)
