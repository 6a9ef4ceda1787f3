import asyncio
import time

import pytest

from gateway.deadlines import TICK_SECONDS, Deadlines


async def test_a_block_that_takes_too_long_ends_in_a_timeout():
    deadlines = Deadlines()
    began = time.monotonic()
    with pytest.raises(TimeoutError), deadlines.within(0.05):
        await asyncio.Event().wait()
    assert 0.05 <= time.monotonic() - began < 1
    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0


async def test_a_block_that_ends_in_time_is_left_alone():
    deadlines = Deadlines()
    with deadlines.within(0.02):
        await asyncio.sleep(0)
    await asyncio.sleep(0.02 + 3 * TICK_SECONDS)


async def test_each_task_has_its_own():
    deadlines = Deadlines()

    async def wait(seconds: float) -> str:
        try:
            with deadlines.within(seconds):
                await asyncio.sleep(0.15)
        except TimeoutError:
            return "late"
        return "done"

    assert await asyncio.gather(wait(0.03), wait(5), wait(0.06)) == ["late", "done", "late"]


async def test_a_cancellation_from_elsewhere_is_no_timeout():
    deadlines = Deadlines()
    inside = asyncio.Event()

    async def work() -> None:
        with deadlines.within(5):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_in_the_block_passes_through():
    deadlines = Deadlines()
    with pytest.raises(KeyError), deadlines.within(5):
        raise KeyError


async def test_the_timer_rests_while_nothing_is_open_and_wakes_again():
    deadlines = Deadlines()
    with deadlines.within(5):
        pass
    await asyncio.sleep(2 * TICK_SECONDS)
    assert not deadlines._ticking
    with pytest.raises(TimeoutError), deadlines.within(0.01):
        await asyncio.Event().wait()
