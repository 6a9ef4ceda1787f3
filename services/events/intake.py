"""From a request's body to an activity in its one normal form, ready to be recorded.

Two bodies that say the same become the same bytes, so the hash tells a retry from a misuse of the
id: lines are numbered, left-out amounts filled in, attributes sorted, times in microseconds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import msgspec
from pydantic import ValidationError

from contracts.events import ActivityRecorded, PurchaseLine, ReturnRequest
from kit.clock import SECOND, to_micros
from kit.errors import ServiceError
from kit.http.json_body import malformed_json
from kit.http.validation import invalid_body
from services.events.domain.identity import activity_id, is_source_of
from services.events.schemas import (
    ContactBody,
    CustomBody,
    PurchaseBody,
    PurchaseRef,
    Recorded,
    ReturnBody,
    ReviewBody,
    activity_body,
)

EARLIEST = 631_152_000 * SECOND  # 1990-01-01
TOLERANCE = 300 * SECOND  # clocks of senders may be fast
MOST_IN_BATCH = 1_000

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Intake:
    """An activity as it came in.

    ``purchase_of``: the purchase that this return names by id must be from a source of this
    partner. Ids tell nothing of their source, so that is looked up when it is recorded.
    """

    activity: ActivityRecorded
    occurred_at: int
    input_hash: bytes
    purchase_of: str | None = None


class _Batch(msgspec.Struct, forbid_unknown_fields=True):
    activities: list[msgspec.Raw]


def split_batch(body: bytes) -> list[bytes]:
    """The items of a batch, unread: one that is wrong must not spoil the others."""
    try:
        items = msgspec.json.decode(body, type=_Batch).activities
    except msgspec.ValidationError as error:
        raise ServiceError(
            "invalid",
            "invalid_request",
            f"A batch is an object with a list `activities`: {error}",
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed_json(error) from error
    if not 1 <= len(items) <= MOST_IN_BATCH:
        raise ServiceError(
            "invalid",
            "invalid_request",
            f"A batch has 1 to {MOST_IN_BATCH} activities; this one has {len(items)}",
        )
    return [bytes(item) for item in items]


def read_item(raw: bytes, place: int, now: int, partner: str | None = None) -> Intake:
    """One item of a batch; raises ServiceError that names the fields at fault."""
    try:
        body = activity_body.validate_json(raw)
    except ValidationError as error:
        raise invalid_body(error, _plain(raw), within=f"activities[{place}]") from error
    return normalised(body, now, partner, within=f"activities[{place}].")


def _plain(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def normalised(body: Recorded, now: int, partner: str | None = None, *, within: str = "") -> Intake:
    """The activity in its normal form; raises ServiceError when its time cannot be.

    With a ``partner``, also when it is not all from sources of that partner.
    """
    if partner is not None and not is_source_of(body.source, partner):
        raise _foreign_source(f"{within}source", body.source, partner)
    occurred_at = to_micros(body.occurred_at)
    if not EARLIEST <= occurred_at <= now + TOLERANCE:
        raise _impossible_time(f"{within}occurred_at", occurred_at < EARLIEST)
    activity = ActivityRecorded(
        activity_id(body.source, body.external_id),
        body.member_id,
        body.source,
        body.external_id,
        body.type,  # type: ignore[attr-defined]
        body.channel,
        store=body.store,
        **_SPECIFIC[type(body)](body),
    )
    purchase_of = None
    if partner is not None and isinstance(body, ReturnBody):
        purchase_of = _own_purchase(body.purchase, partner, within)
    return Intake(activity, occurred_at, input_hash(activity, occurred_at), purchase_of)


def _own_purchase(purchase: PurchaseRef, partner: str, within: str) -> str | None:
    """Refuse another's source; the partner, when it is still to be looked up whose it is."""
    if purchase.source is not None and not is_source_of(purchase.source, partner):
        raise _foreign_source(f"{within}purchase.source", purchase.source, partner)
    return partner if purchase.activity_id is not None else None


def _foreign_source(field: str, source: str, partner: str) -> ServiceError:
    message = f"{source} is not a source of the partner {partner}"
    error = {
        "field": field,
        "message": message,
        "fix": f"Send {partner}, or {partner}. and a name of your own, such as {partner}.till-7.",
    }
    return ServiceError("forbidden", "source_not_allowed", f"{message}.", errors=[error])


def input_hash(activity: ActivityRecorded, occurred_at: int) -> bytes:
    """The hash of what was sent; what a return turned out to take back is no part of it."""
    content = _encoder.encode((activity, occurred_at))
    return blake2b(content, digest_size=16).digest()


def _impossible_time(field: str, early: bool) -> ServiceError:
    message = "is before 1990" if early else "is more than 5 minutes from now"
    error = {
        "field": field,
        "message": message,
        "fix": "Send the time at which it happened, with the offset of its zone.",
    }
    return ServiceError(
        "invalid",
        "invalid_request",
        f"1 field is not valid: {field} {message}.",
        errors=[error],
    )


def _purchase(body: Any) -> dict[str, Any]:
    """A purchase always has lines, so that a return can name what comes back."""
    if not body.lines:
        return {"amount": body.amount, "lines": (PurchaseLine(1, body.amount),)}
    lines = tuple(
        [
            PurchaseLine(line.line or place, line.amount, line.sku, line.quantity, line.category)
            for place, line in enumerate(body.lines, 1)
        ]
    )
    return {"amount": sum([line.amount for line in lines]), "lines": lines}


def _return(body: Any) -> dict[str, Any]:
    ref = body.purchase
    purchase = ref.activity_id or activity_id(ref.source or body.source, ref.external_id)
    lines = tuple(sorted((line.line, line.amount) for line in body.lines))
    return {"requested": ReturnRequest(purchase, lines)}


def _custom(body: Any) -> dict[str, Any]:
    return {"subject": body.subject, "attributes": dict(sorted(body.attributes.items()))}


_SPECIFIC: Mapping[type, Callable[[Any], dict[str, Any]]] = {
    PurchaseBody: _purchase,
    ReturnBody: _return,
    ContactBody: lambda body: {"subject": body.subject},
    ReviewBody: lambda body: {"rating": body.rating, "subject": body.subject},
    CustomBody: _custom,
}
