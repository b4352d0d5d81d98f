"""Which partition a key belongs to, as the clients' partitioners reckon it."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from zlib import crc32

from aiokafka.partitioner import murmur2


@lru_cache(maxsize=65_536)
def _murmur2(key: bytes) -> int:
    # Kafka's own partitioner in pure Python; an order's events come in runs.
    return int(murmur2(key)) & 0x7FFF_FFFF


_HASHES: Mapping[str, Callable[[bytes], int]] = {"murmur2": _murmur2, "crc32": crc32}


def partition_of(key: bytes, partitions: int, partitioner: str = "murmur2") -> int:
    """Return the partition, from 0, of a key on a topic with so many partitions.

    `murmur2` is the default of Kafka's own client, `crc32` that of librdkafka; KeyError for any other.
    """
    return _HASHES[partitioner](key) % partitions
