"""The reports as documents: made from a pass, kept in a small collection, read by the API.

Nothing here is a truth of its own: dropped, the reports are made again by the next refresh.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from kit.clock import SECOND
from kit.views.port import Collection, Document, Views
from services.points.domain.liability import (
    Cost,
    LiabilityRow,
    WalletLiability,
    liability_rows,
    wallet_liabilities,
)
from services.points.domain.movement import (
    MovementRow,
    NetIssuance,
    by_month,
    closing,
    net_issuance,
)
from services.points.reports.walk import Walk

REPORTS = Collection("reports")
By = Literal["value", "booking"]
BOTH: tuple[By, ...] = ("value", "booking")
WRITTEN_AFTER = 60 * SECOND
"""An entry is stamped before it is written, by less than this: then its month is closed."""
MOST_ALERTS = 400
DAYS_SHOWN = 31


@dataclass(frozen=True)
class Terms:
    """What the reports need of the programme; ``alert_above`` is points a day and wallet."""

    zone: ZoneInfo
    currency: str
    cost_per_point: Fraction
    alert_above: int | None
    spendable: Mapping[str, bool]


class MovementReport(msgspec.Struct, frozen=True):
    """The movement of points by month."""

    as_of: int
    by: By
    time_zone: str
    rows: list[MovementRow]


class LiabilityReport(msgspec.Struct, frozen=True):
    """What is owed. Money in minor units of ``currency``; ``cost_per_point`` exact, as text."""

    as_of: int
    time_zone: str
    currency: str
    cost_per_point: str
    rounding: str
    wallets: list[WalletLiability]
    rows: list[LiabilityRow]


class Alert(msgspec.Struct, frozen=True):
    """Something an accountant should look at.

    ``issuance``: on a day (``when``) more points of a wallet came into being than ``limit``.
    ``difference``: a month, or the lots as they are now, does not reconcile: the ledger is damaged.
    """

    kind: Literal["issuance", "difference"]
    when: str
    wallet: str
    by_value: int
    by_booking: int
    limit: int | None
    noticed_at: int

    @property
    def name(self) -> tuple[str, str, str]:
        """What makes it the same one at the next look."""
        return self.kind, self.when, self.wallet


class AlertsReport(msgspec.Struct, frozen=True):
    """Alerts, newest first, and the net issuance of the newest days. ``left_out``: older alerts."""

    as_of: int
    time_zone: str
    limit: int | None
    alerts: list[Alert]
    left_out: int
    days: list[NetIssuance]


@dataclass(frozen=True)
class Made:
    """All reports of one pass."""

    movement: dict[By, MovementReport]
    liability: LiabilityReport
    alerts: AlertsReport


def make(found: Walk, terms: Terms, before: AlertsReport | None = None) -> Made:
    """The reports of a pass; ``before`` remembers when each alert was first noticed."""
    movement = {by: _movement(found, terms, by) for by in BOTH}
    liability = _liability(found, terms)
    return Made(movement, liability, _alerts(found, terms, movement, liability, before))


def _movement(found: Walk, terms: Terms, by: By) -> MovementReport:
    last = found.days.month(found.as_of)
    if by == "value":
        rows = by_month(found.movement.by_value, last)
    else:
        closed = found.days.month(found.as_of - WRITTEN_AFTER)
        rows = by_month(found.movement.by_booking, last, closed)
    return MovementReport(found.as_of, by, terms.zone.key, rows)


def _liability(found: Walk, terms: Terms) -> LiabilityReport:
    cost = Cost(terms.cost_per_point, terms.spendable)
    return LiabilityReport(
        found.as_of,
        terms.zone.key,
        terms.currency,
        exact_text(terms.cost_per_point),
        "half up, each figure by itself",
        wallet_liabilities(found.outstanding, cost, closing(found.movement.by_booking)),
        liability_rows(found.outstanding, cost),
    )


def _alerts(
    found: Walk,
    terms: Terms,
    movement: Mapping[By, MovementReport],
    liability: LiabilityReport,
    before: AlertsReport | None,
) -> AlertsReport:
    wallets = {*found.movement.by_value, *found.movement.by_booking}
    days = net_issuance(
        found.movement, [wallet for wallet in wallets if terms.spendable.get(wallet, True)]
    )
    noticed = {alert.name: alert.noticed_at for alert in before.alerts} if before else {}
    raised = [
        msgspec.structs.replace(alert, noticed_at=noticed.get(alert.name, found.as_of))
        for alert in (
            *_differences(movement, liability, found.as_of),
            *_exceeding(days, terms.alert_above, found.as_of),
        )
    ]
    return AlertsReport(
        found.as_of,
        terms.zone.key,
        terms.alert_above,
        raised[:MOST_ALERTS],
        max(0, len(raised) - MOST_ALERTS),
        days[:DAYS_SHOWN],
    )


def _exceeding(days: Sequence[NetIssuance], limit: int | None, now: int) -> list[Alert]:
    if limit is None:
        return []
    return [
        Alert("issuance", each.day, each.wallet, each.by_value, each.by_booking, limit, now)
        for each in days
        if max(each.by_value, each.by_booking) > limit
    ]


def _differences(
    movement: Mapping[By, MovementReport], liability: LiabilityReport, now: int
) -> list[Alert]:
    found: dict[tuple[str, str], dict[By, int]] = {}
    for by, report in movement.items():
        for row in report.rows:
            if row.difference:
                found.setdefault((row.month, row.wallet), {})[by] = row.difference
    alerts = [
        Alert("difference", month, wallet, of.get("value", 0), of.get("booking", 0), None, now)
        for (month, wallet), of in sorted(found.items(), reverse=True)
    ]
    lots = [
        Alert("difference", "lots", each.wallet, each.difference, each.difference, None, now)
        for each in liability.wallets
        if each.difference
    ]
    return [*lots, *alerts]


def exact_text(number: Fraction) -> str:
    """A number without rounding: as a decimal, or as a fraction where none is exact."""
    places = 0
    while places <= 18:
        if (10**places * number).denominator == 1:
            return format(Decimal(int(10**places * number)).scaleb(-places), "f")
        places += 1
    return str(number)


Kind = TypeVar("Kind", MovementReport, LiabilityReport, AlertsReport)
_encoder = msgspec.json.Encoder()


async def read(views: Views, name: str, kind: type[Kind]) -> Kind | None:
    """Read ``movement-value``, ``movement-booking``, ``liability`` or ``alerts``; None: not yet."""
    document = (await views.load(REPORTS, [name])).get(name)
    return msgspec.json.decode(document.body, type=kind) if document else None


async def keep(views: Views, made: Made) -> None:
    """Write all reports over those that are there; of two writers at once either will do."""
    bodies: dict[str, MovementReport | LiabilityReport | AlertsReport] = {
        **{f"movement-{by}": report for by, report in made.movement.items()},
        "liability": made.liability,
        "alerts": made.alerts,
    }
    there = await views.load(REPORTS, list(bodies))
    documents = [
        Document(name, there[name].version if name in there else 0, _encoder.encode(body))
        for name, body in bodies.items()
    ]
    await views.save(REPORTS, documents)
