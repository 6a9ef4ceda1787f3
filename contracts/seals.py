"""Facts of the audit chain over the ledger. Stream ``seal:{partition}`` of ``points.seals``.

A seal names the hashes of ledger entries and of the seal before it in its stream, so that nothing
can be changed behind it without every later seal of the stream. docs/audit-format.md is the format,
byte by byte, for whoever wants to write a verifier.
"""

import msgspec

NO_SEAL = "0" * 64
"""What the first seal of a stream names as the previous one."""


class SealedRun(msgspec.Struct, frozen=True, array_like=True):
    """Entries ``first``, ``first + 1``, … of one stream: a hash for each.

    A hash is the first 16 bytes of the SHA-256 of the entry's canonical bytes, in hexadecimal.
    """

    stream: str
    first: int
    hashes: tuple[str, ...]


class Witnessed(msgspec.Struct, frozen=True, array_like=True):
    """A seal of another stream that was there before this one: its whole SHA-256."""

    stream: str
    seq: int
    hash: str


class LedgerSealed(msgspec.Struct, frozen=True, omit_defaults=True):
    """Ledger entries were sealed. ``posted_at`` of the envelope is when.

    ``previous`` is the SHA-256 of the canonical bytes of the seal before this one in its stream, 64
    zeros in the first; ``count`` the number of hashes in ``runs``. An entry that was delivered
    twice may be in two seals, with the same hash. ``witness`` makes the loss of another stream's
    last seals show.
    """

    previous: str
    count: int
    runs: tuple[SealedRun, ...]
    witness: Witnessed | None = None
