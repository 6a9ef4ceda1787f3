"""The reports keep themselves fresh: once an hour, by one worker, alerts raised once."""

import asyncio
from uuid import uuid4

import pytest
import structlog
from prometheus_client import REGISTRY

from kit.clock import SECOND
from kit.views.lease import LEASES, Lease
from services.points.reports.documents import AlertsReport, MovementReport, read
from services.points.reports.wiring import Reports
from tests.services.points.reports.conftest import NOW, book, small_ledger
from tests.services.points.reports.histories import moment
from tests.services.starting import TestClock

HOUR = 3_600 * SECOND


async def _look(reports: Reports, *, stopped: bool = False) -> bool:
    stop = asyncio.Event()
    if stopped:
        stop.set()
    return await reports.task().look(stop)


async def test_the_first_look_makes_the_reports_and_later_ones_wait_an_hour(
    reports: Reports, clock: TestClock
) -> None:
    assert await _look(reports) is True
    clock.now += HOUR - 1
    assert await _look(reports) is False
    clock.now += 1
    assert await _look(reports) is True
    report = await read(reports.views, "movement-value", MovementReport)
    assert report is not None
    assert (report.as_of, [row.closing for row in report.rows]) == (NOW + HOUR, [100, 120, 240])


async def test_while_another_worker_refreshes_nobody_else_does(
    reports: Reports, clock: TestClock
) -> None:
    other = Lease(reports.views, LEASES, "reports", uuid4().hex, 60, clock)
    assert await other.acquire()
    assert await _look(reports) is False
    await other.release()
    assert await _look(reports) is True


async def test_a_worker_that_is_told_to_stop_leaves_in_the_middle_of_a_pass(
    reports: Reports,
) -> None:
    assert await _look(reports, stopped=True) is False
    assert await read(reports.views, "alerts", AlertsReport) is None
    assert await _look(reports) is True


async def test_it_goes_round_until_told_to_stop(reports: Reports) -> None:
    task, stop = reports.task(), asyncio.Event()
    running = asyncio.create_task(task.run(stop))
    while await read(reports.views, "alerts", AlertsReport) is None:
        await asyncio.sleep(0.01)
    assert task.age_seconds() < 5
    stop.set()
    await asyncio.wait_for(running, 5)


async def test_a_day_above_the_limit_is_logged_counted_and_listed_once(
    reports: Reports, clock: TestClock
) -> None:
    history = small_ledger()
    history.adjust("A", "gift", 31, NOW - 1, "compensation")
    await book(reports, history)
    counted = _metric("mooring_points_alerts_total", kind="issuance", wallet="base")
    with structlog.testing.capture_logs() as logs:
        assert await _look(reports)
        clock.now += HOUR
        assert await _look(reports)
    raised = [line for line in logs if line["event"] == "points_alert"]
    assert raised == [
        {
            "event": "points_alert",
            "log_level": "warning",
            "kind": "issuance",
            "when": "2026-03-10",
            "wallet": "base",
            "by_value": 151,
            "by_booking": 151,
            "limit": 150,
        }
    ]
    assert _metric("mooring_points_alerts_total", kind="issuance", wallet="base") == counted + 1
    assert _metric("mooring_points_net_issuance", wallet="base", by="booking") == 151
    assert _metric("mooring_points_net_issuance_limit") == 150
    report = await read(reports.views, "alerts", AlertsReport)
    assert report is not None
    assert [(alert.when, alert.noticed_at) for alert in report.alerts] == [("2026-03-10", NOW)]


@pytest.mark.parametrize(("points", "alerts"), [(30, 0), (31, 1)])
async def test_the_limit_itself_is_allowed(reports: Reports, points: int, alerts: int) -> None:
    history = small_ledger()
    history.adjust("A", "gift", points, NOW - 1, "adjustment")
    await book(reports, history)
    assert len((await reports.fresh()).alerts.alerts) == alerts


async def test_points_booked_today_for_the_past_alert_by_booking(reports: Reports) -> None:
    history = small_ledger()
    history.earn("C", 200, moment(2026, 1, 3), booked=NOW - 1)
    await book(reports, history)
    alerts = {alert.when: alert for alert in (await reports.fresh()).alerts.alerts}
    assert (alerts["2026-03-10"].by_value, alerts["2026-03-10"].by_booking) == (120, 320)
    assert (alerts["2026-01-03"].by_value, alerts["2026-01-03"].by_booking) == (200, 0)


def _metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0
