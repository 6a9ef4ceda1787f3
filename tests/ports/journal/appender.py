"""A process that appends until it is killed, and says what was acknowledged.

``python -m tests.ports.journal.appender URL DRIVER NAME STREAM…``: each line it prints is a batch
that was acknowledged, as JSON: [[stream, seq, key], …].
"""

import asyncio
import json
import sys
from typing import get_args

from kit.journal.port import Draft, Journal
from kit.store import Driver, open_store
from tests.ports.stores import JOURNAL, draft


async def append_for_ever(journal: Journal, name: str, streams: list[str]) -> None:
    """Append three facts to each stream at a time, on heads read anew after a conflict."""
    heads = {stream: await journal.head(stream) for stream in streams}
    number = 0
    while True:
        batch: list[Draft] = []
        for stream in streams:
            for step in (1, 2, 3):
                number += 1
                batch.append(draft(stream, heads[stream] + step, f"{name}-{number}"))
        landed: list[Draft] = []
        for tried, appended in zip(batch, await journal.append(batch), strict=True):
            if appended.outcome == "appended":
                landed.append(tried)
                heads[tried.stream] = tried.seq
            elif appended.outcome == "seq_conflict":
                heads[tried.stream] = await journal.head(tried.stream)
        print(json.dumps([[one.stream, one.seq, one.key] for one in landed]), flush=True)


async def main(url: str, driver: Driver, name: str, streams: list[str]) -> None:
    store = open_store(url, "tests", driver)
    await append_for_ever(store.journal(JOURNAL), name, streams)


if __name__ == "__main__":
    drivers: dict[str, Driver] = {name: name for name in get_args(Driver)}
    asyncio.run(main(sys.argv[1], drivers[sys.argv[2]], sys.argv[3], sys.argv[4:]))
