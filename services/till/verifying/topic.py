"""The topic of events against the store: each event is there, and first occurrences are in version order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple
from uuid import UUID
from zlib import crc32

import asyncpg
from aiokafka import ConsumerRecord

from eventstore import EventStore, StreamKey, find_event_ids
from messaging import KafkaConnection, TopicReader, Topics
from orders import ORDER
from till.verifying.findings import TOPIC, Difference, Field, Findings
from till.verifying.settling import sent

# Orders whose versions are kept in mind at a time: the topic is read once for each so many.
ORDERS_AT_ONCE = 500_000
PAGE = 2_000

Tell = Callable[[int], None]


class _Place(NamedTuple):
    partition: int
    offset: int
    key: StreamKey
    version: int
    event_id: UUID


async def verify_topic(
    conn: asyncpg.Connection,
    kafka: KafkaConnection,
    topics: Topics,
    findings: Findings,
    *,
    patience: float,
    tell: Tell,
) -> None:
    """Compare the whole topic with the whole store; what still waits in the outbox is waited for.

    `patience` is for how many seconds, `tell` gets the number of records read. Raises KafkaError and OSError.
    """
    orders = await conn.fetchval("SELECT count(*) FROM public.order_events WHERE version = 1")
    passes = max(1, -(-orders // ORDERS_AT_ONCE))
    findings.at(TOPIC)
    for number in range(passes):
        await _Pass(conn, findings, number, passes).run(kafka, topics.events, patience, tell)


class _Pass:
    """One reading of the topic, which looks at one part of the orders."""

    def __init__(self, conn: asyncpg.Connection, findings: Findings, number: int, passes: int) -> None:
        self._conn = conn
        self._findings = findings
        self._number, self._passes = number, passes
        self._last: dict[StreamKey, int] = {}

    async def run(self, kafka: KafkaConnection, topic: str, patience: float, tell: Tell) -> None:
        await sent(self._conn, topic, time.monotonic() + patience)
        async with TopicReader.open(kafka, topic) as reader:
            async for records in reader.pages(reader.beginnings, reader.ends):
                await self._see(records)
                tell(self._findings.at(TOPIC).checked)
            missing = await self._missing()
            if missing:
                # Appended while the topic was read.
                all_sent = await sent(self._conn, topic, time.monotonic() + patience)
                async for records in reader.pages(reader.ends, await reader.current_ends()):
                    await self._see(records)
                for key, version in missing.items():
                    there = self._last.get(key, 0)
                    if there >= version:
                        continue
                    if all_sent:
                        what = f"version {there + 1} is in the store and not on the topic"
                        self._findings.differ(Difference(TOPIC, what, key))
                    else:
                        self._findings.at(TOPIC).behind += 1

    def _is_ours(self, key: StreamKey) -> bool:
        return crc32(key.aggregate_id.bytes) % self._passes == self._number

    async def _see(self, records: Iterable[ConsumerRecord[bytes, bytes]]) -> None:
        places = []
        for record in records:
            try:
                place = _read(record)
            except (LookupError, ValueError) as error:
                where = f"partition {record.partition}, offset {record.offset}"
                if self._number == 0:
                    self._findings.at(TOPIC).checked += 1
                    self._findings.differ(Difference(TOPIC, f"{where} is no event of an order: {error!r}"))
            else:
                if self._is_ours(place.key):
                    places.append(place)
        stored = await find_event_ids(self._conn, [(place.key, place.version) for place in places])
        self._findings.at(TOPIC).checked += len(places)
        for place in places:
            self._check(place, stored.get((place.key, place.version)))

    def _check(self, place: _Place, stored: UUID | None) -> None:
        where = f"partition {place.partition}, offset {place.offset}"
        if stored != place.event_id:
            lacking = "the store lacks its event: `till recover` takes it back"
            what = f"{where}: {lacking if stored is None else 'it is another event than the store has'}"
            fields = [
                Field("version", place.version, None if stored is None else place.version, stored is None),
                Field("event_id", place.event_id, stored, differs=True),
            ]
            self._findings.differ(Difference(TOPIC, what, place.key, fields))
        last = self._last.get(place.key, 0)
        if place.version > last + 1:
            what = f"{where}: version {place.version} comes before version {last + 1}"
            self._findings.differ(Difference(TOPIC, what, place.key))
        self._last[place.key] = max(last, place.version)

    async def _missing(self) -> dict[StreamKey, int]:
        """Return the orders of which the topic has not all, with the version that the store has."""
        store, after = EventStore(ORDER), None
        missing: dict[StreamKey, int] = {}
        while page := await store.streams(self._conn, after, PAGE):
            after = page[-1][0]
            missing.update(
                (key, version)
                for key, version in page
                if self._is_ours(key) and self._last.get(key, 0) < version
            )
        return missing


def _read(record: ConsumerRecord[bytes, bytes]) -> _Place:
    headers = dict(record.headers)
    subject = headers["ce_subject"]
    if record.key != subject:
        raise ValueError("its key is not the order's id")
    key = StreamKey(headers["ce_tenantid"].decode(), UUID(subject.decode()))
    version, event_id = int(headers["ce_version"]), UUID(headers["ce_id"].decode())
    return _Place(record.partition, record.offset, key, version, event_id)
