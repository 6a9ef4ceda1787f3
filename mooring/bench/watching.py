"""What processes use while something runs: memory at its peak, processor time."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

SAMPLE_SECONDS = 0.15


@dataclass
class Usage:
    """``peak_bytes`` is the largest sum of all processes' resident sets at any one moment.

    A sum of resident sets counts memory that processes share (the interpreter, libraries) once for
    each, so it errs on the high side. ``own_bytes`` is what belongs to each process alone, at the
    end. ``waited_seconds`` is how long threads that could run waited for a processor (Linux): what
    others on the machine, and we ourselves, took from each.
    """

    peak_bytes: int = 0
    at_peak: dict[str, int] = field(default_factory=dict)
    own_bytes: dict[str, int] = field(default_factory=dict)
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    waited_seconds: dict[str, float] = field(default_factory=dict)


@contextmanager
def watching(pids: Mapping[str, int]) -> Iterator[Usage]:
    """Watch processes, by label, from another thread; the usage is complete at the end."""
    processes = {label: psutil.Process(pid) for label, pid in pids.items()}
    usage = Usage()
    before = {label: _cpu_seconds(process) for label, process in processes.items()}
    waited = {label: _waited_seconds(process) for label, process in processes.items()}
    done = threading.Event()
    thread = threading.Thread(target=_sample, args=(processes, usage, done), daemon=True)
    thread.start()
    try:
        yield usage
    finally:
        done.set()
        thread.join()
        for label, process in processes.items():
            with suppress(psutil.NoSuchProcess):
                usage.cpu_seconds[label] = _cpu_seconds(process) - before[label]
                usage.waited_seconds[label] = _waited_seconds(process) - waited[label]
                usage.own_bytes[label] = process.memory_full_info().uss


def _sample(processes: Mapping[str, psutil.Process], usage: Usage, done: threading.Event) -> None:
    while True:
        resident = {label: _resident(process) for label, process in processes.items()}
        if (total := sum(resident.values())) > usage.peak_bytes:
            usage.peak_bytes, usage.at_peak = total, resident
        if done.wait(SAMPLE_SECONDS):
            return


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _waited_seconds(process: psutil.Process) -> float:
    """Of the threads that are there now; 0 where the system does not tell."""
    nanoseconds = 0
    for path in Path(f"/proc/{process.pid}/task").glob("*/schedstat"):
        with suppress(OSError):  # the thread has just ended
            nanoseconds += int(path.read_text().split()[1])
    return nanoseconds / 1e9
