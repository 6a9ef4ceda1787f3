"""The driver: Motor, or PyMongo's AsyncMongoClient. Nothing else imports either.

Both speak the same methods; what differs between them is in ``connect``, ``_close`` and
``Documents.aggregate``. See docs/adr/0002-motor-and-its-successor.md.
"""

import asyncio
import inspect
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pymongo import ASCENDING, IndexModel, ReplaceOne, WriteConcern
from pymongo.errors import BulkWriteError, OperationFailure
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.uri_parser import parse_uri

from kit.errors import Unavailable
from kit.mongo.failures import DUPLICATE_KEY, as_outage, is_race, outages

Driver = Literal["motor", "pymongo"]
Row = dict[str, Any]
Filter = Mapping[str, Any]

DEFAULT_DATABASE = "mooring"
RACE_ATTEMPTS = 8
NAMESPACE_EXISTS = 48
# More rows than any question here asks for, so that the first answer is the whole one. Drivers ask
# for 101 and then again: on FerretDB 1,000 rows take a third less, and keep no connection busy.
ANSWER_ROWS = 1_001
# What the URL says goes first. A decision waits for the store no longer than a request may take.
_DEFAULTS: dict[str, Any] = {
    "appname": "mooring",
    "serverselectiontimeoutms": 5_000,
    "connecttimeoutms": 3_000,
    "sockettimeoutms": 20_000,
    "maxpoolsize": 64,
}
# An acknowledged write survives the loss of a machine, and a decision is never made on a fact
# that could still be rolled back: a gap would be left behind the fact that follows it.
_DURABLE = WriteConcern(w="majority", j=True)
_SETTLED = ReadConcern("majority")


@dataclass(frozen=True, slots=True)
class Index:
    """An index on fields, ascending; ``sparse`` leaves out what lacks them."""

    fields: tuple[str, ...]
    unique: bool = False
    sparse: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """One document of an insert that the server did not take, and its error code."""

    place: int
    code: int


class Client:
    """A connection pool to one database."""

    def __init__(self, url: str, driver: Driver) -> None:
        parsed = parse_uri(url, warn=False)
        given = {name.lower() for name in parsed["options"]}
        options = {name: value for name, value in _DEFAULTS.items() if name not in given}
        self._client = _connect(url, driver, options)
        self._database = self._client[parsed["database"] or DEFAULT_DATABASE]

    def documents(self, name: str) -> "Documents":
        """Return the collection ``name``, read from the primary and written durably."""
        return Documents(
            self._database.get_collection(
                name,
                write_concern=_DURABLE,
                read_concern=_SETTLED,
                read_preference=ReadPreference.PRIMARY,
            )
        )

    async def close(self) -> None:
        """Close the pool."""
        closing = self._client.close()
        if inspect.isawaitable(closing):
            await closing


def _connect(url: str, driver: Driver, options: dict[str, Any]) -> Any:
    if driver == "motor":
        from motor.motor_asyncio import AsyncIOMotorClient

        return AsyncIOMotorClient(url, **options)
    from pymongo import AsyncMongoClient

    return AsyncMongoClient(url, **options)


