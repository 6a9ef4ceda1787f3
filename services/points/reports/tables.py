"""Reports as CSV (RFC 4180): a header row, CRLF, numbers plain, nothing for what is not there."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from kit.clock import from_micros
from services.points.domain.liability import LiabilityRow
from services.points.domain.movement import MovementRow
from services.points.reports.documents import Alert, AlertsReport, LiabilityReport, MovementReport

MOVEMENT_HEADER = MovementRow.__struct_fields__
LIABILITY_HEADER = ("line", *LiabilityRow.__struct_fields__, "negative", "difference")
LIABILITY_HEADER += ("rate", "rate_low", "rate_high")
ALERTS_HEADER = Alert.__struct_fields__


def movement_csv(report: MovementReport) -> str:
    """A line for each month and wallet."""
    return _text(MOVEMENT_HEADER, (msgspec.structs.astuple(row) for row in report.rows))


def liability_csv(report: LiabilityReport) -> str:
    """``row`` lines, then a ``wallet`` line each with the totals. Money in minor units."""
    return _text(LIABILITY_HEADER, _liability_lines(report))


def _liability_lines(report: LiabilityReport) -> Iterator[Sequence[Any]]:
    for row in report.rows:
        yield ("row", *msgspec.structs.astuple(row), *[None] * 5)
    for wallet in report.wallets:
        values = {"line": "wallet", **msgspec.structs.asdict(wallet)}
        yield [values.get(name) for name in LIABILITY_HEADER]


def alerts_csv(report: AlertsReport) -> str:
    """A line for each alert; times as RFC 3339."""
    return _text(
        ALERTS_HEADER,
        (
            (*msgspec.structs.astuple(alert)[:-1], _moment(alert.noticed_at))
            for alert in report.alerts
        ),
    )


def _moment(at: int) -> str:
    return from_micros(at).isoformat().replace("+00:00", "Z")


def _text(header: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(header)
    for line in lines:
        writer.writerow([_plain(value) for value in line])
    return out.getvalue()


def _plain(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else value
