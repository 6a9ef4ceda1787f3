"""What makes an activity the same activity: the system it comes from and that system's own id."""

import re
from base64 import b32encode
from hashlib import blake2b

ACTIVITY_ID = re.compile(r"act_[a-z2-7]{24}")


def activity_id(source: str, external_id: str) -> str:
    """Return ``act_`` and 120 bits of a digest, in base32.

    Derived, not drawn: whoever sends an activity twice names it the same twice, and a return names
    its purchase before the purchase has arrived. NUL cannot occur in either part.
    """
    digest = blake2b(f"{source}\0{external_id}".encode(), digest_size=15).digest()
    return "act_" + b32encode(digest).decode().lower()


def is_source_of(source: str, partner: str) -> bool:
    """Whether a source is a partner's: named like the partner, or like it with a dot and more.

    Of what may stand in a source, dashes and underscores are wanted within one name: the partner
    ``north`` must not have ``north-stores``, while ``north-stores`` has ``north-stores.till-7``.
    """
    return source == partner or source.startswith(f"{partner}.")
