"""Velocity of devices and payees."""

import asyncio

import pytest

from kit.clock import SECOND
from kit.errors import ServiceError
from services.points.domain.meters import (
    HOUR,
    MOST_ENTRIES,
    Count,
    Meter,
    MeterLimit,
    VelocityExceeded,
    apply,
    decide,
)
from services.points.rewards.meters import VelocityMeters, meter_owner
from services.points.rewards.wiring import Rewards
from tests.services.starting import START, TestClock

LIMIT = MeterLimit(hours=24, count=3, points=1_000)


def count(points: int, now: int, *limits: MeterLimit) -> Count:
    return Count("device", "r", points, now, limits or (LIMIT,))


def filled(*requests: tuple[int, int]) -> Meter:
    """A meter after requests of (time, points)."""
    state = Meter()
    for at, points in requests:
        state = apply(state, decide(Meter(), count(points, at)), at)
    return state


def test_the_count_within_a_window_is_limited_and_says_when_again() -> None:
    state = filled((START, 10), (START + HOUR, 10), (START + 2 * HOUR, 10))
    with pytest.raises(VelocityExceeded) as refused:
        decide(state, count(10, START + 24 * HOUR - SECOND))
    assert (refused.value.kind, refused.value.code) == ("too_many", "device_velocity")
    assert refused.value.message == (
        "Too many requests for this device: at most 3 within 24 hours. "
        "Possible again at 2026-01-02T00:00:00Z."
    )
    assert refused.value.facts == {
        "meter": "device",
        "limited": "requests",
        "limit": 3,
        "used": 3,
        "window_hours": 24,
        "possible_again_at": "2026-01-02T00:00:00Z",
        "retry_after_seconds": 1,
    }
    assert decide(state, count(10, START + 24 * HOUR)).points == 10


def test_the_points_within_a_window_are_limited_and_free_as_they_leave_it() -> None:
    state = filled((START, 400), (START + HOUR, 500))
    with pytest.raises(VelocityExceeded) as refused:
        decide(state, count(500, START + 2 * HOUR))
    facts = refused.value.facts
    assert (facts["limited"], facts["limit"], facts["used"]) == ("points", 1_000, 900)
    assert facts["possible_again_at"] == "2026-01-02T00:00:00Z"
    with pytest.raises(VelocityExceeded) as refused:
        decide(state, count(501, START + 2 * HOUR))
    assert refused.value.facts["possible_again_at"] == "2026-01-02T01:00:00Z"


def test_more_points_than_ever_allowed_is_refused_for_good() -> None:
    with pytest.raises(ServiceError) as refused:
        decide(Meter(), count(1_001, START))
    assert (refused.value.kind, refused.value.code) == ("refused", "device_points_limit")


def test_a_meter_stays_bounded_and_its_clock_never_goes_back() -> None:
    state = Meter()
    for n in range(MOST_ENTRIES + 7):
        state = apply(state, decide(Meter(), count(1, START)), START + n)
    assert (len(state.at), state.at[0]) == (MOST_ENTRIES, START + 7)
    assert apply(state, decide(Meter(), count(1, START)), START).at[-1] == state.at[-1]


def test_a_limit_beyond_what_a_meter_remembers_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="1 to 500"):
        MeterLimit(hours=1, count=501)


async def test_of_many_requests_at_once_as_many_pass_as_may(several: list[Rewards]) -> None:
    limit = MeterLimit(hours=1, count=20)
    meters = [VelocityMeters(each.meters.streams, each.clock, (limit,), ()) for each in several]
    ends = await asyncio.gather(
        *(meters[n % 2].count("device", "phone", f"r{n}", 5) for n in range(30)),
        return_exceptions=True,
    )
    refused = [end for end in ends if isinstance(end, VelocityExceeded)]
    assert [end for end in ends if isinstance(end, Exception) and end not in refused] == []
    assert (len(refused), len(ends) - len(refused)) == (10, 20)


async def test_the_same_request_counts_once_and_other_points_under_its_key_are_refused(
    rewards: Rewards, clock: TestClock
) -> None:
    meters = VelocityMeters(rewards.meters.streams, clock, (), (LIMIT,))
    for _ in range(5):
        await meters.count("payee", "M2", "r1", 5)
    await meters.count("payee", "M2", "r2", 5)
    await meters.count("payee", "M2", "r3", 5)
    await meters.count("payee", "M2", "r1", 5)
    with pytest.raises(ServiceError, match="idempotency_key_reused"):
        await meters.count("payee", "M2", "r1", 6)
    await meters.count("payee", "M3", "r1", 6)
    with pytest.raises(VelocityExceeded):
        await meters.count("payee", "M2", "r4", 5)
    assert await rewards.meters_journal.head(f"meter:{meter_owner('payee', 'M2')}") == 3


async def test_no_device_stands_in_the_journal(rewards: Rewards) -> None:
    await rewards.meters.count("device", "IMEI-123456", "r1", 5)
    found = [fact async for page in rewards.meters_journal.scan() for fact in page]
    assert len(found) == 1
    assert "123456" not in str(found)
