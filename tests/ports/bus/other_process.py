"""A second process on an embedded bus, obeying one order a line on its standard input.

``publish TOPIC KEY COUNT`` · ``poll TOPIC GROUP COUNT`` · ``commit`` · ``quit``. Each is answered
with a line.
"""

import asyncio
import sys
from pathlib import Path

from kit.bus.port import Message, Subscription
from kit.bus.sqlite import SqliteBus


async def main(directory: str, lease_seconds: str) -> None:
    bus = SqliteBus(Path(directory), float(lease_seconds))
    subscription: Subscription | None = None
    while True:
        order = (await asyncio.to_thread(sys.stdin.readline)).split()
        match order:
            case ["publish", topic, key, count]:
                for number in range(int(count)):
                    await bus.publish([Message(topic, key, f"{key}:{number}".encode())])
                print("published", flush=True)
            case ["poll", topic, group, count]:
                subscription = subscription or bus.subscribe([topic], group)
                received = await subscription.poll(int(count), 5.0)
                print(*(it.value.decode() for it in received), flush=True)
            case ["commit"]:
                assert subscription is not None
                await subscription.commit()
                print("committed", flush=True)
            case _:
                await bus.close()
                return


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
