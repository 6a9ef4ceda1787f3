"""A process that listens to a file's bell: says so, then ``heard`` once for each ring it hears."""

import asyncio
import sys
from pathlib import Path

from kit.sqlite.bell import Bell


async def main(path: str) -> None:
    bell = Bell(Path(path))
    bell.listen(lambda: print("heard", flush=True))
    print("listening", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
