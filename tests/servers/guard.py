"""Holds one server process. Run as a program by `processes.py`, by its path, without the package.

Signals named on standard input go to the server's process group. When standard input ends, the
owner has gone, however it went: the server is killed. So a test run that is itself killed leaves
no server behind, and a server that belongs to root can be signalled by an owner that is not.

It starts no thread: inside a new process namespace the kernel refuses one. There, its child is
the namespace's first process, whose end is the end of all others, and `wait` waits for them.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys


def main() -> None:
    # A handler that does nothing, for an ignored signal would stay ignored in the server.
    signal.signal(signal.SIGTERM, lambda *_: None)
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
    ended = os.pidfd_open(child.pid)
    orders = [0]
    while True:
        ready, _, _ = select.select([ended, *orders], [], [])
        if ended in ready:
            sys.exit(min(abs(child.wait()), 255))
        order = os.read(0, 4096)
        if not order:
            orders.clear()
        for name in order.decode().split() or ["SIGKILL"]:
            os.killpg(child.pid, signal.Signals[name])


main()
