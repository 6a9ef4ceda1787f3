"""Which partition a key belongs to: Kafka's own rule, so that all adapters and clients agree.

Kafka's default partitioner is 32-bit murmur2 with the sign bit cleared, modulo the partition
count (Apache Kafka, ``Utils.murmur2`` and ``BuiltInPartitioner``).
"""

from functools import lru_cache

from kit.bus.port import Message

_SEED = 0x9747B28C
_MULTIPLIER = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Return the unsigned 32-bit murmur2 hash that Kafka uses."""
    length = len(data)
    h = _SEED ^ length
    whole = length & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * _MULTIPLIER & _MASK
        k = (k ^ k >> 24) * _MULTIPLIER & _MASK
        h = (h * _MULTIPLIER & _MASK) ^ k
    if whole < length:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _MULTIPLIER & _MASK
    h = (h ^ h >> 13) * _MULTIPLIER & _MASK
    return h ^ h >> 15


@lru_cache(maxsize=65_536)
def partition_of(key: str, partitions: int) -> int:
    """Return the partition of a key. Cached: hashing costs 3 µs, and members come back.

    A key may be a stranger's that is no UTF-8: its dead letter has it, too.
    """
    return (murmur2(key.encode("utf-8", "surrogateescape")) & 0x7FFFFFFF) % partitions


def partition_for(message: Message, partitions: int) -> int:
    """Return the partition that a message goes to."""
    return partition_of(message.key if message.beside is None else message.beside, partitions)
