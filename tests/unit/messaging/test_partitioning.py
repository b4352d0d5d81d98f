"""Which partition a key belongs to."""

from uuid import UUID, uuid5

import pytest
from aiokafka.partitioner import DefaultPartitioner

from messaging import partition_of


@pytest.mark.parametrize("partitions", [1, 3, 12, 50])
def test_a_key_belongs_where_kafkas_default_partitioner_sends_it(partitions: int) -> None:
    """What is reckoned here is what a producer without a partitioner of its own does, hashes below 0 too."""
    partitioner, everywhere = DefaultPartitioner(), list(range(partitions))
    keys = [str(uuid5(UUID(int=1), str(n))).encode() for n in range(200)] + [b"", b"a", b"ab", b"abc"]
    assert [partition_of(key, partitions) for key in keys] == [
        partitioner(key, everywhere, everywhere) for key in keys
    ]


def test_crc32_is_librdkafkas() -> None:
    """Its clients choose by CRC-32 as zlib has it, unsigned: the values are of its catalogue."""
    assert [partition_of(b"123456789", 1 << 33, "crc32"), partition_of(b"", 12, "crc32")] == [0xCBF43926, 0]
    assert {partition_of(str(n).encode(), 12, "crc32") for n in range(200)} == set(range(12))


def test_known_hashes_stay() -> None:
    """Keys stay where Kafka's own client puts them: these are the values of its UtilsTest."""
    known = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}
    for key, murmur2 in known.items():
        assert partition_of(key, 1 << 31) == murmur2 & 0x7FFF_FFFF