class Documents:
    """A collection: the few operations the adapters need, with errors already classified."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection
        self.name: str = collection.name

    async def create(self) -> None:
        """Create the collection, unless it is there: for one without indexes of its own."""
        with outages(self.name):
            try:
                await self._collection.database.command("create", self.name)
            except OperationFailure as error:
                if error.code != NAMESPACE_EXISTS:
                    raise

    async def create_indexes(self, indexes: Sequence[Index]) -> None:
        """Create indexes, unless they are there. Before the first write: later ones build late."""
        models = [
            IndexModel([(f, ASCENDING) for f in index.fields], **_options(index))
            for index in indexes
        ]
        if models:
            with outages(self.name):
                await self._collection.create_indexes(models)

    async def insert(self, rows: Sequence[Row], *, ordered: bool = False) -> list[Refused]:
        """Insert in one command and return what was refused; ``ordered`` stops at the first.

        What lost a race (a deadlock) is tried again, so only duplicates are ever refused.
        """
        refused: list[Refused] = []
        places: Sequence[int] = range(len(rows))
        for attempt in range(RACE_ATTEMPTS):
            faults = await self._insert_once([rows[place] for place in places], ordered=ordered)
            raced = [places[fault.place] for fault in faults if is_race(fault.code)]
            refused += [Refused(places[f.place], f.code) for f in faults if not is_race(f.code)]
            if not raced:
                return refused
            places = range(raced[0], len(rows)) if ordered else raced
            await _pause(attempt)
        raise Unavailable(self.name, "lost one race after another")

    async def _insert_once(self, rows: list[Row], *, ordered: bool) -> list[Refused]:
        with outages(self.name):
            try:
                await self._collection.insert_many(rows, ordered=ordered)
            except BulkWriteError as error:
                return _refused(error, self.name)
        return []

    async def find(
        self,
        where: Filter,
        *,
        sort: Sequence[tuple[str, int]] | None = None,
        limit: int = 0,
        fields: Sequence[str] | None = None,
    ) -> list[Row]:
        """Return all rows that match, up to ``limit``."""
        with outages(self.name):
            cursor = self._collection.find(
                where, fields, limit=limit, sort=sort, batch_size=ANSWER_ROWS
            )
            found: list[Row] = await cursor.to_list(None)
            return found

    async def replace(self, rows: Sequence[tuple[Filter, Row]]) -> int:
        """Replace each row that its filter matches, in one command; return how many matched."""
        matched = 0
        left: Sequence[tuple[Filter, Row]] = rows
        for attempt in range(RACE_ATTEMPTS):
            done, raced = await self._replace_once(left)
            matched += done
            if not raced:
                return matched
            left = [left[place] for place in raced]
            await _pause(attempt)
        raise Unavailable(self.name, "lost one race after another")

    async def _replace_once(self, rows: Sequence[tuple[Filter, Row]]) -> tuple[int, list[int]]:
        requests = [ReplaceOne(where, row) for where, row in rows]
        with outages(self.name):
            try:
                result = await self._collection.bulk_write(requests, ordered=False)
            except BulkWriteError as error:
                raced = [fault.place for fault in _refused(error, self.name)]
                return error.details["nMatched"], raced
            matched: int = result.matched_count
            return matched, []

    async def unset(self, where: Filter, field: str) -> None:
        """Remove a field from every row that matches."""
        for attempt in range(RACE_ATTEMPTS):
            with outages(self.name):
                try:
                    await self._collection.update_many(where, {"$unset": {field: ""}})
                except OperationFailure as error:
                    if not is_race(error.code) or attempt == RACE_ATTEMPTS - 1:
                        raise
                else:
                    return
            await _pause(attempt)

    async def delete(self, where: Filter) -> None:
        """Remove every row that matches."""
        with outages(self.name):
            await self._collection.delete_many(where)

    async def aggregate(self, pipeline: Sequence[Mapping[str, Any]]) -> list[Row]:
        """Return the rows of an aggregation."""
        with outages(self.name):
            cursor = self._collection.aggregate(list(pipeline))
            if inspect.isawaitable(cursor):  # PyMongo sends it here, Motor with the first read
                cursor = await cursor
            rows: list[Row] = await cursor.to_list(None)
            return rows


def _options(index: Index) -> dict[str, bool]:
    """Name only what is wanted: a server takes another option for another index."""
    wanted = {"unique": index.unique, "sparse": index.sparse}
    return {name: True for name, value in wanted.items() if value}


def _refused(error: BulkWriteError, what: str) -> list[Refused]:
    """Read a bulk error: duplicates and lost races are answers, anything else is an outage.

    What was written but not acknowledged by a majority is in doubt, which is an outage too.
    """
    details = error.details
    if details.get("writeConcernErrors"):
        raise Unavailable(what, f"not acknowledged: {details['writeConcernErrors'][0]}")
    faults = details["writeErrors"]
    for fault in faults:
        if fault["code"] != DUPLICATE_KEY and not is_race(fault["code"]):
            raise as_outage(what, OperationFailure(fault.get("errmsg", ""), fault["code"]))
    return [Refused(fault["index"], fault["code"]) for fault in faults]


async def _pause(attempt: int) -> None:
    await asyncio.sleep(random.uniform(0, 0.01) * 2**attempt)
