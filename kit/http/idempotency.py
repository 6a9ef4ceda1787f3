"""The header ``Idempotency-Key``: how a request that is sent again is known from a new one.

``key: IdempotencyKey`` as a parameter of an endpoint demands it. What the request makes is named by
``derived_id``, so that a retry after any crash finds its own.
"""

from base64 import b32encode
from hashlib import blake2b
from typing import Annotated

from fastapi import Depends, Header

from kit.errors import ServiceError

KEY_PATTERN = r"^[\x21-\x7e]{1,128}$"
NEEDED = "x-needed"
"""In a parameter's schema: needed, though the framework was told that it may be absent."""


async def _needed_key(
    idempotency_key: Annotated[
        str | None,
        Header(
            pattern=KEY_PATTERN,
            description="Make one for each new request, keep it, and send the same one whenever "
            "the request is repeated: then it takes effect once and gets the first answer.",
            examples=["0b6f6a52-3a5c-4c7e-9d1e-6a8a9f6f5b11"],
            json_schema_extra={NEEDED: True},
        ),
    ] = None,
) -> str:
    if idempotency_key is None:
        raise ServiceError(
            "malformed",
            "idempotency_key_missing",
            "Send the header Idempotency-Key: 1 to 128 visible ASCII characters, such as a UUID, "
            "new for each request and the same for each repetition of it.",
        )
    return idempotency_key


IdempotencyKey = Annotated[str, Depends(_needed_key)]


def derived_id(prefix: str, *parts: str) -> str:
    """An id that follows from a request: from who asks, about whom, and the idempotency key.

    120 bits, so that nobody finds two requests with one id: ``prefix_`` and 24 of a–z and 2–7.
    """
    digest = blake2b("\x00".join(parts).encode(), digest_size=15).digest()
    return f"{prefix}_{b32encode(digest).decode().lower()}"
