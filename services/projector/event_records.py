"""Reads of a record of `orders.events` what a fold needs, and no more: this is a replay's hot path.

`messaging.decode_event` reads and checks every attribute, at ten times the cost. The relay alone writes this
topic, in binary mode, and what it wrote was checked on the way in.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple, TypeAlias
from uuid import UUID, uuid5

from aiokafka import ConsumerRecord, TopicPartition

from commands import ORDERS
from messaging import Undecodable
from readmodels import OrderKey, Provenance

Record: TypeAlias = ConsumerRecord[bytes, bytes]

NO_TENANT = ""
"""Stands where a record names no tenant: every tenant's id has at least one character."""
_UNNAMED = UUID("6c1a0c6e-52c5-4d7c-9a5e-0d6f1e1f6a37")

# As the read models' tables hold it.
_HIGHEST_VERSION = 2**31 - 1

# Most records are of an order that was just there.
_REMEMBERED_KEYS = 50_000


class EventRecord(NamedTuple):
    """One event as it came; the record's value is its payload, as JSON."""

    version: int
    event_type: str
    schema_version: int
    occurred_at: datetime
    recorded_at: datetime
    undoes: tuple[int, ...]
    redoes: tuple[int, ...]
    record: Record


class Unreadable(NamedTuple):
    """A record that can't be read as an event of its order, and what came of that order after it.

    `version` is what it says of itself; `newest_version` is 0 unless one that can be read came after it.
    """

    version: int
    error: Undecodable
    partition: int
    newest_version: int
    last_offset: int


def read_arrivals(
    batch: Mapping[TopicPartition, Sequence[Record]],
) -> tuple[dict[OrderKey, list[EventRecord]], dict[OrderKey, Unreadable]]:
    """Return the events per order, those of one order as they came, and what the relay can't have written.

    Such a record is its order's as far as it names one: what follows of that order then isn't given. One that
    names none stands for an order of its own, of no tenant. A version that can't be read is 0.
    """
    arrivals: dict[OrderKey, list[EventRecord]] = {}
    unreadable: dict[OrderKey, Unreadable] = {}
    for records in batch.values():
        for record in records:
            try:
                key, arrival = _read(record)
            except (LookupError, ValueError) as error:
                found = Unreadable(
                    _version_named(record), _undecodable(record, error), record.partition, 0, record.offset
                )
                unreadable.setdefault(_order_named(record), found)
                continue
            before = unreadable.get(key)
            if before is not None:
                newest = max(before.newest_version, arrival.version)
                unreadable[key] = before._replace(newest_version=newest, last_offset=record.offset)
                continue
            arrivals.setdefault(key, []).append(arrival)
    return arrivals, unreadable


def read_provenance(record: Record) -> Provenance:
    """Return who did what an event tells, when it was recorded and what caused it, for those who ask.

    Raises Undecodable, naming the record's place, for one that the relay can't have written.
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


def _read(record: Record) -> tuple[OrderKey, EventRecord]:
    headers = dict(record.headers)
    arrival = EventRecord(
        _version(headers["ce_version"]),
        headers["ce_type"].decode().removeprefix(ORDERS.type_prefix),
        int(headers["ce_schemaversion"]),
        datetime.fromisoformat(headers["ce_time"].decode()),
        datetime.fromisoformat(headers["ce_recordedtime"].decode()),
        _versions(headers.get("ce_undoes")),
        _versions(headers.get("ce_redoes")),
        record,
    )
    return _key(headers["ce_tenantid"], headers["ce_subject"]), arrival


def _order_named(record: Record) -> OrderKey:
    headers = dict(record.headers)
    try:
        return _key(headers["ce_tenantid"], headers["ce_subject"])
    except (LookupError, ValueError):
        place = f"{record.topic}/{record.partition}/{record.offset}"
        return NO_TENANT, uuid5(_UNNAMED, place)


def _version_named(record: Record) -> int:
    try:
        return _version(dict(record.headers)["ce_version"])
    except (LookupError, ValueError):
        return 0


def _version(text: bytes) -> int:
    version = int(text)
    if not 0 < version <= _HIGHEST_VERSION:
        raise ValueError(f"version {version} is out of range")
    return version


def _versions(text: bytes | None) -> tuple[int, ...]:
    return tuple(map(int, text.split(b","))) if text else ()


@lru_cache(_REMEMBERED_KEYS)
def _key(tenant_id: bytes, order_id: bytes) -> OrderKey:
    tenant = tenant_id.decode()
    # What the database would refuse as a key would fail the whole batch.
    if not (tenant and tenant.isprintable()):
        raise ValueError("no tenant")
    return tenant, UUID(order_id.decode())
