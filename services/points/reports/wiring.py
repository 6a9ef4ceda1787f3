"""The parts of reports, put together on the journal and the views of the points service."""

from dataclasses import dataclass
from fractions import Fraction
from zoneinfo import ZoneInfo

from kit.clock import Clock
from kit.journal.port import Journal
from kit.views.lease import LEASES
from kit.views.port import Views
from programmes.model import Programme
from services.points.reports.documents import REPORTS, Made, Terms, make
from services.points.reports.refreshing import EVERY_SECONDS, ReportsTask
from services.points.reports.walk import walk

COLLECTIONS = (REPORTS, LEASES)


@dataclass(frozen=True)
class Reports:
    """What reports work with; the journal and the views are whoever opened them to close."""

    entries: Journal
    views: Views
    clock: Clock
    terms: Terms
    every_seconds: int = EVERY_SECONDS

    async def prepare(self) -> None:
        """Create the collections; harmless when they are there."""
        await self.views.prepare(COLLECTIONS)

    def task(self) -> ReportsTask:
        """The worker's task that keeps the reports fresh."""
        return ReportsTask(self.entries, self.views, self.terms, self.clock, self.every_seconds)

    async def fresh(self) -> Made:
        """The reports as of now, from a pass of their own; nothing is kept."""
        found = await walk(self.entries, self.terms.zone, self.clock())
        assert found is not None  # nobody paces it
        return make(found, self.terms)


def terms_of(programme: Programme) -> Terms:
    """What a programme says about reports; the cost of a point becomes minor units."""
    points = programme.points
    return Terms(
        zone=ZoneInfo(programme.time_zone),
        currency=programme.currency,
        cost_per_point=Fraction(points.cost_per_point) * 10**programme.currency_exponent,
        alert_above=points.alert_when_issued_in_a_day,
        spendable={wallet.code: wallet.spendable for wallet in programme.wallets},
    )


def reports(
    entries: Journal,
    views: Views,
    clock: Clock,
    programme: Programme,
    every_seconds: int = EVERY_SECONDS,
) -> Reports:
    """Reports on the ledger of a programme."""
    return Reports(entries, views, clock, terms_of(programme), every_seconds)
