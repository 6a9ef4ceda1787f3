"""The year's replay: how long it takes beside what SQLite alone needs for the same rows.

The platform runs as ``mooring up`` runs it and this process is the replay client, as there. The
clock stops when every activity has been worked off: decided, posted, in tier and stage.
"""

import asyncio
import os
from datetime import date

from rich.console import Console

from mooring.bench.figures import Figure, Result, Target
from mooring.bench.raw_sqlite import RawLimit, raw_limit
from mooring.bench.standing import fresh_place, standing
from mooring.bench.watching import Usage, watching
from mooring.replay.client import BATCH_LIMIT
from mooring.replay.summary import Summary
from mooring.session import COMPLETE_JOURNEY, run_replay

NAME = "replay"
CLIENT = "replay client"
RAW = "raw inserts"
MEBIBYTE = 2**20
MOST_RAW_LIMITS = 4.0
MOST_MEGABYTES = 800.0


async def measure_replay(until: date | None = None) -> Result:
    """Replay the year (or what is before a day) on a fresh platform, then measure the limit."""
    with fresh_place() as place:
        async with standing(place) as platform:
            pids = {label: child.pid for label, child in platform.children.items()}
            with watching({**pids, CLIENT: os.getpid()}) as usage:
                summary = await run_replay(
                    place, Console(quiet=True), COMPLETE_JOURNEY, until=until, batch=BATCH_LIMIT
                )
        raw = await asyncio.to_thread(raw_limit, place.data, place.data / "raw")
    return _result(summary, usage, raw)


def _result(summary: Summary, usage: Usage, raw: RawLimit) -> Result:
    sent = summary.tally.sent
    megabytes = usage.peak_bytes / MEBIBYTE
    figures = [
        Figure(
            "seconds until all is settled",
            summary.seconds,
            "s",
            raw.seconds,
            RAW,
            Target("at most", MOST_RAW_LIMITS),
        ),
        Figure(
            "peak RSS of all processes",
            megabytes,
            "MB",
            target=Target("at most", MOST_MEGABYTES, of="value"),
        ),
        Figure("activities", summary.per_second, "1/s", sent / raw.seconds, RAW),
        *_stages(usage, sent, raw),
    ]
    return Result(NAME, tuple(figures), _notes(raw, sent), _details(summary, usage, raw))


def _stages(usage: Usage, sent: int, raw: RawLimit) -> list[Figure]:
    """Processor time of each process per activity, beside the wall time of the raw inserts."""
    limit = raw.seconds / sent * 1e6
    stages = {label: seconds / sent * 1e6 for label, seconds in usage.cpu_seconds.items()}
    return [
        *(Figure(f"CPU of {label}", micros, "µs/activity") for label, micros in stages.items()),
        Figure("CPU of all", sum(stages.values()), "µs/activity", limit, RAW),
    ]


def _notes(raw: RawLimit, sent: int) -> tuple[str, ...]:
    return (
        f"{sent:,} activities made {raw.rows:,} journal rows and messages; inserted raw, in "
        f"batches of 1,000, they take {raw.seconds:.1f} s.",
    )


def _details(summary: Summary, usage: Usage, raw: RawLimit) -> dict[str, object]:
    return {
        "activities": summary.tally.sent,
        "seconds_until_sent": summary.seconds_sent,
        "seconds": summary.seconds,
        "cpu_seconds": usage.cpu_seconds,
        "rss_at_peak": usage.at_peak,
        "own_bytes_at_end": usage.own_bytes,
        "raw": [vars(file) for file in raw.files],
        "tiers": summary.tiers,
        "stages": summary.stages,
        "points": summary.points,
    }
