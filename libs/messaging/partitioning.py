"""Which partition a key belongs to, as Kafka's default partitioner reckons it."""

from functools import lru_cache

from aiokafka.partitioner import murmur2


@lru_cache(maxsize=65_536)
def _hash(key: bytes) -> int:
    # Kafka's own partitioner in pure Python; an order's events come in runs.
    return int(murmur2(key)) & 0x7FFF_FFFF


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition, from 0, of a key on a topic with so many partitions."""
    return _hash(key) % partitions
