"""The load keeps to its appointments, and what is refused counts as infinitely late."""

import asyncio
import itertools
import math
import time

from mooring.bench.redemption import CONNECTED, EMBEDDED, Seen, appointed, result_of
from mooring.bench.watching import Usage

ANSWER_SECONDS = 0.1
REQUESTS, RATE = 40, 200


async def test_a_slow_answer_holds_no_request_back() -> None:
    begun: list[float] = []

    async def slow(number: int, moment: float) -> None:
        begun.append(time.perf_counter())
        await asyncio.sleep(ANSWER_SECONDS)

    await appointed(RATE, REQUESTS / RATE, slow)
    assert len(begun) == REQUESTS
    assert begun[-1] - begun[0] < REQUESTS * ANSWER_SECONDS / 4


async def test_time_counts_from_the_appointed_moment() -> None:
    moments: list[float] = []

    async def note(number: int, moment: float) -> None:
        moments.append(moment)

    await appointed(RATE, REQUESTS / RATE, note)
    steps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert all(math.isclose(step, 1 / RATE, abs_tol=1e-6) for step in steps)


def test_a_redemption_that_is_refused_counts_as_infinitely_late() -> None:
    seen = Seen(redeemed=[0.010] * 98 + [math.inf] * 2, read=[0.002] * 100, refused=[0.02], lost=2)
    alone = Seen(read=[0.011] * 100, lost_reads=1)
    result = result_of(EMBEDDED, alone, seen, Usage(cpu_seconds={"web": 0.2}), commit=0.001)
    figures = {figure.name: figure for figure in result.figures}
    p50, p99 = figures["redemption, p50"], figures["redemption, p99"]
    assert (p50.value, p50.limit) == (10.0, 2.0)
    assert (p99.value, p99.ok) == (math.inf, False)
    assert figures["balance read, p99"].ok is True
    assert figures["balance read alone, p99"].ok is False
    assert figures["CPU of web"].value == 2_000.0
    assert (result.details["lost"], result.details["lost_reads"]) == (2, 1)


def test_on_servers_a_redemption_may_take_longer() -> None:
    seen = Seen(redeemed=[0.060] * 100, read=[0.002] * 100, refused=[0.02])
    embedded, connected = (
        result_of(name, seen, seen, Usage(), commit=0.001).figures[1]
        for name in (EMBEDDED, CONNECTED)
    )
    assert (embedded.ok, connected.ok) == (False, True)
