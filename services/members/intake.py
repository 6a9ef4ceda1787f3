"""From a request's body to an enrolment; batches are split so that one bad item spoils no other."""

from typing import Any

import msgspec
from pydantic import TypeAdapter, ValidationError

from kit.auth import Principal
from kit.auth.dependencies import check_roles
from kit.clock import SECOND, to_micros
from kit.errors import ServiceError
from kit.http.json_body import malformed_json
from kit.http.validation import invalid_body
from services.members.commands import Enrol, derived_member_id
from services.members.schemas import EnrolBody

EARLIEST = 631_152_000 * SECOND  # 1990-01-01
TOLERANCE = 300 * SECOND  # clocks of senders may be fast
MOST_IN_BATCH = 1_000
CLERKS = ("agent", "partner", "operator")
OWN_CHANNELS = ("app", "web")

_enrol_body: TypeAdapter[EnrolBody] = TypeAdapter(EnrolBody)


class _Batch(msgspec.Struct, forbid_unknown_fields=True):
    members: list[msgspec.Raw]


def split_batch(body: bytes) -> list[bytes]:
    """The items of a batch, unread."""
    try:
        items = msgspec.json.decode(body, type=_Batch).members
    except msgspec.ValidationError as error:
        raise _invalid(f"A batch is an object with a list `members`: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed_json(error) from error
    if not 1 <= len(items) <= MOST_IN_BATCH:
        raise _invalid(f"A batch has 1 to {MOST_IN_BATCH} members; this one has {len(items)}")
    return [bytes(item) for item in items]


def read_item(raw: bytes, place: int, now: int) -> Enrol:
    """One item of a batch, which must name its member; raises ServiceError naming the fields."""
    try:
        body = _enrol_body.validate_json(raw)
    except ValidationError as error:
        raise invalid_body(error, _plain(raw), within=f"members[{place}]") from error
    if body.member_id is None:
        raise _field(f"members[{place}].member_id", "is required in a batch", "Add it.")
    return _enrol(body, body.member_id, now, within=f"members[{place}].")


def _plain(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def enrolment(body: EnrolBody, principal: Principal, key: str | None, now: int) -> Enrol:
    """A single enrolment: a clerk's of anybody, or a member's of themselves.

    Raises ServiceError when it is not theirs to make, or when nothing says a retry from a new one.
    """
    if not principal.has(*CLERKS):
        return _own(body, principal, now)
    if body.member_id is not None:
        return _enrol(body, body.member_id, now)
    if key is None:
        message = "Send an Idempotency-Key, or a member_id: else a retry would enrol twice"
        raise ServiceError("malformed", "idempotency_key_missing", message)
    return _enrol(body, derived_member_id(principal.subject, key), now, derived=True)


def _own(body: EnrolBody, principal: Principal, now: int) -> Enrol:
    member_id = body.member_id or principal.member_id
    check_roles(principal, CLERKS, owner_of=member_id)
    assert member_id is not None
    if body.channel not in OWN_CHANNELS:
        message = f"Members enrol themselves through {' or '.join(OWN_CHANNELS)}"
        raise ServiceError("forbidden", "channel_not_allowed", message)
    if body.enrolled_at is not None:
        raise ServiceError("forbidden", "time_not_allowed", "Members enrol now; leave enrolled_at")
    return _enrol(body, member_id, now)


def _enrol(
    body: EnrolBody, member_id: str, now: int, *, derived: bool = False, within: str = ""
) -> Enrol:
    at = None if body.enrolled_at is None else to_micros(body.enrolled_at)
    if at is not None and not EARLIEST <= at <= now + TOLERANCE:
        wrong = "is before 1990" if at < EARLIEST else "is more than 5 minutes from now"
        raise _field(f"{within}enrolled_at", wrong, "Send the time at which they joined.")
    return Enrol(member_id, body.channel, at, body.filled(), derived)


def _field(field: str, message: str, fix: str) -> ServiceError:
    errors = [{"field": field, "message": message, "fix": fix}]
    return ServiceError(
        "invalid", "invalid_request", f"1 field is not valid: {field} {message}.", errors=errors
    )


def _invalid(message: str) -> ServiceError:
    return ServiceError("invalid", "invalid_request", message)
