"""A log of a million events, made of the lives of a few orders: stored, and on its topic, within minutes."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaProducer

from eventstore import StreamKey
from harness.stored_events import copy_rows, new_event, record_headers, stored_row
from integration.projector.order_log import CORRELATION_ID, RECORDED_AT, Happened, random_log
from messaging import partition_of
from orders import Order

LIVES = 400
# Orders that are busy at the same time: their events lie mixed on the topic.
AT_ONCE = 300
_IN_FLIGHT = 8
_BATCH_BYTES = 256 * 1024


class Step(NamedTuple):
    """One event of a life, as it is stored and as it is sent, but for the order's key and the event's id."""

    stored: tuple[Any, ...]
    headers: tuple[tuple[str, bytes], ...]
    value: bytes


class Copy(NamedTuple):
    """One order of many with the same life. Ids of its events follow from its own."""

    key: StreamKey
    life: Sequence[Step]
    at_the_end: Order

    @property
    def order(self) -> Order:
        """The order as its events leave it."""
        return replace(self.at_the_end, tenant_id=self.key.tenant_id, order_id=self.key.aggregate_id)

    def event_id(self, version: int) -> UUID:
        """Give the id of one of its events."""
        return UUID(int=self.key.aggregate_id.int ^ version)


def many_orders(events: int, seed: int = 1) -> list[Copy]:
    """Give orders with so many events, or a few more."""
    lives: dict[StreamKey, list[Happened]] = {}
    for happened in random_log(LIVES, seed).history:
        lives.setdefault(StreamKey(happened.after.tenant_id, happened.after.order_id), []).append(happened)
    choices = [(key.tenant_id, [_step(each) for each in life], life[-1].after) for key, life in lives.items()]
    rng = random.Random(seed)  # noqa: S311 - repeatable
    copies: list[Copy] = []
    made = 0
    while made < events:
        tenant_id, steps, order = rng.choice(choices)
        copies.append(Copy(StreamKey(tenant_id, UUID(int=rng.getrandbits(128) & ~0xFFFF)), steps, order))
        made += len(steps)
    return copies


def _step(happened: Happened) -> Step:
    actor, command_id, event, _, after = happened
    key = StreamKey(after.tenant_id, after.order_id)
    new = new_event(UUID(int=0), event, actor, CORRELATION_ID, command_id)
    sent = record_headers(key, after.version, new, RECORDED_AT)
    kept = tuple((name, value) for name, value in sent if name not in {"ce_id", "ce_subject"})
    return Step(stored_row(key, after.version, new, RECORDED_AT)[3:], kept, new.payload.encode())


async def store(conn: asyncpg.Connection, copies: Sequence[Copy]) -> int:
    """Store all events, and give their number."""

    def rows() -> Iterator[tuple[Any, ...]]:
        for copy in copies:
            tenant_id, order_id = copy.key
            for version, step in enumerate(copy.life, start=1):
                yield (copy.event_id(version), order_id, tenant_id, *step.stored)

    await copy_rows(conn, rows())
    await conn.execute("ANALYZE order_events")
    count: int = await conn.fetchval("SELECT count(*) FROM order_events")
    return count


async def send(bootstrap_servers: str, topic: str, partitions: int, copies: Sequence[Copy]) -> list[int]:
    """Send all events, those of one order in their order; give how many each partition has."""
    lying: list[list[Copy]] = [[] for _ in range(partitions)]
    for copy in copies:
        lying[partition_of(str(copy.key.aggregate_id).encode(), partitions)].append(copy)
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers, max_batch_size=_BATCH_BYTES, linger_ms=0
    ) as producer:
        at_once = asyncio.Semaphore(_IN_FLIGHT)
        return await asyncio.gather(
            *(_fill(producer, topic, number, each, at_once) for number, each in enumerate(lying))
        )


async def _fill(
    producer: AIOKafkaProducer, topic: str, partition: int, copies: Sequence[Copy], at_once: asyncio.Semaphore
) -> int:
    batch = producer.create_batch()
    count = 0
    for key, value, headers in _records(copies):
        if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
            await _sent(producer, topic, partition, batch, at_once)
            batch = producer.create_batch()
            batch.append(timestamp=None, key=key, value=value, headers=headers)
        count += 1
    await _sent(producer, topic, partition, batch, at_once)
    return count


async def _sent(
    producer: AIOKafkaProducer, topic: str, partition: int, batch: Any, at_once: asyncio.Semaphore
) -> None:
    async with at_once:
        batch.close()
        await (await producer.send_batch(batch, topic, partition=partition))


def _records(copies: Sequence[Copy]) -> Iterator[tuple[bytes, bytes, list[tuple[str, bytes]]]]:
    for first in range(0, len(copies), AT_ONCE):
        busy = copies[first : first + AT_ONCE]
        for version, steps in enumerate(zip_longest(*(copy.life for copy in busy)), start=1):
            for copy, step in zip(busy, steps, strict=True):
                if step is not None:
                    key = str(copy.key.aggregate_id).encode()
                    own = [("ce_id", str(copy.event_id(version)).encode()), ("ce_subject", key)]
                    yield key, step.value, [*own, *step.headers]
