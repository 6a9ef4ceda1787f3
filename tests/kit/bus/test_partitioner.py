"""Keys fall on the partitions that Kafka's own clients would choose."""

from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner.default import murmur2 as kafka_murmur2

from kit.bus.partitioner import murmur2, partition_of


@given(st.binary(max_size=64))
def test_the_hash_is_that_of_kafkas_client(data: bytes) -> None:
    assert murmur2(data) == kafka_murmur2(data) & 0xFFFFFFFF


def test_a_strangers_key_that_is_no_text_has_a_partition_too() -> None:
    key = b"\xff\x00M1"
    stranger = key.decode("utf-8", "surrogateescape")
    assert partition_of(stranger, 24) == (murmur2(key) & 0x7FFFFFFF) % 24


def test_known_keys_are_on_known_partitions() -> None:
    assert [partition_of(f"M{n}", 24) for n in range(8)] == [1, 3, 22, 1, 0, 9, 0, 2]
    assert {partition_of(f"member-{n}", 24) for n in range(1000)} == set(range(24))
