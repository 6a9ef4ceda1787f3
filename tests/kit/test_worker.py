"""The worker: it waits for its store, drains in order, and goes down with a task that dies."""

import asyncio
from dataclasses import dataclass, field

import httpx
import pytest
from structlog.testing import capture_logs

from kit.errors import BrokenInvariant, Unavailable
from kit.settings import HttpSettings
from kit.worker import Duty, Task, Worker


@dataclass
class Recorder:
    """A task that notes what happens to it; ``story`` is shared."""

    name: str
    story: list[str]
    finish_seconds: float = 0.0
    error: Exception | None = None
    age: float = 0.0
    turned: asyncio.Event = field(default_factory=asyncio.Event)

    def age_seconds(self) -> float:
        return self.age

    async def run(self, stop: asyncio.Event) -> None:
        self.story.append(f"{self.name} runs")
        self.turned.set()
        if self.error is not None:
            raise self.error
        await stop.wait()
        await asyncio.sleep(self.finish_seconds)
        self.story.append(f"{self.name} has finished")


def worker(tasks: list[Task], story: list[str], http: HttpSettings | None = None) -> Worker:
    async def opens() -> None:
        story.append("opens")

    async def closes() -> None:
        story.append("closes")

    return Worker("tests-worker", tasks, opens, closes, http, longest_drain_seconds=0.2)


async def test_told_to_stop_it_lets_tasks_finish_and_then_closes() -> None:
    story: list[str] = []
    task, stop = Recorder("consumer", story, finish_seconds=0.02), asyncio.Event()
    running = asyncio.create_task(worker([task], story).run(stop))
    await task.turned.wait()
    stop.set()
    await running
    assert story == ["opens", "consumer runs", "consumer has finished", "closes"]


async def test_a_task_that_takes_too_long_to_finish_is_cut_off() -> None:
    story: list[str] = []
    task, stop = Recorder("consumer", story, finish_seconds=60), asyncio.Event()
    running = asyncio.create_task(worker([task], story).run(stop))
    await task.turned.wait()
    stop.set()
    with capture_logs() as logs:
        await asyncio.wait_for(running, 5)
    assert story == ["opens", "consumer runs", "closes"]
    assert [it["event"] for it in logs] == ["worker_task_cut_off"]


async def test_a_task_that_dies_takes_the_worker_down_after_the_others_have_finished() -> None:
    story: list[str] = []
    error = BrokenInvariant("odd", "this cannot be")
    tasks: list[Task] = [Recorder("consumer", story), Recorder("relay", story, error=error)]
    with capture_logs() as logs, pytest.raises(BrokenInvariant):
        await asyncio.wait_for(worker(tasks, story).run(asyncio.Event()), 5)
    assert story[-2:] == ["consumer has finished", "closes"]
    assert (logs[0]["event"], logs[0]["task"]) == ("worker_task_died", "relay")


async def test_a_task_that_ends_untold_takes_the_worker_down() -> None:
    class Ends(Recorder):
        async def run(self, stop: asyncio.Event) -> None:
            return

    with capture_logs(), pytest.raises(RuntimeError, match="relay ended though nobody told it"):
        await asyncio.wait_for(worker([Ends("relay", [])], []).run(asyncio.Event()), 5)


async def test_it_waits_for_a_store_that_is_not_there_yet() -> None:
    attempts: list[int] = []
    stop = asyncio.Event()

    async def opens() -> None:
        attempts.append(1)
        if len(attempts) == 1:
            raise Unavailable("the store", "it is starting")
        stop.set()

    async def closes() -> None: ...

    with capture_logs() as logs:
        await asyncio.wait_for(Worker("w", [], opens, closes).run(stop), 5)
    assert len(attempts) == 2
    assert [it["event"] for it in logs] == ["worker_waits"]


async def test_probes_are_answered_and_a_task_that_stands_still_is_not_live(
    unused_tcp_port: int,
) -> None:
    story: list[str] = []
    task, stop = Recorder("consumer", story, finish_seconds=0.1), asyncio.Event()
    http = HttpSettings("127.0.0.1", unused_tcp_port, 0, "warning")
    running = asyncio.create_task(worker([task], story, http).run(stop))
    await task.turned.wait()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{unused_tcp_port}") as client:
        assert await answer(client, "/health/live") == (200, {"status": "ok"})
        assert (await answer(client, "/health/ready"))[0] == 200
        task.age = 3600
        status, body = await answer(client, "/health/live")
        assert (status, list(body["failed"])) == (503, ["consumer"])
        task.age = 0
        stop.set()
        assert await answer(client, "/health/ready") == (
            503,
            {"status": "failing", "failed": {"process": "is draining"}},
        )
    await running


async def answer(client: httpx.AsyncClient, path: str) -> tuple[int, dict[str, object]]:
    """The answer to a probe, waiting for the door to open."""
    for _ in range(200):
        try:
            response = await client.get(path)
        except httpx.ConnectError:
            await asyncio.sleep(0.02)
        else:
            return response.status_code, response.json()
    raise AssertionError("nobody opens")


async def test_a_duty_is_done_again_and_again_and_put_off_while_the_store_is_out() -> None:
    done: list[int] = []
    stop = asyncio.Event()

    async def work() -> None:
        done.append(1)
        if len(done) == 1:
            raise Unavailable("the store", "it is being restarted")
        if len(done) == 3:
            stop.set()

    with capture_logs() as logs:
        await asyncio.wait_for(Duty("expire", work, 0.001).run(stop), 5)
    assert len(done) == 3
    assert [it["event"] for it in logs] == ["duty_put_off"]


async def test_a_duty_that_has_more_to_do_goes_on_at_once() -> None:
    done: list[int] = []
    stop = asyncio.Event()

    async def work() -> bool:
        done.append(1)
        if len(done) == 3:
            stop.set()
        return len(done) < 3

    await asyncio.wait_for(Duty("expire", work, 60).run(stop), 5)
    assert len(done) == 3


async def test_a_duty_ages_while_it_works_and_not_while_it_rests() -> None:
    stop, goes_on = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await goes_on.wait()

    duty = Duty("reports", work, 3_600)
    running = asyncio.create_task(duty.run(stop))
    await asyncio.sleep(0.01)
    assert duty.age_seconds() >= 0.01
    goes_on.set()
    await asyncio.sleep(0.01)
    assert duty.age_seconds() == 0
    stop.set()
    await asyncio.wait_for(running, 5)
