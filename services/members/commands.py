"""What the API does to member files: enrol, and change.

A file is written before its fact (see ``owing``), because personal data is not in the fact. Both
commands may be repeated: an enrolment is known by the digest of what was sent, a change that
changes nothing makes no fact.
"""

from base64 import b32encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec.structs import replace

from contracts.members import MemberEnrolled, MemberFileChanged
from kit.errors import ServiceError
from services.members.domain.file import MemberFile, changed, differences, filled
from services.members.owing import missing, pay
from services.members.views import (
    FILES,
    MemberRecord,
    decode_record,
    drafts,
    member_stream,
    owed_body,
    record_document,
)
from services.members.wiring import Wiring

ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Enrol:
    """Somebody joins. ``fields`` are those of the member file; a derived id came from a key."""

    member_id: str
    channel: str
    enrolled_at: int | None
    fields: Mapping[str, Any]
    derived_id: bool = False

    @property
    def digest(self) -> str:
        """What a retry is known by; the id itself is what it is looked up by."""
        sent = (self.channel, self.enrolled_at, self.fields)
        encoded = msgspec.json.encode(sent, order="sorted")
        return blake2b(encoded, digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What became of an enrolment; ``duplicate``: it had been made before."""

    record: MemberRecord | None = None
    duplicate: bool = False
    error: ServiceError | None = None


def derived_member_id(subject: str, key: str) -> str:
    """The member id that belongs to a caller's idempotency key."""
    digest = blake2b(f"{subject}\x00{key}".encode(), digest_size=10).digest()
    return "M" + b32encode(digest).decode().rstrip("=")


async def enrol(wiring: Wiring, enrolments: Sequence[Enrol]) -> list[Enrolled]:
    """Enrol members, in order for each id; an outcome for each, in the order given."""
    outcomes: list[Enrolled] = [Enrolled()] * len(enrolments)
    waiting = list(enumerate(enrolments))
    for _ in range(len(enrolments) + ATTEMPTS):
        if not waiting:
            break
        turn: dict[str, tuple[int, Enrol]] = {}
        for place, enrolment in waiting:
            turn.setdefault(enrolment.member_id, (place, enrolment))
        settled = await _enrol_distinct(wiring, dict(turn.values()))
        for place, outcome in settled.items():
            outcomes[place] = outcome
        waiting = [(place, each) for place, each in waiting if place not in settled]
    for place, _ in waiting:
        outcomes[place] = Enrolled(error=_contended())
    return outcomes


async def _enrol_distinct(wiring: Wiring, enrolments: Mapping[int, Enrol]) -> dict[int, Enrolled]:
    """Enrol members of different ids; those that met another writer are not in the answer."""
    ids = [enrolment.member_id for enrolment in enrolments.values()]
    documents = await wiring.views.load(FILES, ids)
    now = wiring.clock()
    settled: dict[int, Enrolled] = {}
    new: dict[str, tuple[int, MemberRecord]] = {}
    for place, enrolment in enrolments.items():
        if (document := documents.get(enrolment.member_id)) is None:
            new[enrolment.member_id] = place, _record_of(enrolment, now)
        else:
            settled[place] = _met(enrolment, decode_record(document))
    lost = await wiring.views.save(
        FILES, [record_document(0, record) for _, record in new.values()]
    )
    for member_id, (place, record) in new.items():
        if member_id not in lost:
            settled[place] = Enrolled(record)
    await _pay(wiring, [outcome.record for outcome in settled.values()])
    return settled


def _met(enrolment: Enrol, record: MemberRecord) -> Enrolled:
    """The member is there: because of this very enrolment, or of another."""
    if record.enrolled_with == enrolment.digest:
        return Enrolled(record, duplicate=True)
    if enrolment.derived_id:
        return Enrolled(error=_key_reused())
    return Enrolled(error=_already_enrolled(enrolment.member_id))


def _record_of(enrolment: Enrol, now: int) -> MemberRecord:
    file = changed(MemberFile(), enrolment.fields, now)
    at = now if enrolment.enrolled_at is None else enrolment.enrolled_at
    body = MemberEnrolled(enrolment.member_id, enrolment.channel, filled(file), file.region)
    return MemberRecord(
        member_id=enrolment.member_id,
        channel=enrolment.channel,
        enrolled_at=at,
        enrolled_with=enrolment.digest,
        seq=1,
        file=file,
        changed_at=now,
        owed=owed_body(1, "enrolled", at, now, body),
    )


async def change_file(wiring: Wiring, member_id: str, wanted: Mapping[str, Any]) -> MemberRecord:
    """Set the given fields of a member file, None clearing; return the file as it then is.

    Raises ServiceError ``missing``, and ``conflict`` when the file stays contended.
    """
    for _ in range(ATTEMPTS):
        document = (await wiring.views.load(FILES, [member_id])).get(member_id)
        if document is None:
            raise no_such_member(member_id)
        record = decode_record(document)
        await _pay(wiring, [record])
        after = _changed_record(record, wanted, wiring.clock())
        if after is record:
            return record
        if not await wiring.views.save(FILES, [record_document(document.version, after)]):
            await _pay(wiring, [after])
            return after
    raise _contended()


def _changed_record(record: MemberRecord, wanted: Mapping[str, Any], now: int) -> MemberRecord:
    file = changed(record.file, wanted, now)
    filled_now, cleared = differences(record.file, file)
    if not filled_now and not cleared:
        return record
    seq, at = record.seq + 1, max(now, record.changed_at)
    region = file.region if "region" in filled_now else None
    body = MemberFileChanged(record.member_id, filled_now, cleared, region)
    fact = owed_body(seq, f"changed:{seq}", at, at, body)
    return replace(record, file=file, seq=seq, changed_at=at, owed=fact)


async def _pay(wiring: Wiring, records: Sequence[MemberRecord | None]) -> None:
    """Bring the last fact of each file into the journal, unless it is there."""
    owing = sorted(
        (record for record in records if record is not None and record.owed is not None),
        key=lambda record: record.member_id,
    )
    facts = [
        draft
        for record in owing
        if record.owed is not None
        for draft in drafts(member_stream(record.member_id), [record.owed])
    ]
    await pay(wiring.files, await missing(wiring.files, facts))


def no_such_member(member_id: str) -> ServiceError:
    """Nobody has enrolled under this id."""
    return ServiceError(
        "missing", "no_such_member", f"There is no member {member_id}.", member_id=member_id
    )


def _already_enrolled(member_id: str) -> ServiceError:
    return ServiceError(
        "conflict",
        "already_enrolled",
        f"{member_id} is enrolled, with another content; change the file with PATCH",
        member_id=member_id,
    )


def _key_reused() -> ServiceError:
    return ServiceError(
        "conflict",
        "idempotency_key_reused",
        "This key was used before with another content; use a new key, or send the same content",
    )


def _contended() -> ServiceError:
    return ServiceError("conflict", "contended", "Too many writers on one member file; try again")
