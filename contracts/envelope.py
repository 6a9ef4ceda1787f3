"""The envelope every fact wears, in the journal and on the bus.

A fact is written once, as JSON bytes, and passed on as those bytes: the journal stores the encoded
body, the relay wraps it without decoding it, a consumer decodes only what it needs.
"""

import msgspec

SEQ_DIGITS = 12


class Fact(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that happened, in the order of its stream.

    ``stream`` is ``kind:owner``, e.g. ``activity:M1``; the owner is the partition key on the bus.
    ``seq`` counts from 1 without gaps in the stream. ``key`` is unique in the stream and makes a
    retry find the first result. ``occurred_at`` is when it happened, ``posted_at`` when it was
    written, both in microseconds since the epoch (UTC). ``trace`` is a W3C ``traceparent``.
    """

    stream: str
    seq: int
    key: str
    type: str
    occurred_at: int
    posted_at: int
    body: msgspec.Raw
    version: int = 1
    trace: str | None = None

    @property
    def id(self) -> str:
        """``stream/000000000042``: sorts by stream, then by seq, as text."""
        return fact_id(self.stream, self.seq)

    @property
    def owner(self) -> str:
        """The part of the stream after its kind: the partition key, as a rule the member."""
        return self.stream.partition(":")[2]


def fact_id(stream: str, seq: int) -> str:
    """Return the journal id of a fact; zero-padded, so that text order is seq order."""
    return f"{stream}/{seq:0{SEQ_DIGITS}d}"


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Fact)


def encode_fact(fact: Fact) -> bytes:
    """Return the fact as it travels: one JSON object, the body nested."""
    return _encoder.encode(fact)


def decode_fact(value: bytes) -> Fact:
    """Read a fact off the bus.

    Raises ``msgspec.ValidationError`` (or ``DecodeError``) when the bytes are not an envelope.
    """
    return _decoder.decode(value)
