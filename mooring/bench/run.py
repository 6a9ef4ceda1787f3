"""Which benchmarks there are, and running some of them."""

import json
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from subprocess import SubprocessError

import aiohttp
import httpx
from rich.console import Console

from kit.errors import ServiceError
from mooring.bench.figures import Result
from mooring.bench.machine import Machine, this_machine
from mooring.bench.table import print_results
from mooring.replay.activity import ReplayError
from mooring.settle import NotSettled
from mooring.up import UpError

QUICK_UNTIL = date(2017, 2, 1)
MONGO, KAFKA = "MOORING_TEST_MONGO_URL", "MOORING_TEST_KAFKA"
_NO_SERVERS = ("not measured: give --mongo and --kafka",)
# What may stop one benchmark and must not lose the others' figures.
_FAILURES = (
    UpError,
    ReplayError,
    NotSettled,
    ServiceError,
    SubprocessError,
    OSError,
    RuntimeError,
    TimeoutError,
    aiohttp.ClientError,
    httpx.HTTPError,
    ExceptionGroup,
)


class BenchError(Exception):
    """A mistake in what was asked for."""


@dataclass(frozen=True)
class Options:
    """``quick``: a tenth of the work, for a look. ``mongo`` and ``kafka``: servers for tests."""

    quick: bool = False
    mongo: str | None = None
    kafka: str | None = None


# Modules are loaded as they are needed: the first benchmark measures this process's memory, too.
async def _replay(options: Options) -> Result:
    from mooring.bench.replay import measure_replay

    return await measure_replay(QUICK_UNTIL if options.quick else None)


async def _latency(options: Options) -> Result:
    from mooring.bench.latency import measure_latency

    return await measure_latency(options.quick)


async def _gateway(options: Options) -> Result:
    from mooring.bench.hop import measure_hop

    return await measure_hop(options.quick)


async def _posting_embedded(options: Options) -> Result:
    from mooring.bench.ledger import measure_posting_embedded

    return await measure_posting_embedded(options.quick)


async def _aged(options: Options) -> Result:
    from mooring.bench.ledger import measure_aged

    return await measure_aged(options.quick)


async def _expiry(options: Options) -> Result:
    from mooring.bench.ledger import measure_expiry

    return await measure_expiry(options.quick)


async def _redemption(options: Options) -> Result:
    from mooring.bench.redemption import measure_redemption

    return await measure_redemption(options.quick)


async def _posting_connected(options: Options) -> Result:
    if options.mongo is None or options.kafka is None:
        return Result("posting-connected", notes=_NO_SERVERS)
    from mooring.bench.posting import DECISIONS, FEW_DECISIONS, measure_posting

    count = FEW_DECISIONS if options.quick else DECISIONS
    return await measure_posting(options.mongo, options.kafka, count)


async def _latency_connected(options: Options) -> Result:
    if options.mongo is None or options.kafka is None:
        return Result("latency-connected", notes=_NO_SERVERS)
    from mooring.bench.latency import measure_latency

    return await measure_latency(options.quick, options.mongo, options.kafka)


async def _redemption_connected(options: Options) -> Result:
    if options.mongo is None or options.kafka is None:
        return Result("redemption-connected", notes=_NO_SERVERS)
    from mooring.bench.redemption import measure_redemption

    return await measure_redemption(options.quick, options.mongo, options.kafka)


BENCHMARKS: dict[str, Callable[[Options], Awaitable[Result]]] = {
    "replay": _replay,
    "latency": _latency,
    "gateway": _gateway,
    "posting-embedded": _posting_embedded,
    "aged-account": _aged,
    "daily-expiry": _expiry,
    "redemption": _redemption,
    "posting-connected": _posting_connected,
    "latency-connected": _latency_connected,
    "redemption-connected": _redemption_connected,
}


async def run_bench(
    out: Console,
    *,
    only: Sequence[str] = (),
    quick: bool = False,
    mongo: str | None = None,
    kafka: str | None = None,
    json_file: Path | None = None,
) -> None:
    """Run benchmarks one after the other, print the table, write the JSON.

    Raises BenchError when a name is unknown.
    """
    if unknown := sorted(set(only) - BENCHMARKS.keys()):
        raise BenchError(f"{', '.join(unknown)}: there are {', '.join(BENCHMARKS)}")
    kafka = kafka or os.environ.get(KAFKA)
    options = Options(
        quick,
        mongo or os.environ.get(MONGO),
        f"kafka://{kafka.removeprefix('kafka://')}" if kafka else None,
    )
    machine = this_machine()
    results: list[Result] = []
    for name, measure in BENCHMARKS.items():
        if not only or name in only:
            out.print(f"measuring {name} …")
            results.append(await measured(name, measure, options))
    print_results(machine, results, out)
    if quick:
        out.print("quick: starting up weighs more than it should; targets are for the whole run")
    if json_file is not None:
        _write(json_file, as_json(machine, results))


async def measured(
    name: str, measure: Callable[[Options], Awaitable[Result]], options: Options
) -> Result:
    """Run one benchmark; when it fails, the result says why and has no figures."""
    try:
        return await measure(options)
    except _FAILURES as error:
        return Result(name, notes=(f"not measured: {type(error).__name__}: {error}",))


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")


def as_json(machine: Machine, results: Sequence[Result]) -> str:
    """Machine and results as one JSON object."""
    plain = {"machine": machine.plain(), "results": [result.plain() for result in results]}
    return json.dumps(plain, indent=2) + "\n"
