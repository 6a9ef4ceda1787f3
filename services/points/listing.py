"""Lists that no account alone can answer: transfers, adjustments, the pools of a member.

Each is a collection of rows, written by whoever follows the service's own entries, and by the
rebuild, through ``absorb``. Facts may come more than once, and those of two streams in any order:
what a sender's entry says of a transfer and what the receiver's says never overlap, and rows of one
stream remember the seq they are of. So the rows depend on the facts alone.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from contracts.envelope import Fact
from contracts.points import AccountMarked, PointsPosted
from kit.errors import ServiceError
from kit.views.port import Collection, Document, IndexValue, Query, Views
from services.points.commands import body_of

TRANSFERS = Collection(
    "transfers",
    fields={"sender": str, "receiver": str, "status": str, "newest": int},
    indexes=(("receiver", "status", "newest"), ("receiver", "newest"), ("sender", "newest")),
)
ADJUSTMENTS = Collection(
    "adjustments",
    fields={"status": str, "member": str, "newest": int},
    indexes=(("status", "newest"), ("member", "newest")),
)
POOL_MEMBERS = Collection("pool_members", fields={"member": str}, indexes=(("member",),))
COLLECTIONS = (TRANSFERS, ADJUSTMENTS, POOL_MEMBERS)
KINDS = frozenset(
    (
        "transfer_out",
        "transfer_in",
        "transfer_declined",
        "adjustment_requested",
        "adjustment_rejected",
        "adjust",
        "pool_opened",
        "pool_invited",
        "pool_joined",
        "pool_left",
    )
)
"""The kinds of entries and marks that change a row."""
ATTEMPTS = 20
Body = PointsPosted | AccountMarked


class TransferRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """A transfer as both sides see it. Times in microseconds; ``sent_at`` 0: not known yet.

    ``status``: offered, arriving (needs no acceptance), accepted, declined, withdrawn, timed_out.
    """

    transfer_id: str
    sender: str = ""
    receiver: str = ""
    wallet: str = ""
    points: int = 0
    until: int = 0
    at_once: bool = False
    note: str | None = None
    sent_at: int = 0
    ended_at: int = 0
    ended: str | None = None
    remark: str | None = None

    @property
    def status(self) -> str:
        """Where it stands."""
        return self.ended or ("arriving" if self.at_once else "offered")

    def index(self) -> Mapping[str, IndexValue]:
        """By what lists ask for: known once the sender's entry is."""
        return {
            "sender": self.sender,
            "receiver": self.receiver,
            "status": self.status,
            "newest": -self.sent_at,
        }


class AdjustmentRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """A manual correction or the request for one. ``status``: open, booked, rejected."""

    request_id: str
    member_id: str
    seq: int
    wallet: str
    points: int
    reason: str
    by: str
    asked_at: int
    status: str
    note: str | None = None
    decided_at: int = 0
    decided_by: str | None = None
    rejected_because: str | None = None
    remark: str | None = None
    waits_because: str | None = None

    def index(self) -> Mapping[str, IndexValue]:
        """By what lists ask for."""
        return {"status": self.status, "member": self.member_id, "newest": -self.asked_at}


class PoolMemberRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """Somebody's place in a pool. ``status``: invited, joined, left."""

    pool_id: str
    member_id: str
    seq: int
    role: str
    status: str

    def index(self) -> Mapping[str, IndexValue]:
        """Who has left finds it no more."""
        return {"member": None if self.status == "left" else self.member_id}


Row = TransferRow | AdjustmentRow | PoolMemberRow
R = TypeVar("R", TransferRow, AdjustmentRow, PoolMemberRow)
Facts = dict[str, list[tuple[Fact, Body]]]
_encoder = msgspec.json.Encoder()


class _Kind(msgspec.Struct):
    kind: str


_kind = msgspec.json.Decoder(_Kind)


async def absorb(views: Views, facts: Iterable[Fact]) -> None:
    """Take in facts of accounts; those that concern no list are passed over."""
    found: dict[str, Facts] = {collection.name: {} for collection in COLLECTIONS}
    for fact, body in told_by(facts):
        collection, id_ = place_of(fact, body)
        found[collection.name].setdefault(id_, []).append((fact, body))
    for collection in COLLECTIONS:
        kind, step = ROWS[collection.name]
        await _fold(views, collection, kind, found[collection.name], step)


def told_by(facts: Iterable[Fact]) -> Iterator[tuple[Fact, Body]]:
    """Those facts that change a row, with their bodies; few do, so the others are not decoded."""
    for fact in facts:
        if _kind.decode(fact.body).kind in KINDS:
            yield fact, body_of(fact)


def place_of(fact: Fact, body: Body) -> tuple[Collection, str]:
    """The row that a fact changes."""
    if isinstance(body, PointsPosted):
        if body.transfer is not None:
            return TRANSFERS, body.transfer.transfer_id
        assert body.adjustment is not None
        return ADJUSTMENTS, body.adjustment.request_id
    if body.kind == "transfer_declined":
        return TRANSFERS, body.mark_id
    if body.adjustment is not None:
        return ADJUSTMENTS, body.adjustment.request_id
    return POOL_MEMBERS, f"{fact.owner[1:]}.{body.other}"


