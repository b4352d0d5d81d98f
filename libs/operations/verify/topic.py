"""The topic of events against the store: each event is there, and in each partition in version order."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple
from uuid import UUID
from zlib import crc32

import asyncpg
from aiokafka import ConsumerRecord

from commands import ORDERS
from eventstore import StreamKey
from messaging import InvalidAttribute, KafkaConnection, TopicReader, Topics, Undecodable, open_envelope
from operations.verify.findings import TOPIC, Field, Findings, Mismatch
from operations.verify.settling import sent

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


_ORDERS = "SELECT count(*) FROM public.{events} WHERE version = 1"


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
    orders = await conn.fetchval(ORDERS.store.tables.sql(_ORDERS))
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
        # Partition → order → the versions there, as bits. Only what the store has is kept, which bounds it.
        self._seen: defaultdict[int, dict[StreamKey, int]] = defaultdict(dict)

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
                    self._tell_absent(key, version, all_sent=all_sent)

    def _tell_absent(self, key: StreamKey, version: int, *, all_sent: bool) -> None:
        seen = self._versions(key)
        absent = _first_absent(seen)
        if absent > version:
            return
        # An order's messages leave the outbox in order: what lacks before others won't come.
        if all_sent or seen >> absent:
            what = f"version {absent} is in the store and not on the topic"
            self._findings.differ(Mismatch(TOPIC, what, key))
        else:
            self._findings.at(TOPIC).behind += 1

    def _versions(self, key: StreamKey) -> int:
        """Return an order's versions as bits, of all partitions: added ones have its later events."""
        seen = 0
        for orders in self._seen.values():
            seen |= orders.get(key, 0)
        return seen

    def _is_ours(self, key: StreamKey) -> bool:
        return crc32(key.aggregate_id.bytes) % self._passes == self._number

    async def _see(self, records: Iterable[ConsumerRecord[bytes, bytes]]) -> None:
        places = []
        for record in records:
            try:
                place = _read(record)
            except (InvalidAttribute, Undecodable) as error:
                where = f"partition {record.partition}, offset {record.offset}"
                if self._number == 0:
                    self._findings.at(TOPIC).checked += 1
                    self._findings.differ(Mismatch(TOPIC, f"{where} is no event of an order: {error}"))
            else:
                if self._is_ours(place.key):
                    places.append(place)
        stored = await ORDERS.store.find_event_ids(
            self._conn, [(place.key, place.version) for place in places]
        )
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
            self._findings.differ(Mismatch(TOPIC, what, place.key, fields))
        if stored is None:
            return
        orders = self._seen[place.partition]
        seen = orders.get(place.key, 0)
        if seen >> place.version > 1 and not seen >> place.version & 1:
            what = f"{where}: version {place.version} comes after version {seen.bit_length() - 1}"
            self._findings.differ(Mismatch(TOPIC, what, place.key))
        orders[place.key] = seen | 1 << place.version

    async def _missing(self) -> dict[StreamKey, int]:
        """Return the orders of which the topic has not all, with the version that the store has."""
        after = None
        missing: dict[StreamKey, int] = {}
        while page := await ORDERS.store.streams(self._conn, after, PAGE):
            after = page[-1][0]
            missing.update(
                (key, version)
                for key, version in page
                if self._is_ours(key) and _first_absent(self._versions(key)) <= version
            )
        return missing


def _first_absent(seen: int) -> int:
    """Return the least version, from 1, that is not among those given as bits."""
    others = ~(seen | 1)
    return (others & -others).bit_length() - 1


def _read(record: ConsumerRecord[bytes, bytes]) -> _Place:
    """Read which event it is. Raises InvalidAttribute and Undecodable for what no relay of ours sends."""
    envelope = open_envelope(record.headers, record.value)
    if envelope.faults:
        raise InvalidAttribute(envelope.faults[0])
    attributes = envelope.attributes
    attributes.text("actor")
    key = StreamKey(attributes.text("tenantid"), attributes.uuid("subject"))
    if record.key != str(key.aggregate_id).encode():
        raise InvalidAttribute("key: must be the order's id")
    version, event_id = attributes.integer("version", least=1), attributes.uuid("id")
    return _Place(record.partition, record.offset, key, version, event_id)
