"""Records with a header name that is not UTF-8, as the bytes that a broker sends."""

from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record import memory_records
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords, _MemoryRecordsPy

from harness.raw_records import raw_batch
from messaging.aiokafka_fixes import header_names
from messaging.aiokafka_fixes.header_names import _Records, is_utf8, written_out


@pytest.fixture(params=["C extension", "without"])
def _either_reader(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test with aiokafka's C extension and without it."""
    compiled = request.param == "C extension"
    if compiled and MemoryRecords is _MemoryRecordsPy:
        pytest.skip("this aiokafka has no C extension")
    monkeypatch.setattr(header_names, "MemoryRecords", MemoryRecords if compiled else _MemoryRecordsPy)
    reader = DefaultRecordBatch if compiled else _DefaultRecordBatchPy
    monkeypatch.setattr(memory_records, "DefaultRecordBatch", reader)


def record(value: bytes, *headers: tuple[str, bytes | None]) -> dict[str, Any]:
    return {"key": b"k", "value": value, "headers": headers}


def read(raw: bytes) -> list[tuple[Any, ...]]:
    records, found = _Records(raw), []
    while records.has_next():
        batch = records.next_batch()
        assert batch.validate_crc()
        found += [(each.offset, each.key, each.value, list(each.headers)) for each in batch]
    return found


@pytest.mark.usefixtures("_either_reader")
@pytest.mark.parametrize("compressed", [False, True])
def test_all_records_of_a_batch_come_once_and_whole(compressed: bool) -> None:
    """A name that is not UTF-8 comes with its bytes kept; the records around it come as ever."""
    raw = raw_batch(
        [
            record(b"1", ("ä".encode().decode("latin-1"), b"x")),
            record(b"2", ("na\xffme", None)),
            record(b"3"),
        ],
        compressed=compressed,
    )
    assert read(raw + raw_batch([record(b"4", ("\xfe", b""))]) + raw_batch([record(b"5")])) == [
        (0, b"k", b"1", [("ä", b"x")]),
        (1, b"k", b"2", [("na\udcffme", None)]),
        (2, b"k", b"3", []),
        (0, b"k", b"4", [("\udcfe", b"")]),
        (0, b"k", b"5", []),
    ]


@pytest.mark.usefixtures("_either_reader")
def test_a_batch_that_is_broken_otherwise_stays_unreadable() -> None:
    """Bytes that are no records raise, as they do without us."""
    raw = raw_batch([record(b"1"), record(b"2", ("\xff", b""))])
    batch = _Records(raw[:-1] + b"\x20").next_batch()
    assert not batch.validate_crc()
    with pytest.raises(CorruptRecordException):
        list(batch)


def test_every_consumer_of_the_process_reads_so() -> None:
    """The seam in aiokafka is where we take it to be: its fetcher makes its batches by this name."""
    assert fetcher.MemoryRecords is _Records


def test_a_name_can_be_shown_and_sent() -> None:
    """Bytes that are not UTF-8 are written out; any other name is as it was."""
    assert written_out("na\udcff") == r"na\xff"
    assert not is_utf8("na\udcff")
    for name in ("", "ce_id", "ä", "\\xff"):
        assert written_out(name) == name
        assert is_utf8(name)
