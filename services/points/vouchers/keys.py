"""The secret that makes and finds codes, and what is derived from it.

It is 32 random bytes, made once and kept in the store as a record. From it come, each by a keyed
hash of its own: the code of a request (90 bits, so that no code need be stored anywhere and a
retry finds the same one), the id of a voucher from its code (so that neither facts nor the time a
look-up takes tell anything about codes), and the ids of requests and callers. Without it codes
cannot be told, made or found: a backup of the service's store includes it.
"""

from base64 import b32encode
from dataclasses import dataclass, field
from hashlib import blake2b
from secrets import token_bytes

import msgspec

from kit.views.port import Document, Views
from services.points.domain.codes import RANDOM_BITS, code_of
from services.points.vouchers.views import SECRETS

SECRET_BYTES = 32
SECRET_ID = "1"


class _Kept(msgspec.Struct, frozen=True):
    secret: bytes


@dataclass(frozen=True)
class Keys:
    """What is derived from the secret."""

    secret: bytes = field(repr=False)

    def voucher_id(self, code: str) -> str:
        """The id of the voucher with this code, e.g. ``vch_5cpli2znqhbkbhmuc72l73sx4e``."""
        return f"vch_{b32encode(self._hash('voucher', code)).decode().rstrip('=').lower()}"

    def request(self, series_id: str, key: str) -> str:
        """The id of a request: one for each series and idempotency key."""
        return self._hash("request", f"{series_id}\0{key}").hex()

    def code(self, request: str) -> str:
        """The generated code of a request."""
        number = int.from_bytes(self._hash("code", request), "big")
        return code_of(number >> (128 - RANDOM_BITS))

    def caller(self, partner: str | None, subject: str) -> str:
        """The id under which a caller's failed attempts are counted."""
        return self._hash("caller", f"{partner or ''}\0{subject}").hex()

    def redemption(self, partner: str, key: str) -> str:
        """The id of a redemption: one for each partner and idempotency key, within a voucher."""
        return f"red_{self._hash('redemption', f'{partner}{chr(0)}{key}').hex()}"

    def _hash(self, purpose: str, text: str) -> bytes:
        person = purpose.encode().ljust(16, b"\0")
        return blake2b(text.encode(), digest_size=16, key=self.secret, person=person).digest()


async def open_keys(views: Views) -> Keys:
    """The store's secret; made by whoever comes first."""
    for _ in range(2):
        found = (await views.load(SECRETS, [SECRET_ID])).get(SECRET_ID)
        if found is not None:
            return Keys(msgspec.json.decode(found.body, type=_Kept).secret)
        body = msgspec.json.encode(_Kept(token_bytes(SECRET_BYTES)))
        await views.save(SECRETS, [Document(SECRET_ID, 0, body)])
    raise AssertionError("a document that could not be saved must be there")
