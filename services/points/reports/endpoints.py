"""The HTTP API of the reports, as JSON or CSV. The app keeps ``Reports`` in ``state.reports``."""

from typing import Annotated, Any, Literal

import msgspec
from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel, StringConstraints

from kit.auth import require
from kit.clock import from_micros
from kit.errors import ServiceError
from kit.http.json_body import Router
from kit.http.openapi import problems
from services.points.domain.movement import MovementRow
from services.points.reports.documents import (
    AlertsReport,
    By,
    Kind,
    LiabilityReport,
    MovementReport,
    read,
)
from services.points.reports.refreshing import LOOK_SECONDS
from services.points.reports.schemas import AlertsBody, LiabilityBody, MovementBody
from services.points.reports.tables import alerts_csv, liability_csv, movement_csv
from services.points.reports.wiring import Reports

MOST_MONTHS = 120
router = Router(prefix="/v1/points", tags=["points reports"])
READERS = Depends(require("marketer", "operator"))

Month = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]
Format = Annotated[
    Literal["json", "csv"] | None,
    Query(description="Without it the header `Accept` decides; JSON unless it says `text/csv`."),
]
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}},
    **problems("missing"),
}


@router.get(
    "/reports/movement", dependencies=[READERS], response_model=MovementBody, responses=ANSWERS
)
async def read_movement(
    request: Request,
    by: Annotated[
        By,
        Query(
            description="`value`: by when it happened; `booking`: by when it was booked, so that "
            "closed months never change."
        ),
    ] = "value",
    from_: Annotated[
        Month | None, Query(alias="from", description="First month.", examples=["2026-01"])
    ] = None,
    to: Annotated[Month | None, Query(description="Last month.", examples=["2026-12"])] = None,
    format: Format = None,
) -> Any:
    """The movement of points by month and wallet; at most 120 months, the newest ones."""
    report = await _read(request, f"movement-{by}", MovementReport)
    report = msgspec.structs.replace(report, rows=chosen(report.rows, from_, to))
    if _wants_csv(request, format):
        return _csv(movement_csv(report), f"movement-{by}")
    return _body(MovementBody, report, report.as_of)


@router.get(
    "/reports/liability", dependencies=[READERS], response_model=LiabilityBody, responses=ANSWERS
)
async def read_liability(request: Request, format: Format = None) -> Any:
    """Outstanding points by wallet and month of expiry, their cost, gross and net of breakage."""
    report = await _read(request, "liability", LiabilityReport)
    if _wants_csv(request, format):
        return _csv(liability_csv(report), "liability")
    return _body(LiabilityBody, report, report.as_of)


@router.get("/alerts", dependencies=[READERS], response_model=AlertsBody, responses=ANSWERS)
async def read_alerts(request: Request, format: Format = None) -> Any:
    """Days on which too many points came into being, and reports that do not reconcile."""
    report = await _read(request, "alerts", AlertsReport)
    if _wants_csv(request, format):
        return _csv(alerts_csv(report), "alerts")
    return _body(AlertsBody, report, report.as_of)


def chosen(rows: list[MovementRow], first: str | None, last: str | None) -> list[MovementRow]:
    """The rows of these months; raises ServiceError ``invalid`` when there would be too many."""
    if first is not None and last is not None and first > last:
        raise ServiceError(
            "invalid", "months_reversed", "`from` is a later month than `to`", field="from"
        )
    found = [row for row in rows if (first or "") <= row.month <= (last or "9999-12")]
    months = sorted({row.month for row in found})
    if first is not None and len(months) > MOST_MONTHS:
        raise ServiceError(
            "invalid",
            "too_many_months",
            f"At most {MOST_MONTHS} months at a time; give a `to`, or a later `from`.",
            months=len(months),
        )
    kept = set(months[-MOST_MONTHS:])
    return [row for row in found if row.month in kept]


async def _read(request: Request, name: str, kind: type[Kind]) -> Kind:
    reports: Reports = request.app.state.reports
    if (report := await read(reports.views, name, kind)) is not None:
        return report
    raise ServiceError(
        "missing",
        "report_not_ready",
        f"No report has been made yet. The points worker begins one within {LOOK_SECONDS:.0f} s of "
        f"its start, and then every {reports.every_seconds} s.",
        first_within_seconds=round(LOOK_SECONDS),
        every_seconds=reports.every_seconds,
    )


def _wants_csv(request: Request, format: str | None) -> bool:
    return format == "csv" or (
        format is None and "text/csv" in request.headers.get("accept", "").lower()
    )


def _csv(text: str, name: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="{name}.csv"', "vary": "accept"}
    return Response(text, media_type="text/csv; charset=utf-8; header=present", headers=headers)


def _body(kind: type[BaseModel], report: msgspec.Struct, as_of: int) -> BaseModel:
    values = {**msgspec.to_builtins(report), "as_of": from_micros(as_of)}
    for alert in values.get("alerts", ()):
        alert["noticed_at"] = from_micros(alert["noticed_at"])
    return kind.model_validate(values)
