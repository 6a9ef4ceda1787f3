"""Memory and processor time of processes, while something runs."""

import os
import subprocess
import sys
import time

import psutil

from mooring.bench.watching import watching

WORKS_THEN_WAITS = "b = bytearray(50_000_000); sum(range(10_000_000)); print(flush=True); input()"


def test_the_peak_is_the_sum_over_all_processes_and_processor_time_is_each_ones_own() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", WORKS_THEN_WAITS], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdin is not None
    assert child.stdout is not None
    with child:
        with watching({"child": child.pid, "me": os.getpid()}) as usage:
            child.stdout.readline()
            time.sleep(0.4)
        child.stdin.close()
        child.wait()
    own = psutil.Process().memory_info().rss
    assert set(usage.at_peak) == {"child", "me"}
    assert usage.peak_bytes == sum(usage.at_peak.values())
    assert usage.at_peak["child"] > 50_000_000
    assert usage.at_peak["me"] > own / 2
    assert usage.cpu_seconds["child"] > 0.05
    assert usage.own_bytes["child"] > 50_000_000


def test_a_process_that_ends_meanwhile_is_no_failure() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert child.stdin is not None
    with watching({"child": child.pid}) as usage:
        child.stdin.close()
        child.wait()
    assert "child" not in usage.cpu_seconds


def test_who_shares_a_processor_is_seen_to_wait_for_it() -> None:
    core = min(os.sched_getaffinity(0))
    busy = f"import os; os.sched_setaffinity(0, [{core}])\nwhile True: pass"
    rivals = [subprocess.Popen([sys.executable, "-c", busy]) for _ in range(2)]
    try:
        time.sleep(0.2)
        with watching({"one": rivals[0].pid}) as usage:
            time.sleep(0.4)
    finally:
        for rival in rivals:
            rival.kill()
            rival.wait()
    assert usage.waited_seconds["one"] > 0.1
