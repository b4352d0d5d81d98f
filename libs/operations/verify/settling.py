"""Waiting until what was stored by a moment has come through to the read models."""

import asyncio
import time
from collections.abc import Collection

import asyncpg

from messaging import KafkaConnection, Offsets, TopicReader
from readmodels import ReadModel
from readmodels.checkpoints import Checkpoints

_LOOK_INTERVAL = 0.2

_NEWEST_ROW = "SELECT max(id) FROM public.outbox WHERE topic = $1"
_WAITING = "SELECT EXISTS (SELECT FROM public.outbox WHERE topic = $1 AND id <= $2)"


async def sent(conn: asyncpg.Connection, topic: str, deadline: float) -> bool:
    """Wait until the messages that lie in the outbox now are on the topic; False when the time is over."""
    newest = await conn.fetchval(_NEWEST_ROW, topic)
    while newest is not None and await conn.fetchval(_WAITING, topic, newest):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_LOOK_INTERVAL)
    return True


async def caught_up(
    conn: asyncpg.Connection,
    kafka: KafkaConnection,
    topic: str,
    read_models: Collection[ReadModel],
    deadline: float,
) -> set[str]:
    """Wait until the read models have applied all that is stored now, and return the names of those that did.

    `deadline` is a time of `time.monotonic`. Raises KafkaError and OSError.
    """
    if not await sent(conn, topic, deadline):
        return set()
    async with TopicReader.open(kafka, topic) as reader:
        beginnings, ends = reader.beginnings, reader.ends
    due = {number: end for number, end in ends.items() if end > beginnings[number]}
    level: set[str] = set()
    while True:
        for read_model in read_models:
            if read_model.name not in level and await _reached(conn, read_model, topic, due):
                level.add(read_model.name)
        if len(level) == len(read_models) or time.monotonic() > deadline:
            return level
        await asyncio.sleep(_LOOK_INTERVAL)


async def _reached(conn: asyncpg.Connection, read_model: ReadModel, topic: str, due: Offsets) -> bool:
    found = await Checkpoints(read_model.name, read_model.generation, topic).read(conn)
    places = {number: each.next_offset for number, each in found.items() if not each.refolding}
    return all(places.get(number, 0) >= end for number, end in due.items())
