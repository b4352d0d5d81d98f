"""What a record of the topic is read as, also where the relay can't have written it."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from aiokafka import ConsumerRecord, TopicPartition

from messaging import event_headers
from projector.event_records import NO_TENANT, read_arrivals

PARTITION = TopicPartition("orders.events", 0)
ORDER = UUID(int=5)
MOMENT = datetime(2026, 3, 1, tzinfo=UTC)


def record(offset: int, number: int, **changes: bytes | None) -> ConsumerRecord[bytes, bytes]:
    """Make an event's record; a header that is changed to None is left out."""
    headers = dict(
        event_headers(
            event_id=str(UUID(int=offset)),
            message_type="orders.ItemAdded",
            aggregate_id=str(ORDER),
            tenant_id="store-1",
            actor="till-1",
            version=number,
            schema_version=1,
            occurred_at=MOMENT,
            recorded_at=MOMENT,
            correlation_id="c",
            causation_id=str(UUID(int=9)),
            metadata={},
        )
    )
    given = {**headers, **{f"ce_{name}": value for name, value in changes.items()}}
    kept = tuple((name, value) for name, value in given.items() if value is not None)
    return ConsumerRecord("orders.events", 0, offset, 0, 0, b"k", b"{}", None, 1, 2, kept)


def test_what_follows_an_unreadable_record_of_an_order_waits_with_it() -> None:
    """The events before it are given; those after it only raise what is known of the order."""
    batch = {PARTITION: [record(7, 1), record(8, 2, time=b"yesterday"), record(9, 3)]}
    arrivals, unreadable = read_arrivals(batch)
    assert [arrival.version for arrival in arrivals["store-1", ORDER]] == [1]
    found = unreadable["store-1", ORDER]
    assert (found.version, found.newest_version, found.partition, found.last_offset) == (2, 3, 0, 9)
    assert "partition 0, offset 8" in str(found.error)


@pytest.mark.parametrize("version", [b"0", b"-1", b"2147483648", b"9" * 5000, b"x", None])
def test_a_version_that_can_be_none_is_unreadable(version: bytes | None) -> None:
    """What no column could hold never gets to the database."""
    arrivals, unreadable = read_arrivals({PARTITION: [record(7, 1, version=version)]})
    assert arrivals == {}
    assert unreadable["store-1", ORDER].version == 0


@pytest.mark.parametrize(
    "changes",
    [{"tenantid": None}, {"tenantid": b""}, {"tenantid": b"a\0"}, {"tenantid": b"\xff"}, {"subject": b"x"}],
)
def test_a_record_that_names_no_order_stands_by_itself(changes: dict[str, bytes | None]) -> None:
    """Each such record is told apart by its place, and the same one is the same when it comes again."""
    batch = {PARTITION: [record(7, 1, **changes), record(8, 2, **changes), record(9, 3)]}
    arrivals, unreadable = read_arrivals(batch)
    assert len(arrivals["store-1", ORDER]) == 1
    assert len(unreadable) == 2
    assert {tenant for tenant, _ in unreadable} == {NO_TENANT}
    assert read_arrivals(batch)[1].keys() == unreadable.keys()