async def _fold(
    views: Views,
    collection: Collection,
    kind: type[Row],
    facts: Facts,
    step: Callable[[Any, Fact, Any], Row],
) -> None:
    """Change the rows that facts are about; those that somebody else wrote meanwhile, again."""
    left = facts
    for _ in range(ATTEMPTS):
        if not left:
            return
        there = await views.load(collection, list(left))
        documents = []
        for id_, news in left.items():
            document = there.get(id_)
            before: Row | None = msgspec.json.decode(document.body, type=kind) if document else None
            row = before
            for fact, body in news:
                row = step(row, fact, body)
            if row != before and row is not None:
                version = document.version if document else 0
                documents.append(Document(id_, version, _encoder.encode(row), row.index()))
        lost = await views.save(collection, documents) if documents else []
        left = {id_: left[id_] for id_ in lost}
    if left:
        raise ServiceError("conflict", "contended", "Too many writers of lists; try again")


def _transfer(row: TransferRow | None, fact: Fact, body: Body) -> TransferRow:
    if isinstance(body, AccountMarked):
        row = row or TransferRow(body.mark_id)
        return replace(row, ended=how_ended(body), ended_at=fact.occurred_at)
    terms = body.transfer
    assert terms is not None
    row = row or TransferRow(terms.transfer_id)
    if body.kind == "transfer_in":
        return replace(row, ended=how_ended(body), ended_at=fact.occurred_at)
    return replace(
        row,
        sender=fact.owner,
        receiver=terms.other,
        wallet=terms.parcels[0].wallet,
        points=sum(parcel.points for parcel in terms.parcels),
        until=terms.until,
        at_once=terms.at_once,
        note=terms.note,
        remark=terms.remark,
        sent_at=fact.occurred_at,
    )


def how_ended(body: Body) -> str:
    """How the receiver's fact ended a transfer: accepted, declined, withdrawn or timed_out."""
    if isinstance(body, PointsPosted):
        return "accepted"
    reason = (body.reason or "").replace(" ", "_")
    return reason if reason in ("withdrawn", "timed_out") else "declined"


def _adjustment(row: AdjustmentRow | None, fact: Fact, body: Body) -> AdjustmentRow:
    if row is not None and fact.seq <= row.seq:
        return row
    terms = body.adjustment
    assert terms is not None
    row = row or AdjustmentRow(
        terms.request_id,
        fact.owner,
        fact.seq,
        terms.wallet,
        terms.points,
        terms.reason,
        terms.by,
        fact.occurred_at,
        "open",
        terms.note,
        remark=terms.remark,
        waits_because=terms.waits_because,
    )
    row = replace(row, seq=fact.seq)
    if body.kind == "adjust":
        return replace(
            row, status="booked", decided_at=fact.occurred_at, decided_by=terms.approved_by
        )
    if body.kind == "adjustment_rejected":
        return replace(
            row,
            status="rejected",
            decided_at=fact.occurred_at,
            decided_by=body.by,
            rejected_because=body.reason,
        )
    return row


_STATUS = {"pool_opened": "joined", "pool_invited": "invited", "pool_joined": "joined"}


def _pool_member(row: PoolMemberRow | None, fact: Fact, body: AccountMarked) -> PoolMemberRow:
    if row is not None and fact.seq <= row.seq:
        return row
    assert body.other is not None
    role = body.role or (row.role if row is not None else "contributor")
    status = _STATUS.get(body.kind, "left")
    return PoolMemberRow(fact.owner[1:], body.other, fact.seq, role, status)


ROWS: Mapping[str, tuple[type[Row], Callable[[Any, Fact, Any], Row]]] = {
    TRANSFERS.name: (TransferRow, _transfer),
    ADJUSTMENTS.name: (AdjustmentRow, _adjustment),
    POOL_MEMBERS.name: (PoolMemberRow, _pool_member),
}
"""By collection: what its rows are, and how a fact changes one."""

Position = tuple[int, str]


async def transfers(
    views: Views, equals: Mapping[str, IndexValue], limit: int, after: Position | None
) -> tuple[list[TransferRow], Position | None]:
    """Return transfers, newest first, and the position to go on behind."""
    return await _page(views, TRANSFERS, TransferRow, equals, limit, after)


async def adjustments(
    views: Views, equals: Mapping[str, IndexValue], limit: int, after: Position | None
) -> tuple[list[AdjustmentRow], Position | None]:
    """Return adjustments, newest first, and the position to go on behind."""
    return await _page(views, ADJUSTMENTS, AdjustmentRow, equals, limit, after)


async def _page(
    views: Views,
    collection: Collection,
    kind: type[R],
    equals: Mapping[str, IndexValue],
    limit: int,
    after: Position | None,
) -> tuple[list[R], Position | None]:
    query = Query(equals=equals, order_by="newest", after=after, limit=limit + 1)
    documents = await views.find(collection, query)
    rows = [msgspec.json.decode(document.body, type=kind) for document in documents[:limit]]
    if len(documents) <= limit:
        return rows, None
    last = documents[limit - 1]
    return rows, (int(last.index["newest"] or 0), last.id)


async def pools_of(
    views: Views, member_id: str, limit: int, after: str | None
) -> tuple[list[PoolMemberRow], str | None]:
    """Return the pools a member is in or invited to, and the id to go on behind."""
    behind = None if after is None else (None, after)
    query = Query(equals={"member": member_id}, after=behind, limit=limit + 1)
    documents = await views.find(POOL_MEMBERS, query)
    shown = documents[:limit]
    rows = [msgspec.json.decode(document.body, type=PoolMemberRow) for document in shown]
    return rows, shown[-1].id if len(documents) > limit else None
