"""A member sees when a bonus unlocks, and how much of it is still to come."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kit.auth import LocalIssuer
from kit.clock import DAY
from kit.settings import StoreSettings
from tests.services.points.club import Club, club_on
from tests.services.starting import TestClock

RULES = """
points:
  lots:
    - wallet: base
      vesting: { name: quarter, instalments: 3, months: 1, when: "period.activities >= 0" }
"""
CALENDAR = "/v1/members/M1/points/calendar"


@pytest.fixture
async def bonus(
    tmp_path: Path, store: StoreSettings, clock: TestClock, issuer: LocalIssuer
) -> AsyncIterator[Club]:
    async for opened in club_on(store, tmp_path, clock, issuer, RULES):
        yield opened


async def schedule(club: Club) -> list[tuple[str, list[tuple[str, int]]]]:
    """What base points vest, by rule: days and points."""
    (base,) = [w for w in (await club.get("M1", CALENDAR))["wallets"] if w["wallet"] == "base"]
    assert base["opening"] == []
    return [
        (each["rule"], [(one["at"][:10], one["points"]) for one in each["unlocks"]])
        for each in base["vesting"]
    ]


async def test_a_schedule_is_shown_and_grows_shorter_as_it_unlocks(bonus: Club) -> None:
    bonus.clock.now = DAY
    await bonus.earn("M1", 100)
    ((_, promised),) = await schedule(bonus)
    assert [points for _, points in promised] == [34, 33, 33]
    bonus.clock.now += 35 * DAY
    assert await schedule(bonus) == [("quarter", promised[1:])]
    assert await bonus.balance("M1") == 34
