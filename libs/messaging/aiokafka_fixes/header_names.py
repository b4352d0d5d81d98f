"""Lets aiokafka read records that have a header name which is not UTF-8.

Kafka takes such a record, and clients of other languages can send it. aiokafka's parser raises at it, and
with it every consumer that comes to its place, for ever. Here the batch that it is in is parsed once more,
with bytes that are not UTF-8 as lone surrogates in the name (PEP 383's surrogateescape): what becomes of the
record is then for its reader to say.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

# Base offset and length; the length counts what follows it.
_LENGTH_AT, _FRAME = slice(8, 12), 12
_MAGIC_AT = 16
_WITH_HEADERS = 2


def accept_any_header_name() -> None:
    """Have every consumer of this process read them: aiokafka has no setting for it."""
    fetcher.MemoryRecords = _Records


def is_utf8(name: str) -> bool:
    """Tell whether a header's name was UTF-8 in its record."""
    if name.isascii():
        return True
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def written_out(name: str) -> str:
    r"""Return a header's name as it can be shown and sent: a byte that is not UTF-8 as `\xff`."""
    return name if is_utf8(name) else name.encode(errors="surrogateescape").decode(errors="backslashreplace")


class _Records:
    """The batches of one fetched partition, as aiokafka's fetcher walks through them."""

    def __init__(self, raw: bytes) -> None:
        self._batches: Any = MemoryRecords(raw)
        self._rest = memoryview(raw)

    def size_in_bytes(self) -> int:
        return int(self._batches.size_in_bytes())

    def has_next(self) -> bool:
        return bool(self._batches.has_next())

    def next_batch(self) -> Any:  # noqa: ANN401 - one of aiokafka's, or what stands for it
        batch = self._batches.next_batch()
        size = _FRAME + int.from_bytes(self._rest[_LENGTH_AT])
        raw, self._rest = self._rest[:size], self._rest[size:]
        return _Batch(batch, raw) if raw[_MAGIC_AT] >= _WITH_HEADERS else batch


class _Batch:
    """One batch: aiokafka's own, and where that fails, its bytes parsed once more."""

    def __init__(self, batch: Any, raw: memoryview) -> None:  # noqa: ANN401 - with or without its C extension
        self._batch = batch
        self._raw = raw

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the fetcher asks of a batch
        return getattr(self._batch, name)

    def __next__(self) -> Any:  # noqa: ANN401 - the fetcher looks into transaction marks with it
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        given = 0
        try:
            for record in self._batch:
                yield record
                given += 1
        # By the C extension and without it. A batch that is broken in another way fails once more below.
        except (UnicodeDecodeError, CorruptRecordException):
            yield from islice(_parsed_leniently(self._raw), given, None)


def _parsed_leniently(raw: memoryview) -> Iterator[Any]:
    batch = _DefaultRecordBatchPy(raw)
    records: Iterator[Any] = iter(batch)  # this unpacks it
    batch._buffer = _Lenient(batch._buffer)  # noqa: SLF001 - the parser decodes slices of it
    return records


class _Lenient(bytearray):
    """Bytes whose slices decode whatever they hold."""

    def __getitem__(self, at: Any) -> Any:  # noqa: ANN401 - an index or a slice
        part = super().__getitem__(at)
        return _Lenient(part) if isinstance(part, bytearray) else part

    def decode(self, *_: str) -> str:
        return bytes(self).decode("utf-8", "surrogateescape")
