"""Lists in pages: a limit, and an opaque cursor that says where the next page begins.

A cursor holds the position after the last item shown, never an offset, so that pages neither skip
nor repeat while items are added. It is no secret and grants nothing; who may read the list is
checked on every page.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, TypeVar

import msgspec
from fastapi import Query

from kit.errors import ServiceError

MOST_ITEMS = 200
Position = TypeVar("Position")

Limit = Annotated[int, Query(ge=1, le=MOST_ITEMS, description="How many items a page has at most.")]
Cursor = Annotated[
    str | None,
    Query(max_length=512, description="`next` of the previous page; absent for the first."),
]


def encode_cursor(position: object) -> str:
    """An opaque text for a position (plain JSON values, or a msgspec struct)."""
    return urlsafe_b64encode(msgspec.json.encode(position)).rstrip(b"=").decode()


def decode_cursor(cursor: str, as_type: type[Position]) -> Position:
    """The position in a cursor; raises ServiceError ``invalid`` when it is not one of ours."""
    try:
        raw = urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4))
        return msgspec.json.decode(raw, type=as_type)
    except (ValueError, msgspec.MsgspecError) as error:
        raise ServiceError(
            "invalid",
            "bad_cursor",
            "The cursor is not one that this list gave out. Start again without it.",
            errors=[
                {
                    "field": "query.cursor",
                    "message": "is not a cursor of this list",
                    "fix": "Use `next` of the previous page unchanged.",
                }
            ],
        ) from error
