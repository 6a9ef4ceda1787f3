"""A day of the programme is what its own clocks say, whatever they do."""

import random
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from kit.clock import SECOND
from services.points.domain.terms import local_day
from services.points.reports.walk import Days

ODD_DAYS = [
    ("Europe/London", date(2026, 3, 29)),  # three local days begin or end within a day of UTC
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("America/Sao_Paulo", date(2018, 11, 4)),  # the day begins at 01:00
    ("Asia/Kathmandu", date(2026, 1, 1)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("Africa/Cairo", date(2023, 10, 27)),  # its last hour comes twice
    ("Pacific/Apia", date(2011, 12, 31)),  # the day before it did not take place
]


@pytest.mark.parametrize(("name", "day"), ODD_DAYS)
def test_every_quarter_of_an_hour_around_a_change_falls_on_the_local_day(
    name: str, day: date
) -> None:
    zone = ZoneInfo(name)
    days = Days(zone)
    noon = int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp())
    wrong = [
        quarter
        for quarter in range(-192, 193)
        for at in ((noon + quarter * 900) * SECOND, (noon + quarter * 900) * SECOND - 1)
        if days.ordinal(at) != local_day(zone, at).toordinal()
    ]
    assert wrong == []


def test_where_midnight_strikes_twice_the_day_begins_with_the_first() -> None:
    days = Days(ZoneInfo("America/St_Johns"))
    midnight = datetime(2010, 11, 7, 2, 30, tzinfo=UTC)  # a minute later it is 23:01 again
    first = int(midnight.timestamp()) * SECOND
    hours = [days.ordinal(first + minute * 60 * SECOND) for minute in (-1, 0, 30, 59, 61)]
    assert [ordinal - hours[0] for ordinal in hours] == [0, 1, 1, 1, 1]


def test_times_in_any_order_of_a_year_fall_on_their_days() -> None:
    zone, chance = ZoneInfo("Europe/Berlin"), random.Random(3)
    days = Days(zone)
    for _ in range(5_000):
        at = chance.randrange(1_767_225_600, 1_798_761_600) * SECOND
        assert days.ordinal(at) == local_day(zone, at).toordinal()
    assert days.month(1_767_222_000 * SECOND - 1) == "2025-12"
    assert days.month(1_767_222_000 * SECOND) == "2026-01"
