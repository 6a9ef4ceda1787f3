"""How facts become documents: the relationship of each member, the member file, and the card.

``relationships`` is a view: it can be dropped and folded again. ``files`` is a record, the only
place where personal data is: a rebuild never touches it.
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import msgspec

from contracts.envelope import Fact, encode_fact
from contracts.members import CardChange, MemberCard
from contracts.topics import CARDS
from kit.bus.port import Message
from kit.journal.port import Draft
from kit.telemetry import current_traceparent
from kit.views.port import Collection, Document, IndexValue
from services.members.domain.file import MemberFile, searchable
from services.members.domain.relationship import Transition
from services.members.domain.state import Relationship

# ``standing`` is tier/stage of an enrolled member, ``due`` when time will bring the next change;
# 0 there means that a duty was interrupted and has something left to do.
RELATIONSHIPS = Collection(
    "relationships",
    fields={"standing": str, "due": int},
    indexes=(("standing",), ("due",)),
)
FILES = Collection(
    "files",
    fields={"name": str, "email": str, "phone": str},
    indexes=(("name",), ("email",), ("phone",)),
)
UNFINISHED = 0


class Owed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A fact that a document already counts with; it may not have reached the journal yet."""

    seq: int
    key: str
    type: str
    at: int
    posted_at: int
    body: msgspec.Raw
    trace: str | None = None


class Kept(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A relationship as it is stored; ``facts`` is the last seq of its stream."""

    state: Relationship
    facts: int = 0
    owed: tuple[Owed, ...] = ()

    @property
    def version(self) -> int:
        """Rises with everything that touches the card, and is the same after a rebuild."""
        return self.state.absorbed + self.state.file_seq + self.facts


class MemberRecord(msgspec.Struct, frozen=True):
    """The member file as it is stored; ``seq`` is the last of its stream ``member:{id}``.

    ``enrolled_with`` is the digest of what was sent to enrol, to know a retry by.
    """

    member_id: str
    channel: str
    enrolled_at: int
    enrolled_with: str
    seq: int
    file: MemberFile
    changed_at: int
    owed: Owed | None = None


_encoder = msgspec.json.Encoder()
_kept = msgspec.json.Decoder(Kept)
_record = msgspec.json.Decoder(MemberRecord)


def decode_kept(document: Document) -> Kept:
    """Read a relationship."""
    return _kept.decode(document.body)


def decode_record(document: Document) -> MemberRecord:
    """Read a member file."""
    return _record.decode(document.body)


def standing(state: Relationship) -> str | None:
    """What an enrolled member is found and counted by."""
    return f"{state.tier}/{state.stage}" if state.enrolment is not None else None


def kept_document(
    member_id: str, version: int, kept: Kept, *, unfinished: bool = False
) -> Document:
    """A relationship as a document that replaces ``version``."""
    state = kept.state
    due = UNFINISHED if unfinished else state.due[0].at if state.due else None
    index: dict[str, IndexValue] = {"standing": standing(state), "due": due}
    return Document(member_id, version, _encoder.encode(kept), index)


def record_document(version: int, record: MemberRecord) -> Document:
    """A member file as a document that replaces ``version``."""
    body = _encoder.encode(record)
    return Document(record.member_id, version, body, searchable(record.file))


def owed(seq: int, posted_at: int, transition: Transition, trace: str | None = None) -> Owed:
    """A transition as the fact it becomes."""
    body = msgspec.Raw(_encoder.encode(transition.body))
    name = type(transition.body).__name__
    return Owed(seq, transition.key, name, transition.at, posted_at, body, trace)


def owed_body(seq: int, key: str, at: int, posted_at: int, body: Any) -> Owed:
    """A fact about the member file, to be appended."""
    raw = msgspec.Raw(_encoder.encode(body))
    return Owed(seq, key, type(body).__name__, at, posted_at, raw, current_traceparent())


def drafts(stream: str, facts: Iterable[Owed]) -> list[Draft]:
    """What is owed to a stream, ready to append."""
    return [
        Draft(
            stream,
            fact.seq,
            fact.key,
            blake2b(fact.body, digest_size=16).digest(),
            fact.type,
            fact.at,
            fact.posted_at,
            bytes(fact.body),
            1,
            fact.trace,
        )
        for fact in facts
    ]


def relationship_stream(member_id: str) -> str:
    """The stream of a member's tier and stage changes."""
    return f"relationship:{member_id}"


def member_stream(member_id: str) -> str:
    """The stream of a member's file."""
    return f"member:{member_id}"


def card(member_id: str, state: Relationship) -> MemberCard | None:
    """The member card; None for somebody who has not enrolled."""
    joined = state.enrolment
    if joined is None:
        return None
    return MemberCard(
        member_id,
        state.absorbed,
        state.tier,
        state.stage,
        joined.at,
        joined.channel,
        state.changes,
        state.due,
        state.complete_from,
        joined.region,
    )


def card_message(
    member_id: str, kept: Kept, now: int, older: tuple[CardChange, ...] | None = None
) -> Message | None:
    """The card on its topic; ``older`` replaces the changes where more of them are needed."""
    made = card(member_id, kept.state)
    if made is None:
        return None
    if older is not None:
        made = msgspec.structs.replace(made, changes=older, complete_from=older[0].after_seq + 1)
    version, body = kept.version, msgspec.Raw(_encoder.encode(made))
    at = max(kept.state.clock, made.enrolled_at)
    fact = Fact(f"card:{member_id}", version, f"card:{version}", "MemberCard", at, now, body)
    return Message(CARDS.name, member_id, encode_fact(fact), {"type": b"MemberCard"})
