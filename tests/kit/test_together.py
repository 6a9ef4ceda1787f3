"""Commands that travel together: who goes with whom, and who hears of which fault."""

import asyncio

import pytest

from kit.errors import Unavailable
from kit.mongo.together import Together


class Work:
    """Doubles numbers when it is let; remembers what it was given at a time."""

    def __init__(self) -> None:
        self.given: list[list[int]] = []
        self.go = asyncio.Event()
        self.together = Together(self, abs, most=100)

    async def __call__(self, numbers: list[int]) -> list[int]:
        self.given.append(numbers)
        await self.go.wait()
        if -1 in numbers:
            raise ValueError("not that one")
        if -2 in numbers:
            raise Unavailable("the store", "is away")
        return [2 * number for number in numbers]

    async def ask(self, *numbers: int) -> list["asyncio.Task[int]"]:
        """Have each asked for by a caller of its own; they are on their way on return."""
        tasks = [asyncio.create_task(self.together(number)) for number in numbers]
        for _ in range(3):
            await asyncio.sleep(0)
        return tasks


@pytest.fixture
async def work() -> Work:
    return Work()


async def test_nobody_waits_for_company(work: Work) -> None:
    await work.ask(1)
    assert work.given == [[1]]


async def test_what_comes_while_a_command_is_under_way_goes_with_the_next(work: Work) -> None:
    callers = [*await work.ask(1), *await work.ask(2), *await work.ask(3, 4)]
    assert work.given == [[1]]
    work.go.set()
    assert await asyncio.gather(*callers) == [2, 4, 6, 8]
    assert work.given == [[1], [2, 3, 4]]


async def test_a_command_takes_no_more_than_it_may_but_always_somebody(work: Work) -> None:
    callers = [*await work.ask(1), *await work.ask(60, 40, 1, 500, 2)]
    work.go.set()
    assert await asyncio.gather(*callers) == [2, 120, 80, 2, 1000, 4]
    assert work.given == [[1], [60, 40], [1], [500], [2]]


async def test_the_fault_of_one_is_not_anothers(work: Work) -> None:
    callers = await work.ask(3, -1, 4)
    work.go.set()
    answers = await asyncio.gather(*callers, return_exceptions=True)
    assert [str(answer) for answer in answers] == ["6", "not that one", "8"]
    assert work.given == [[3, -1, 4], [3], [-1], [4]]


async def test_an_outage_is_everybodys_and_not_tried_again(work: Work) -> None:
    callers = await work.ask(3, -2)
    work.go.set()
    faults = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(fault) for fault in faults] == [Unavailable, Unavailable]
    assert work.given == [[3, -2]]
    assert await work.together(5) == 10


async def test_who_goes_away_takes_nobody_along(work: Work) -> None:
    callers = [*await work.ask(1, 2), *await work.ask(3, 4)]
    callers[0].cancel()
    callers[3].cancel()
    work.go.set()
    assert await asyncio.gather(*callers[1:3]) == [4, 6]
    assert work.given == [[1, 2], [3]]


async def test_nobody_is_left_waiting_when_the_work_is_cancelled(work: Work) -> None:
    callers = [*await work.ask(1), *await work.ask(2)]
    for task in work.together._under_way:
        task.cancel()
    answers = await asyncio.wait_for(asyncio.gather(*callers, return_exceptions=True), 1)
    assert [type(answer) for answer in answers] == [asyncio.CancelledError] * 2
