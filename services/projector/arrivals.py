"""Reads of a record of `orders.events` what a fold needs, and no more: this is a replay's hot path.

`messaging.decode_event` reads and checks every attribute, at ten times the cost. The relay alone writes this
topic, in binary mode, and what it wrote was checked on the way in.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple, TypeAlias
from uuid import UUID

from aiokafka import ConsumerRecord, TopicPartition

from messaging import TYPE_PREFIX, Undecodable
from readmodels import OrderKey, Provenance

Record: TypeAlias = ConsumerRecord[bytes, bytes]

# Most records are of an order that was just there.
_REMEMBERED_KEYS = 50_000


class Arrival(NamedTuple):
    """One event as it came; the record's value is its payload, as JSON."""

    version: int
    event_type: str
    schema_version: int
    occurred_at: datetime
    undoes: tuple[int, ...]
    redoes: tuple[int, ...]
    record: Record


def read_arrivals(
    batch: Mapping[TopicPartition, Sequence[Record]],
) -> dict[OrderKey, list[Arrival]]:
    """Return the events per order, those of one order as they came.

    Raises Undecodable, naming the record's place, for one that the relay can't have written.
    """
    arrivals: dict[OrderKey, list[Arrival]] = {}
    for records in batch.values():
        for record in records:
            try:
                key, arrival = _read(record)
            except (LookupError, ValueError) as error:
                raise _undecodable(record, error) from error
            arrivals.setdefault(key, []).append(arrival)
    return arrivals


def read_provenance(record: Record) -> Provenance:
    """Return who did what an event tells, when it was recorded and what caused it, for those who ask.

    Raises Undecodable, as `read_arrivals` does.
    """
    headers = dict(record.headers)
    try:
        return Provenance(
            headers["ce_actor"].decode(),
            datetime.fromisoformat(headers["ce_recordedtime"].decode()),
            UUID(headers["ce_causationid"].decode()),
            headers["ce_correlationid"].decode(),
        )
    except (LookupError, ValueError) as error:
        raise _undecodable(record, error) from error


def _undecodable(record: Record, error: Exception) -> Undecodable:
    place = f"partition {record.partition}, offset {record.offset}"
    return Undecodable(f"{place}: is no event of an order: {error!r}")


def _read(record: Record) -> tuple[OrderKey, Arrival]:
    headers = dict(record.headers)
    arrival = Arrival(
        int(headers["ce_version"]),
        headers["ce_type"].decode().removeprefix(TYPE_PREFIX),
        int(headers["ce_schemaversion"]),
        datetime.fromisoformat(headers["ce_time"].decode()),
        _versions(headers.get("ce_undoes")),
        _versions(headers.get("ce_redoes")),
        record,
    )
    return _key(headers["ce_tenantid"], headers["ce_subject"]), arrival


def _versions(text: bytes | None) -> tuple[int, ...]:
    return tuple(map(int, text.split(b","))) if text else ()


@lru_cache(_REMEMBERED_KEYS)
def _key(tenant_id: bytes, order_id: bytes) -> OrderKey:
    return tenant_id.decode(), UUID(order_id.decode())
