"""Finds out again and again up to which time of record the read model has everything.

Four things lie between an event and its row, and each is waited for in turn: a transaction that is open, the
outbox, the topic, and the checkpoint of its partition. What was recorded up to the moment this began is then
in the rows, whatever of it came late and however far partitions are apart.
"""

import asyncio
from datetime import datetime

import structlog

from messaging import KafkaConnection, TopicReader
from readmodels.completeness import note_complete
from runtime import Database

log = structlog.get_logger(__name__)

# Each look connects to Kafka anew.
INTERVAL = 15.0
LOOK_INTERVAL = 0.5
# A topic that was made anew meanwhile would be waited for in vain.
GIVEN_UP_AFTER = 600.0

_RECORDED_UNTIL = "SELECT operations.recorded_until()"
# In a statement of its own: it sees what was committed when the first one looked.
_NEWEST = "SELECT max(id) FROM outbox WHERE topic = $1"
_UNSENT = "SELECT EXISTS (SELECT FROM outbox WHERE id <= $1 AND topic = $2)"


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
        topic = (self._topic, topic_id)
        while not await note_complete(conn, self._read_model, until, topic, ends):  # noqa: ASYNC110 - any member's work
            await asyncio.sleep(LOOK_INTERVAL)
