"""A document database in memory, whose commands happen when a test lets them.

A process stops before each command. A test lets it go on, leaves it asleep, or kills it, so that a
command's effect is there or is not, and its answer never arrives.
"""

import asyncio
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import ge, gt, le, lt
from typing import Any

from kit.mongo.driver import Documents, Filter, Index, Refused, Row
from kit.mongo.failures import DUPLICATE_KEY

_COMPARED = {"$gt": gt, "$gte": ge, "$lt": lt, "$lte": le}


def matches(row: Row, where: Filter) -> bool:
    """Whether a row satisfies the few kinds of filters that a journal uses."""
    return all(
        any(matches(row, each) for each in wanted) if name == "$or" else _fits(row, name, wanted)
        for name, wanted in where.items()
    )


def _fits(row: Row, name: str, wanted: Any) -> bool:
    if name not in row:
        return False
    if not isinstance(wanted, Mapping):
        return bool(row[name] == wanted)
    return all(
        row[name] in value if how == "$in" else _COMPARED[how](row[name], value)
        for how, value in wanted.items()
    )


@dataclass(eq=False)
class Waiting:
    """A command of a process that has not happened yet."""

    process: str
    released: "asyncio.Future[bool]"
    has_happened: bool = False


@dataclass
class Database:
    """The collections of all processes, and the commands that wait."""

    rows: dict[str, dict[str, Row]] = field(default_factory=dict)
    waiting: list[Waiting] = field(default_factory=list)
    free: bool = True  # else commands wait, before they happen and before their answers arrive
    held: set[str] = field(default_factory=set)  # whose commands wait all the same
    keys: dict[str, set[tuple[Any, Any]]] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)

    def process(self, name: str) -> "Process":
        """Return a connection under a name."""
        return Process(self, name)

    async def turn(self, process: str, *, has_happened: bool) -> None:
        """Return when a test lets this process go on."""
        if self.free and process not in self.held:
            return
        waiting = Waiting(process, asyncio.get_running_loop().create_future(), has_happened)
        self.waiting.append(waiting)
        try:
            await waiting.released
        finally:
            self.waiting.remove(waiting)

    async def go_on(
        self,
        chance: random.Random,
        asleep: frozenset[str] = frozenset(),
        but: Waiting | None = None,
    ) -> bool:
        """Let one command happen, or one answer arrive; False when none waits."""
        for _ in range(20):
            await asyncio.sleep(0)
        awake = [e for e in self.waiting if e.process not in asleep and e is not but]
        if awake:
            chance.choice(awake).released.set_result(True)
        for _ in range(20):
            await asyncio.sleep(0)
        return bool(awake)


@dataclass(frozen=True)
class Process:
    """What a process has of the database; where ``MongoJournal`` wants a client."""

    database: Database
    name: str

    def documents(self, name: str) -> Documents:
        """Return a collection."""
        return MemoryDocuments(self, name)


class MemoryDocuments(Documents):
    """A collection; facts have the unique indexes of a journal."""

    def __init__(self, process: Process, name: str) -> None:
        self.name = name
        self._database, self._process = process.database, process.name
        self._rows = process.database.rows.setdefault(name, {})

    async def _before(self, command: str) -> None:
        await self._database.turn(self._process, has_happened=False)
        self._database.done.append(f"{command} {self.name}")

    async def _after(self) -> None:
        await self._database.turn(self._process, has_happened=True)

    def _about(self, where: Filter) -> Iterable[Row]:
        ids = where.get("_id")
        if isinstance(ids, Mapping) and "$in" in ids:
            return [self._rows[id_] for id_ in ids["$in"] if id_ in self._rows]
        return self._rows.values()

    async def create(self) -> None:
        """It is there."""

    async def create_indexes(self, indexes: Sequence[Index]) -> None:
        """They are there."""

    async def insert(self, rows: Sequence[Row], *, ordered: bool = False) -> list[Refused]:
        await self._before("insert")
        refused: list[Refused] = []
        keys = self._database.keys.setdefault(self.name, set())
        for place, row in enumerate(rows):
            key = (row.get("stream"), row.get("key"))
            if row["_id"] in self._rows or key in keys:
                refused.append(Refused(place, DUPLICATE_KEY))
                if ordered:
                    break
                continue
            self._rows[row["_id"]] = dict(row)
            if "key" in row:
                keys.add(key)
        await self._after()
        return refused

    async def find(
        self,
        where: Filter,
        *,
        sort: Sequence[tuple[str, int]] | None = None,
        limit: int = 0,
        fields: Sequence[str] | None = None,
    ) -> list[Row]:
        await self._before("find")
        found = [dict(row) for row in self._about(where) if matches(row, where)]
        for name, direction in reversed(sort or ()):
            found.sort(key=lambda row: row[name], reverse=direction < 0)
        found = found[: limit or None]
        if fields is not None:
            found = [{n: v for n, v in row.items() if n in ("_id", *fields)} for row in found]
        await self._after()
        return found

    async def replace(self, rows: Sequence[tuple[Filter, Row]]) -> int:
        await self._before("replace")
        matched = 0
        for where, row in rows:
            for id_ in [id_ for id_, each in self._rows.items() if matches(each, where)]:
                self._rows[id_] = dict(row)
                matched += 1
        await self._after()
        return matched

    async def unset(self, where: Filter, field: str) -> None:
        await self._before("unset")
        for row in self._rows.values():
            if matches(row, where):
                row.pop(field, None)
        await self._after()

    async def delete(self, where: Filter) -> None:
        await self._before("delete")
        for id_ in [id_ for id_, row in self._rows.items() if matches(row, where)]:
            del self._rows[id_]
        await self._after()
