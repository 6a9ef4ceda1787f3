"""Running processes until told to stop; ``python -m mooring.child`` is a child of ``mooring up``.

It is not a command, so that a child loads what it runs and no more: the command line brings typer,
rich and all that tokens are made with, 14 MB and a quarter of a second for each worker.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence

import uvloop

from kit.logs import configure_logging
from kit.settings import SettingsError
from mooring.environment import Place
from mooring.processes import Process, build_together, collect_rarely, run_all


def serve(processes: Sequence[Process]) -> None:
    """Run these processes side by side until SIGTERM or SIGINT."""
    configure_logging(os.environ.get("MOORING_LOG_LEVEL", "info"))
    collect_rarely()
    uvloop.run(_until_told(processes))


async def _until_told(processes: Sequence[Process]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await run_all(processes, stop)


def main(place: str, *names: str) -> None:
    """Run the named processes of a place, given as ``Place.encoded`` writes it."""
    where = Place.decode(place)
    try:
        serve(build_together(names, where.values_of))
    except SettingsError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
