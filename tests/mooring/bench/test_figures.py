"""A figure, its ratio to the limit, its verdict, and how they are shown."""

import json

import pytest

from mooring.bench.figures import Figure, Result, Target, percentile
from mooring.bench.machine import this_machine
from mooring.bench.run import as_json
from mooring.bench.table import cells, number

MOST_FOUR = Target("at most", 4.0)


def test_a_figure_at_its_bound_is_good_and_one_above_is_short() -> None:
    good = Figure("seconds", 40.0, "s", 10.0, "raw inserts", MOST_FOUR)
    short = Figure("seconds", 40.1, "s", 10.0, "raw inserts", MOST_FOUR)
    assert (good.ratio, good.ok) == (4.0, True)
    assert short.ok is False


def test_at_least_looks_the_other_way() -> None:
    least = Target("at least", 0.4)
    assert Figure("rate", 40.0, "1/s", 100.0, "direct", least).ok is True
    assert Figure("rate", 39.0, "1/s", 100.0, "direct", least).ok is False


def test_a_target_may_be_for_the_figure_itself() -> None:
    target = Target("at most", 800.0, of="value")
    assert Figure("memory", 800.0, "MB", target=target).ok is True
    assert Figure("memory", 801.0, "MB", target=target).ok is False


def test_without_target_there_is_no_verdict_and_without_limit_no_ratio() -> None:
    figure = Figure("rate", 40.0, "1/s")
    assert (figure.ratio, figure.ok) == (None, None)
    assert cells(figure) == ("rate", "40", "1/s", "", "", "", "")


def test_a_ratio_that_cannot_be_taken_is_not_good() -> None:
    assert Figure("seconds", 40.0, "s", target=MOST_FOUR).ok is False


def test_the_row_has_figure_limit_ratio_target_and_verdict() -> None:
    figure = Figure("seconds", 40.0, "s", 12.5, "raw inserts", MOST_FOUR)
    assert cells(figure) == (
        "seconds",
        "40",
        "s",
        "12.5",
        "3.20",
        "≤ 4 × raw inserts",
        "[green]ok[/]",
    )


def test_a_row_without_target_names_its_limit() -> None:
    figure = Figure("p50", 20.0, "ms", 5.0, "5 durable commits")
    assert cells(figure) == ("p50", "20", "ms", "5", "4.00", "(5 durable commits)", "")


@pytest.mark.parametrize(
    ("value", "shown"), [(155_848.0, "155,848"), (99.94, "99.9"), (0.01234, "0.0123")]
)
def test_numbers_have_three_digits_or_more(value: float, shown: str) -> None:
    assert number(value) == shown


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert percentile(values, 0.5) == 50.0
    assert percentile(values, 0.99) == 99.0
    assert percentile([7.0], 0.99) == 7.0


def test_the_json_has_machine_figures_and_no_infinity() -> None:
    lost = Figure("p99", float("inf"), "ms", 5.0, "commits", MOST_FOUR)
    text = as_json(this_machine(), [Result("latency", (lost,), ("a note",), {"rate": 1.5})])
    written = json.loads(text)
    assert written["machine"]["cores"] >= 1
    assert written["results"] == [
        {
            "name": "latency",
            "figures": [
                {
                    "name": "p99",
                    "value": None,
                    "unit": "ms",
                    "limit": 5.0,
                    "limit_name": "commits",
                    "ratio": None,
                    "target": "≤ 4 × commits",
                    "ok": False,
                }
            ],
            "notes": ["a note"],
            "details": {"rate": 1.5},
        }
    ]
