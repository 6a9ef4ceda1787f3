"""Which benchmarks run, and that one that fails does not take the others along."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from mooring.bench.figures import Result
from mooring.bench.run import BENCHMARKS, BenchError, Options, measured, run_bench
from mooring.up import UpError


async def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(BenchError, match="repaly: there are replay, latency, gateway"):
        await run_bench(Console(file=io.StringIO()), only=["replay", "repaly"])


async def test_without_servers_the_connected_ones_say_what_they_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MOORING_TEST_KAFKA", raising=False)
    shown = io.StringIO()
    connected = [name for name in BENCHMARKS if name.endswith("-connected")]
    json_file = tmp_path / "bench.json"
    await run_bench(Console(file=shown, width=120), only=connected, json_file=json_file)
    assert shown.getvalue().count("not measured: give --mongo and --kafka") == 3
    written = json.loads(json_file.read_text("utf-8"))
    assert [result["name"] for result in written["results"]] == connected
    assert {figure for result in written["results"] for figure in result["figures"]} == set()


async def test_a_benchmark_that_fails_says_why() -> None:
    async def fail(options: Options) -> Result:
        raise UpError("web ended with code 1")

    assert await measured("replay", fail, Options()) == Result(
        "replay", notes=("not measured: UpError: web ended with code 1",)
    )
