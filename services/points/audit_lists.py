"""What an auditor asks of the lists: does each row say what the entries say?

Rows follow the entries, so one that is behind is no breakage as long as it moves. It is suspected,
and looked at again; what has not moved within ``patience_seconds`` is broken, or waits for a worker
that does not run.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from contracts.envelope import Fact
from kit.audit import PATIENCE_SECONDS, Verdict, confirm
from kit.views.port import Collection, Document
from services.points.listing import (
    COLLECTIONS,
    ROWS,
    TRANSFERS,
    Body,
    Row,
    place_of,
    told_by,
)
from services.points.wiring import Wiring

Told = list[tuple[Fact, Body]]
ByRow = dict[tuple[str, str], Told]


async def examine(wiring: Wiring, patience_seconds: float = PATIENCE_SECONDS) -> Verdict:
    """Compare every row with the entries it is made of."""
    verdict, stream = Verdict(), ""
    told: Told = []
    async for facts in wiring.entries.scan():
        for fact in facts:
            if fact.stream != stream:
                await _compare(wiring, told, verdict)
                stream, told = fact.stream, []
            told += told_by([fact])
    await _compare(wiring, told, verdict)

    async def look_again(owners: Sequence[str]) -> Verdict:
        again = Verdict()
        for owner in owners:
            await _compare(wiring, await _told(wiring, owner), again)
        return again

    await confirm(verdict, look_again, patience_seconds)
    verdict.findings = list(dict.fromkeys(verdict.findings))  # a transfer has two sides
    return verdict


async def _told(wiring: Wiring, owner: str) -> Told:
    facts = (await wiring.entries.read_many({wiring.ledger.stream(owner): 0})).values()
    return [each for found in facts for each in told_by(found)]


async def _compare(wiring: Wiring, told: Told, verdict: Verdict) -> None:
    """Compare the rows that facts of one account are about with what these say."""
    rows: ByRow = {}
    for fact, body in told:
        collection, id_ = place_of(fact, body)
        rows.setdefault((collection.name, id_), []).append((fact, body))
    for collection in COLLECTIONS:
        of_this = {id_: each for (name, id_), each in rows.items() if name == collection.name}
        if not of_this:
            continue
        there = await wiring.store.views.load(collection, list(of_this))
        for id_, news in of_this.items():
            owner = news[0][0].owner
            if (document := there.get(id_)) is None:
                verdict.suspect(owner, f"{collection.name} {id_}: it is not in the list")
                continue
            for behind, sentence in _differences(collection, document, news):
                if behind:
                    verdict.suspect(owner, sentence)
                else:
                    verdict.findings.append(sentence)


def _differences(
    collection: Collection, document: Document, told: Told
) -> Iterator[tuple[bool, str]]:
    """How a row differs from what its facts say, and whether it is merely behind them."""
    kind, step = ROWS[collection.name]
    row: Any = msgspec.json.decode(document.body, type=kind)
    name = f"{collection.name} {document.id}"
    if {k: v for k, v in document.index.items() if v is not None} != _filled(row):
        yield False, f"{name}: it is found by {dict(document.index)}, not by {_filled(row)}"
    if collection is TRANSFERS:
        for fact, body in told:
            if step(row, fact, body) != row:
                known = row.sent_at if body.kind == "transfer_out" else row.ended
                yield not known, f"{name}: it does not say what {fact.id} says"
        return
    states, state = {}, None
    for fact, body in told:
        state = states[fact.seq] = step(state, fact, body)
    if row.seq > told[-1][0].seq:
        yield True, f"{name}: it says more than its entries did when they were read"
    elif states.get(row.seq) != row:
        yield False, f"{name}: it is not what its entries make ({state})"
    elif row != state:
        yield True, f"{name}: it does not say what {told[-1][0].id} says"


def _filled(row: Row) -> dict[str, object]:
    return {name: value for name, value in row.index().items() if value is not None}
