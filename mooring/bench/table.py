"""Results as a person reads them."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from mooring.bench.figures import Figure, Result
from mooring.bench.machine import Machine


def print_results(machine: Machine, results: Sequence[Result], out: Console) -> None:
    """Print one table for all, the machine above it and the notes below."""
    out.print(machine.text(), markup=False)
    table = Table()
    table.add_column("benchmark")
    table.add_column("figure")
    for name in ("measured", "limit of this run", "ratio"):
        table.add_column(name, justify="right")
    table.add_column("target")
    table.add_column("")
    for result in results:
        for place, figure in enumerate(result.figures):
            table.add_row(result.name if place == 0 else "", *cells(figure))
        table.add_section()
    out.print(table)
    for result in results:
        for note in result.notes:
            out.print(f"{result.name}: {note}", markup=False)


def cells(figure: Figure) -> tuple[str, ...]:
    """The figure's cells after the benchmark's name."""
    limit, ratio = "", ""
    if figure.limit is not None:
        limit = f"{number(figure.limit)} {figure.unit}"
        limit += f" ({figure.limit_name})" if figure.limit_name else ""
        ratio = f"{figure.ratio:.2f}"
    target = figure.target.text(figure.limit_name, figure.unit) if figure.target else ""
    verdict = {None: "", True: "[green]ok[/]", False: "[red]short[/]"}[figure.ok]
    return (figure.name, f"{number(figure.value)} {figure.unit}", limit, ratio, target, verdict)


def number(value: float) -> str:
    """Three digits or more, never a long tail."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
