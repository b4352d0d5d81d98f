"""Kafka records with header names that are not UTF-8, which other languages' clients can send."""

from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.codec import gzip_encode
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.util import calc_crc32c

_HEADER = _DefaultRecordBatchBuilderPy.HEADER_STRUCT.size
_LENGTH_AT, _CRC_AT, _CRC_FROM, _CODEC_AT = 8, 17, 21, 22
_GZIP = 1


class _Latin1(str):
    __slots__ = ()

    def encode(self, *_: str) -> bytes:
        return str.encode(self, "latin-1")


def raw_batch(records: Sequence[dict[str, Any]], *, compressed: bool = False) -> bytes:
    """Give a batch; each record has key, value and headers, whose names stand for their bytes in Latin-1."""
    builder = _DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, -1, 2**30)
    for offset, record in enumerate(records):
        headers = [(_Latin1(name), value) for name, value in record["headers"]]
        builder.append(offset, 0, record["key"], record["value"], headers)
    raw = builder.build()
    if compressed:
        raw[_HEADER:] = gzip_encode(bytes(raw[_HEADER:]))
        raw[_CODEC_AT] |= _GZIP
        raw[_LENGTH_AT : _LENGTH_AT + 4] = (len(raw) - 12).to_bytes(4, "big")
    raw[_CRC_AT:_CRC_FROM] = calc_crc32c(raw[_CRC_FROM:]).to_bytes(4, "big")
    return bytes(raw)


async def send_raw(bootstrap_servers: str, topic: str, partition: int, *records: dict[str, Any]) -> None:
    """Send the records to one partition, as one batch."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, max_request_size=2**26)
    await producer.start()
    batch = producer.create_batch()
    for _ in records:
        batch.append(key=None, value=b"", timestamp=None)
    batch.close()
    batch._build()
    batch._buffer = bytearray(raw_batch(records))
    await (await producer.send_batch(batch, topic, partition=partition))
    await producer.stop()
