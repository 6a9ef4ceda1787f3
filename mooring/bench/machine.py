"""What it was measured on."""

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from kit.sqlite.connections import connect


@dataclass(frozen=True)
class Machine:
    """``load`` is the load average of the minute before: near 0 on a quiet machine."""

    cores: int
    processor: str
    memory_gib: float
    system: str
    python: str
    sqlite: str
    load: float

    def plain(self) -> dict[str, Any]:
        """The machine as JSON has it."""
        return asdict(self)

    def text(self) -> str:
        """The machine in one line."""
        return (
            f"{self.cores} cores ({self.processor}), {self.memory_gib:.0f} GiB, {self.system}, "
            f"Python {self.python}, SQLite {self.sqlite}, load before {self.load:.1f}"
        )


def this_machine() -> Machine:
    """Look at the machine."""
    connection = connect(Path(":memory:"), cache_kib=64)
    try:
        sqlite = connection.execute("SELECT sqlite_version()").fetchone()[0]
    finally:
        connection.close()
    return Machine(
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else _cores(),
        processor=platform.processor() or platform.machine(),
        memory_gib=psutil.virtual_memory().total / 2**30,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        sqlite=sqlite,
        load=os.getloadavg()[0],
    )


def _cores() -> int:
    return os.cpu_count() or 1
