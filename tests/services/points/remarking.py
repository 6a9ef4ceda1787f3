"""What tests of remarks look at: the texts that are kept, and those that are anywhere else."""

import sqlite3
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from contracts.points import AccountMarked, PointsPosted
from kit.streams import Command, New
from kit.views.port import Query
from services.points.commands import deciding, digest
from services.points.domain.account import Account
from services.points.domain.deciding import Command as Payload
from services.points.remarks import REMARKS, Remark
from services.points.wiring import Wiring

SENT, RECEIVED = "/v1/members/M1/points/transfers", "/v1/members/M2/points/transfers"
CORRECTIONS = "/v1/members/M1/points/adjustments"
TEXT = "Für Jürgen, alles Gute"


class Line:
    """Something with a remark, an old note, or nothing."""

    def __init__(self, note: str | None = None, remark: str | None = None) -> None:
        self.note, self.remark = note, remark


async def remarks(wiring: Wiring) -> list[Remark]:
    """All remarks that are kept, by text."""
    found = await wiring.store.views.find(REMARKS, Query(limit=1000))
    kept = [msgspec.json.decode(document.body, type=Remark) for document in found]
    return sorted(kept, key=lambda each: each.text)


async def texts(wiring: Wiring) -> list[str]:
    """The texts that are kept."""
    return [each.text for each in await remarks(wiring)]


async def terms(wiring: Wiring, owner: str) -> list[Any]:
    """The terms of transfers and corrections in an account's facts."""
    found = []
    for fact in await wiring.entries.read(f"account:{owner}"):
        body = msgspec.json.decode(fact.body)
        found += [body[name] for name in ("transfer", "adjustment") if name in body]
    return found


async def post_old(wiring: Wiring, payload: Payload, key: str, content: tuple[object, ...]) -> None:
    """Make a fact as it was before there were remarks: with the text in it, and in its digest.

    ``content`` is what was asked for, the text last.
    """
    decide = deciding(wiring.rules.policy)

    def with_note(account: Account, command: Payload) -> list[New]:
        return [_with_note(new, str(content[-1])) for new in decide(account, command)]

    asking = Command(payload.owner, key, digest(*content), payload)
    (result,) = await wiring.ledger.execute([asking], with_note)
    assert result.error is None


def _with_note(new: New, note: str) -> New:
    body = new.body
    if isinstance(body, PointsPosted) and body.transfer is not None:
        body = replace(body, transfer=replace(body.transfer, note=note))
    elif isinstance(body, PointsPosted | AccountMarked) and body.adjustment is not None:
        body = replace(body, adjustment=replace(body.adjustment, note=note))
    return replace(new, body=body, after=None)


def tables_with(place: Path, text: str) -> set[str]:
    """The tables of all database files in a place that have this text in a row."""
    found = set()
    for file in place.rglob("*"):
        if file.is_file() and file.read_bytes()[:15] == b"SQLite format 3":
            found |= _tables_with(file, text)
    return found


def _tables_with(file: Path, text: str) -> set[str]:
    database = sqlite3.connect(file)
    names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE sql<>''")]
    found = set()
    for name in names:
        if not name.startswith("sqlite_"):
            for row in _rows(database, name):
                if any(_says(value, text) for value in row):
                    found.add(name)
    database.close()
    return found


def _rows(database: sqlite3.Connection, name: str) -> list[tuple[Any, ...]]:
    try:
        return database.execute(f'SELECT * FROM "{name}"').fetchall()
    except sqlite3.OperationalError:  # an index
        return []


def _says(value: object, text: str) -> bool:
    if isinstance(value, bytes):
        return text.encode() in value
    return text in value if isinstance(value, str) else False
