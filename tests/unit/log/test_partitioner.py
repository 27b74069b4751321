"""murmur2 is Kafka's: every client puts the same key into the same partition."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner.default import murmur2 as kafka_pythons

from kinolog.log.partitioner import murmur2, murmur2_partition


def test_kafkas_own_vectors() -> None:
    """From Kafka's UtilsTest.testMurmur2."""
    assert murmur2(b"21") == -973932308 & 0xFFFFFFFF
    assert murmur2(b"foobar") == -790332482 & 0xFFFFFFFF
    assert murmur2(b"a-little-bit-long-string") == -985981536 & 0xFFFFFFFF


@given(st.binary(max_size=64))
def test_as_another_client_has_it(data: bytes) -> None:
    assert murmur2(data) == kafka_pythons(data) & 0xFFFFFFFF


@given(st.text(min_size=1), st.integers(1, 100))
def test_a_partition_is_one_of_them(key: str, partitions: int) -> None:
    assert 0 <= murmur2_partition(key, partitions) < partitions
