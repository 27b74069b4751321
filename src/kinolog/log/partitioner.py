"""Kafka's default partition of a key (murmur2), the same in every client."""

from __future__ import annotations

_MASK = 0xFFFFFFFF
_M = 0x5BD1E995


def murmur2(data: bytes) -> int:
    """The 32-bit MurmurHash2 with the seed of Kafka's `Utils.murmur2`, as an unsigned number."""
    length = len(data)
    h = 0x9747B28C ^ length
    whole = length & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * _M & _MASK
        k = (k ^ (k >> 24)) * _M & _MASK
        h = (h * _M & _MASK) ^ k
    if length > whole:
        h ^= int.from_bytes(data[whole:], "little")
        h = h * _M & _MASK
    h = (h ^ (h >> 13)) * _M & _MASK
    return h ^ (h >> 15)


def murmur2_partition(key: str, partitions: int) -> int:
    """The partition that Kafka's default partitioner gives a key."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions
