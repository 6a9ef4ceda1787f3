"""``mooring report``: the accountants' reports, from a fresh pass over the live ledger."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import typer
import uvloop
from rich.console import Console
from rich.table import Table

from kit.clock import from_micros, system_clock
from mooring.environment import DEFAULT_DATA, Place

if TYPE_CHECKING:
    from services.points.reports.documents import Made, MovementReport

app = typer.Typer(
    name="report",
    help="Movement and liability of points, made from the ledger as it stands.",
    no_args_is_help=True,
)
out = Console(highlight=False)
LIABILITY_SHOWN = (
    "active",
    "pending",
    "held",
    "in_transit",
    "outstanding",
    "gross",
    "breakage",
    "net",
)
TOTALS_SHOWN = (
    "outstanding",
    "negative",
    "difference",
    "gross",
    "net_low",
    "net",
    "net_high",
    "rate",
)

Data = Annotated[Path, typer.Option(help="The data directory.", envvar="MOORING_DATA")]
Mongo = Annotated[str | None, typer.Option(help="Use this MongoDB: mongodb://…")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print CSV (RFC 4180).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Month = str | None


def _month(text: Month) -> Month:
    if text is not None and not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", text):
        raise typer.BadParameter(f"{text!r} is not a month such as 2026-03")
    return text


@app.command()
def movement(
    by: Annotated[
        Literal["value", "booking"],
        typer.Option(help="When it happened, or when it was booked (closed months never change)."),
    ] = "value",
    first: Annotated[Month, typer.Option("--from", metavar="YYYY-MM", callback=_month)] = None,
    last: Annotated[Month, typer.Option("--to", metavar="YYYY-MM", callback=_month)] = None,
    as_csv: AsCsv = False,
    as_json: AsJson = False,
    data: Data = DEFAULT_DATA,
    mongo: Mongo = None,
) -> None:
    """Print opening + what came in - what went out = closing, by month and wallet.

    Ends with 1 when a month does not reconcile.
    """
    from services.points.reports.tables import movement_csv

    made = _made(Place(data=data, mongo=mongo))
    whole = made.movement[by]
    rows = [row for row in whole.rows if (first or "") <= row.month <= (last or "9999-12")]
    report = msgspec.structs.replace(whole, rows=rows)
    if as_csv:
        _print(movement_csv(report))
    elif as_json:
        print(_json(report))
    else:
        _show_movement(report)
    raise typer.Exit(1 if any(row.difference for row in rows) else 0)


@app.command()
def liability(
    as_csv: AsCsv = False,
    as_json: AsJson = False,
    data: Data = DEFAULT_DATA,
    mongo: Mongo = None,
) -> None:
    """Print outstanding points by month of expiry and what they cost, gross and net of breakage.

    Ends with 1 when the lots are not what accounts hold.
    """
    from services.points.reports.tables import liability_csv

    report = _made(Place(data=data, mongo=mongo)).liability
    if as_csv:
        _print(liability_csv(report))
    elif as_json:
        print(_json(report))
    else:
        _table(["wallet", "rule", "month"], LIABILITY_SHOWN, report.rows)
        _table(["wallet"], TOTALS_SHOWN, report.wallets)
        out.print(
            f"as of {from_micros(report.as_of):%Y-%m-%d %H:%M:%S} UTC; money in minor units of "
            f"{report.currency}, {report.cost_per_point} a point, rounded {report.rounding}"
        )
    raise typer.Exit(1 if any(wallet.difference for wallet in report.wallets) else 0)


def _made(place: Place) -> "Made":
    return uvloop.run(_pass(place))


async def _pass(place: Place) -> "Made":
    from kit.store import open_store
    from programmes.model import load_programme
    from services.points.reports.wiring import reports
    from services.points.wiring import ENTRIES_JOURNAL, SERVICE

    settings = place.store()
    store = open_store(settings.url, SERVICE, settings.driver)
    try:
        entries = store.journal(ENTRIES_JOURNAL)
        await entries.prepare()
        programme = load_programme(place.programme)
        return await reports(entries, store.views, system_clock, programme).fresh()
    finally:
        await store.close()


def _show_movement(report: "MovementReport") -> None:
    from services.points.domain.movement import COLUMNS

    names = ("opening", *COLUMNS, "closing", "difference")
    used = {name for name in COLUMNS if any(getattr(row, name) for row in report.rows)}
    kept = [name for name in names if name in used or name not in COLUMNS]
    _table(["month", "wallet"], kept, report.rows)
    broken = sum(1 for row in report.rows if row.difference)
    if broken:
        out.print(f"{broken} months do not reconcile", style="red")
    else:
        out.print("every month reconciles" if report.rows else "there are no entries")


def _table(names: Sequence[str], numbers: Sequence[str], rows: Iterable[Any]) -> None:
    table = Table()
    for name in names:
        table.add_column(name)
    for name in numbers:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            *(getattr(row, name) or "-" for name in names),
            *(_number(getattr(row, name)) for name in numbers),
        )
    out.print(table)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def _json(report: msgspec.Struct) -> str:
    return json.dumps(msgspec.to_builtins(report))


def _print(text: str) -> None:
    """As it is: the lines end as RFC 4180 wants them."""
    typer.echo(text, nl=False)
