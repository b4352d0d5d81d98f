"""Finds out again and again up to which time of record the read models have everything.

Four things lie between an event and its row, and each is waited for in turn: a transaction that is open, the
outbox, the topic, and the checkpoint of its partition. What was recorded up to the moment this began is then
in the rows, whatever of it came late and however far partitions are apart.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import structlog

from messaging import KafkaConnection, TopicReader
from readmodels.completeness import note_complete
from runtime import Database

log = structlog.get_logger(__name__)

# Each time connects to Kafka anew.
INTERVAL = 15.0
LOOK_INTERVAL = 0.5
# A topic that was made anew meanwhile would be waited for in vain.
GIVEN_UP_AFTER = 600.0

_RECORDED_UNTIL = "SELECT operations.recorded_until()"
# In a statement of its own: it sees what was committed when the first one looked.
_NEWEST = "SELECT max(id) FROM outbox WHERE topic = $1"
_UNSENT = "SELECT EXISTS (SELECT FROM outbox WHERE id <= $1 AND topic = $2)"


class _Reached(NamedTuple):
    """All that was recorded `until` then lies on the topic of that id, before these ends; for ever so."""

    until: datetime
    topic_id: UUID
    ends: Mapping[int, int]
    found_at: float


class Completeness:
    """Keeps what `read_models.freshness` says of these read models' `complete_until`."""

    def __init__(
        self, database: Database, kafka: KafkaConnection, read_models: Sequence[str], topic: str
    ) -> None:
        self._database = database
        self._kafka = kafka
        self._read_models = read_models
        self._topic = topic
        self._reached: _Reached | None = None
        self._finding = asyncio.Lock()
        self._asking = asyncio.Lock()

    async def keep_telling(self) -> None:
        """Find out again and again, until cancelled; each read model waits for itself alone."""
        async with asyncio.TaskGroup() as telling:
            for name in self._read_models:
                telling.create_task(self._keep_telling(name))

    async def _keep_telling(self, read_model: str) -> None:
        while True:
            try:
                async with asyncio.timeout(GIVEN_UP_AFTER):
                    await self.tell(read_model)
            except Exception as error:  # noqa: BLE001 - what is told grows old, and nothing else depends on it
                log.warning("completeness.unknown", read_model=read_model, error=repr(error))
            await asyncio.sleep(INTERVAL)

    async def tell(self, read_model: str) -> None:
        """Find out once, for as long as it takes. Raises what the database and Kafka raise."""
        async with self._finding:
            reached = self._reached
            # The read models ask one after the other.
            if reached is None or time.monotonic() - reached.found_at > INTERVAL / 2:
                reached = self._reached = await self._find()
        topic = (self._topic, reached.topic_id)
        while not await self._note(read_model, reached, topic):  # noqa: ASYNC110 - any member's work
            await asyncio.sleep(LOOK_INTERVAL)

    async def _note(self, read_model: str, reached: _Reached, topic: tuple[str, UUID]) -> bool:
        async def note(conn: asyncpg.Connection) -> bool:
            return await note_complete(conn, read_model, reached.until, topic, reached.ends)

        async with self._asking:
            return await self._database.use(note)

    async def _find(self) -> _Reached:
        until: datetime = await self._ask(_RECORDED_UNTIL)
        newest: int | None = await self._ask(_NEWEST, self._topic)
        while newest is not None and await self._ask(_UNSENT, newest, self._topic):  # noqa: ASYNC110 - the relay's work
            await asyncio.sleep(LOOK_INTERVAL)
        async with TopicReader.open(self._kafka, self._topic) as reader:
            return _Reached(until, reader.topic_id, reader.ends, time.monotonic())

    async def _ask(self, question: str, *values: object) -> Any:  # noqa: ANN401 - any value
        async with self._asking:
            return await self._database.use(lambda conn: conn.fetchval(question, *values))
