"""Keeping the reports fresh: a worker's task that passes over the ledger once an hour.

It looks every half minute whether the reports are older than they may be, so that it goes round
as liveness demands and a restart does not refresh too early. Of several workers the one with the
lease does it. The pass rests as long as it works, so that posting keeps at least half of the core.
"""

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import uuid4

import structlog
from prometheus_client import Counter, Gauge

from kit.clock import SECOND, Clock
from kit.errors import ServiceError
from kit.journal.port import Journal
from kit.views.lease import LEASES, Lease
from kit.views.port import Views
from services.points.domain.terms import local_day
from services.points.reports.documents import (
    Alert,
    AlertsReport,
    Made,
    Terms,
    keep,
    make,
    read,
)
from services.points.reports.walk import walk

LOOK_SECONDS = 30.0
LEASE_SECONDS = 60.0
EVERY_SECONDS = 3_600

NET_ISSUANCE = Gauge(
    "mooring_points_net_issuance",
    "Points that came into being on the present business day, less those taken back.",
    ("wallet", "by"),
)
ISSUANCE_LIMIT = Gauge(
    "mooring_points_net_issuance_limit", "The programme's limit for a day and wallet; 0: none."
)
AS_OF = Gauge("mooring_points_reports_as_of_seconds", "When the newest reports were made.")
ALERTS = Counter("mooring_points_alerts", "Alerts raised, by kind.", ("kind", "wallet"))

_log = structlog.get_logger(__name__)


@dataclass
class ReportsTask:
    """Goes round every ``LOOK_SECONDS``, refreshes when the reports are ``every_seconds`` old."""

    entries: Journal
    views: Views
    terms: Terms
    clock: Clock
    every_seconds: int = EVERY_SECONDS
    name: str = "reports"
    _beat: float = field(default_factory=time.monotonic)

    def age_seconds(self) -> float:
        """Return how long ago it last went round, or got on with a pass."""
        return time.monotonic() - self._beat

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the reports fresh until ``stop`` is set; a pass that is cut off is made anew."""
        while not stop.is_set():
            self._beat = time.monotonic()
            try:
                await self.look(stop)
            except ServiceError as error:
                if error.kind != "unavailable":
                    raise
                _log.warning("reports_put_off", error=str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await stop.wait()

    async def look(self, stop: asyncio.Event) -> bool:
        """Refresh if it is time, and show the newest figures; return whether it refreshed."""
        there = await read(self.views, "alerts", AlertsReport)
        refreshed = False
        if there is None or self.clock() - there.as_of >= self.every_seconds * SECOND:
            lease = Lease(self.views, LEASES, self.name, uuid4().hex, LEASE_SECONDS, self.clock)
            if await lease.acquire():
                refreshed = await self._refresh(lease, there, stop)
                await lease.release()
        if (newest := await read(self.views, "alerts", AlertsReport)) is not None:
            self._show(newest)
        return refreshed

    async def _refresh(
        self, lease: Lease, before: AlertsReport | None, stop: asyncio.Event
    ) -> bool:
        begun = worked = renewed = time.monotonic()

        async def pace() -> bool:
            nonlocal worked, renewed
            self._beat = now = time.monotonic()
            if now - renewed > LEASE_SECONDS / 3:
                renewed = now
                if not await lease.renew():
                    return False
            await asyncio.sleep(now - worked)
            worked = time.monotonic()
            return not stop.is_set()

        found = await walk(self.entries, self.terms.zone, self.clock(), pace)
        if found is None:
            return False
        made = make(found, self.terms, before)
        await keep(self.views, made)
        raise_alerts(new_alerts(made, before))
        seconds = round(time.monotonic() - begun, 3)
        _log.info("reports_refreshed", entries=found.entries, seconds=seconds)
        return True

    def _show(self, report: AlertsReport) -> None:
        AS_OF.set(report.as_of / SECOND)
        ISSUANCE_LIMIT.set(report.limit or 0)
        today = local_day(self.terms.zone, self.clock()).isoformat()
        of_today = {each.wallet: each for each in report.days if each.day == today}
        for wallet, spendable in self.terms.spendable.items():
            if spendable:
                each = of_today.get(wallet)
                NET_ISSUANCE.labels(wallet, "value").set(each.by_value if each else 0)
                NET_ISSUANCE.labels(wallet, "booking").set(each.by_booking if each else 0)


def new_alerts(made: Made, before: AlertsReport | None) -> list[Alert]:
    """The alerts that the reports before did not have."""
    known = {alert.name for alert in before.alerts} if before else set()
    return [alert for alert in made.alerts.alerts if alert.name not in known]


def raise_alerts(alerts: Iterable[Alert]) -> None:
    """Log and count alerts, each once, when it is first noticed."""
    for alert in alerts:
        ALERTS.labels(alert.kind, alert.wallet).inc()
        _log.warning(
            "points_alert",
            kind=alert.kind,
            when=alert.when,
            wallet=alert.wallet,
            by_value=alert.by_value,
            by_booking=alert.by_booking,
            limit=alert.limit,
        )
