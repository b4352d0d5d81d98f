"""Finds out again and again up to which time of record the read model has everything.

Four things lie between an event and its row, and each is waited for in turn: a transaction that is open, the
outbox, the topic, and the checkpoint of its partition. What was recorded up to the moment this began is then
in the rows, whatever of it came late and however far partitions are apart.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import asyncpg
import structlog

from messaging import KafkaConnection, TopicReader
from runtime import Database

log = structlog.get_logger(__name__)

INTERVAL = 5.0
LOOK_INTERVAL = 0.5
# A topic that was made anew meanwhile would be waited for in vain.
GIVEN_UP_AFTER = 600.0

_RECORDED_UNTIL = "SELECT operations.recorded_until()"
# In a statement of its own: it sees what was committed when the first one looked.
_NEWEST = "SELECT max(id) FROM outbox WHERE topic = $1"
_UNSENT = "SELECT EXISTS (SELECT FROM outbox WHERE id <= $1 AND topic = $2)"
# Parked orders lack what is parked of them: everything is there only up to before that.
_COMPLETE = """
UPDATE projections.generations AS g
SET complete_until = greatest(g.complete_until, least($2, (
    SELECT min(e.recorded_at) - interval '1 microsecond'
    FROM projections.parked AS p JOIN public.order_events AS e
        ON e.tenant_id = p.tenant_id AND e.aggregate_id = p.order_id AND e.version >= p.version
    WHERE p.read_model = g.read_model AND p.generation = g.generation
)))
WHERE g.read_model = $1 AND g.state = 'live' AND NOT EXISTS (
    SELECT FROM unnest($5::integer[], $6::bigint[]) AS ends (partition, next_offset)
    LEFT JOIN projections.checkpoints AS c
        ON c.read_model = g.read_model AND c.generation = g.generation
        AND c.topic = $3 AND c.topic_id = $4 AND c.partition = ends.partition
    WHERE c.next_offset IS NULL OR c.next_offset < ends.next_offset OR c.refolding
)
RETURNING true
"""


class Completeness:
    """Keeps what `read_models.freshness` says of one read model's `complete_until`."""

    def __init__(self, database: Database, kafka: KafkaConnection, read_model: str, topic: str) -> None:
        self._database = database
        self._kafka = kafka
        self._read_model = read_model
        self._topic = topic

    async def keep_telling(self) -> None:
        """Find out again and again, until cancelled; what fails is tried again."""
        while True:
            try:
                async with asyncio.timeout(GIVEN_UP_AFTER):
                    await self.tell()
            except Exception as error:  # noqa: BLE001 - what is told grows old, and nothing else depends on it
                self._database.discard()
                log.warning("completeness.unknown", error=repr(error))
            await asyncio.sleep(INTERVAL)

    async def tell(self) -> None:
        """Find out once, for as long as it takes. Raises what the database and Kafka raise."""
        conn = await self._database.connection()
        until: datetime = await conn.fetchval(_RECORDED_UNTIL)
        newest: int | None = await conn.fetchval(_NEWEST, self._topic)
        while newest is not None and await conn.fetchval(_UNSENT, newest, self._topic):  # noqa: ASYNC110 - the relay's work
            await asyncio.sleep(LOOK_INTERVAL)
        async with TopicReader.open(self._kafka, self._topic) as reader:
            topic_id, ends = reader.topic_id, reader.ends
        while not await self._complete(conn, until, topic_id, ends):  # noqa: ASYNC110 - any member's work
            await asyncio.sleep(LOOK_INTERVAL)

    async def _complete(
        self, conn: asyncpg.Connection, until: datetime, topic_id: UUID, ends: Mapping[int, int]
    ) -> bool:
        columns = (list(ends), list(ends.values()))
        return bool(await conn.fetchval(_COMPLETE, self._read_model, until, self._topic, topic_id, *columns))
