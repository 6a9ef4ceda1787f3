"""Results as a person reads them."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from mooring.bench.figures import Figure, Result
from mooring.bench.machine import Machine

COLUMNS = ("measured", "unit", "limit", "ratio", "target", "")
LEAST_WIDTH = 110


def print_results(machine: Machine, results: Sequence[Result], out: Console) -> None:
    """Print one table for all, the machine above it and the notes below."""
    if not out.is_terminal:
        out.width = max(out.width, LEAST_WIDTH)
    out.print(machine.text(), markup=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("figure")
    for name in COLUMNS:
        table.add_column(
            name, justify="right" if name in ("measured", "limit", "ratio") else "left"
        )
    for result in results:
        table.add_row(f"[bold]{result.name}[/]")
        for figure in result.figures:
            table.add_row(*cells(figure))
        table.add_section()
    out.print(table)
    for result in results:
        for note in result.notes:
            out.print(f"{result.name}: {note}", markup=False)


def cells(figure: Figure) -> tuple[str, ...]:
    """The figure's row; without a target, the limit's name stands in its place."""
    limit = number(figure.limit) if figure.limit is not None else ""
    ratio = f"{figure.ratio:.2f}" if figure.ratio is not None else ""
    target = f"({figure.limit_name})" if figure.limit_name else ""
    if figure.target is not None:
        target = figure.target.text(figure.limit_name, figure.unit)
    verdict = {None: "", True: "[green]ok[/]", False: "[red]short[/]"}[figure.ok]
    return (figure.name, number(figure.value), figure.unit, limit, ratio, target, verdict)


def number(value: float) -> str:
    """Three digits or more, never a long tail."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
