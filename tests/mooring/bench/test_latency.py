"""The steady load keeps to its appointments, and what is late counts."""

import asyncio
import time
from collections import Counter

from mooring.bench.latency import EMBEDDED, FOLLOW_ONE_IN, Seen, result_of, steadily

ANSWER_SECONDS, VISIBLE_SECONDS = 0.1, 0.03
PURCHASES = 40


class SlowTill:
    """Accepts after a while, and shows a purchase a while later."""

    ask_every_seconds = 0.002

    def __init__(self) -> None:
        self.accepted: Counter[str] = Counter()
        self.begun: list[float] = []
        self.moments: list[tuple[float, str]] = []

    async def buy(self, member: str) -> bool:
        self.begun.append(time.perf_counter())
        await asyncio.sleep(ANSWER_SECONDS)
        self.accepted[member] += 1
        self.moments.append((time.perf_counter(), member))
        return True

    async def entries(self, member: str) -> int:
        limit = time.perf_counter() - VISIBLE_SECONDS
        return sum(who == member and when <= limit for when, who in self.moments)


async def test_a_slow_answer_holds_no_purchase_back() -> None:
    till = SlowTill()
    await steadily(till, ["f1", "f2"], ["o1"], rate=200.0, seconds=PURCHASES / 200)
    assert till.accepted == {"f1": 2, "f2": 2, "o1": PURCHASES - 4}
    assert till.begun[-1] - till.begun[0] < PURCHASES * ANSWER_SECONDS / 4


async def test_one_in_ten_is_followed_from_its_acceptance_until_it_is_visible() -> None:
    till = SlowTill()
    seen = await steadily(till, ["f1", "f2"], ["o1"], rate=200.0, seconds=PURCHASES / 200)
    assert len(seen.accepted) == PURCHASES
    assert min(seen.accepted) >= ANSWER_SECONDS
    assert len(seen.visible) == PURCHASES / FOLLOW_ONE_IN
    assert min(seen.visible) >= VISIBLE_SECONDS
    assert seen.lost == 0


class FullTill(SlowTill):
    """Has no room for every second purchase."""

    asked = 0

    async def buy(self, member: str) -> bool:
        self.asked += 1
        return self.asked % 2 == 0 and await super().buy(member)


async def test_a_purchase_that_is_refused_counts_as_lost() -> None:
    seen = await steadily(FullTill(), ["f1"], ["o1"], rate=200.0, seconds=10 / 200)
    assert (len(seen.accepted), seen.lost) == (5, 5)


def test_what_was_never_visible_counts_as_infinitely_late() -> None:
    seen = Seen(accepted=[0.004] * 100, visible=[0.010] * 98, lost=2)
    p50, p99, *_ = result_of(EMBEDDED, 400.0, seen, commit=0.001).figures
    assert (p50.value, p50.limit, p50.ratio) == (10.0, 5.0, 2.0)
    assert (p99.value, p99.ok) == (float("inf"), False)
