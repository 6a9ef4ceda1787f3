"""The gateway's hop, measured by ``gateway.bench``, as figures with targets."""

import asyncio
import shutil
from typing import Any

from gateway.bench import measure
from mooring.bench.figures import Figure, Result, Target

NAME = "gateway"
LEAST_OF_DIRECT, LEAST_OF_BARE_HOP = 0.4, 0.6
SECONDS, FEW_SECONDS = 20.0, 5.0


async def measure_hop(quick: bool = False) -> Result:
    """Load the direct call, a bare hop, the gateway and nginx with wrk, in turns."""
    if shutil.which("wrk") is None:
        raise FileNotFoundError("wrk is not installed (a Debian package of that name)")
    report = await asyncio.to_thread(measure, FEW_SECONDS if quick else SECONDS)
    measured: dict[str, Any] = report["measured"]
    figures = [
        _figure(measured, "direct", "per_cpu_second", LEAST_OF_DIRECT),
        _figure(measured, "bare_hop", "per_cpu_second", LEAST_OF_BARE_HOP),
        _figure(measured, "direct", "per_second", None),
        _figure(measured, "bare_hop", "per_second", None),
    ]
    if "nginx" in measured:
        figures.append(_figure(measured, "nginx", "per_second", None))
    gateway = measured["gateway"]
    figures += [
        Figure(
            "p50 through the gateway",
            gateway["p50_ms"],
            "ms",
            measured["direct"]["p50_ms"],
            "direct",
        ),
        Figure(
            "p99 through the gateway",
            gateway["p99_ms"],
            "ms",
            measured["direct"]["p99_ms"],
            "direct",
        ),
    ]
    return Result(NAME, tuple(figures), (), report)


def _figure(measured: dict[str, Any], other: str, figure: str, bound: float | None) -> Figure:
    per_core = figure == "per_cpu_second"
    return Figure(
        "requests, per core" if per_core else "requests",
        measured["gateway"][figure],
        "1/core-s" if per_core else "1/s",
        measured[other][figure],
        other.replace("_", " "),
        Target("at least", bound) if bound else None,
    )
