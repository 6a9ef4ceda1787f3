"""What an operator does with the dead letters of a consumer group."""

import getpass
import os
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import typer
from rich.console import Console

from kit.bus import dead_letters, dropping
from kit.bus.dropped import Place as At
from kit.bus.open import open_bus
from kit.bus.port import Bus
from mooring.environment import Place

_PLACE = re.compile(r"[0-9]{1,9}:[0-9]{1,18}")


@dataclass(frozen=True)
class Desk:
    """The dead letters of one group, from one topic."""

    place: Place
    out: Console
    group: str
    topic: str

    async def list_waiting(self) -> None:
        """Print what a re-drive would send back, each by the name that ``drop`` takes."""
        async with self._bus() as bus:
            letters = await dead_letters.peek(bus, self.topic, self.group)
        for it in letters:
            self._say(f"{it.partition}:{it.offset} {it.reason} {it.key}: {it.error}")
        self._say(f"{len(letters)} dead letters of {self.group} on {self.topic}")

    async def redrive(self) -> None:
        """Send them back."""
        async with self._bus() as bus:
            count = await dead_letters.redrive(bus, self.topic, self.group)
        self._say(f"{count} sent back")

    async def drop(self, names: Sequence[str], reason: str, by: str | None) -> None:
        """Give some up."""
        places = [place_of(name) for name in names]
        wanted = dropping.Drop(self.topic, self.group, places, reason, by or _login())
        async with self._bus() as bus:
            count = await dropping.drop(bus, wanted)
        before = len(set(places)) - count
        self._say(f"{count} dropped" + (f", {before} had been before" if before else ""))

    async def list_dropped(self) -> None:
        """Print what was given up, when, by whom and why."""
        async with self._bus() as bus:
            dropped = await dropping.given_up(bus, self.topic, self.group)
        for it in dropped:
            self._say(f"{it.partition}:{it.offset} {it.key} at {it.at} by {it.by}: {it.reason}")
        self._say(f"{len(dropped)} dropped of {self.group} on {self.topic}")

    @asynccontextmanager
    async def _bus(self) -> AsyncIterator[Bus]:
        bus = open_bus(self.place.bus())
        try:
            yield bus
        finally:
            await bus.close()

    def _say(self, line: str) -> None:
        self.out.print(line, markup=False, soft_wrap=True)


def place_of(name: str) -> At:
    """Read a letter's name as the listing prints it."""
    if not _PLACE.fullmatch(name):
        raise typer.BadParameter(f"'{name}' is not PARTITION:OFFSET as the listing prints it")
    partition, offset = name.split(":")
    return int(partition), int(offset)


def _login() -> str:
    """Who runs this; in a container there may be no more than a number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
