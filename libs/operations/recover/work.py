"""What every step of a recovery works with."""

from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import asyncpg
from aiokafka import ConsumerRecord

from commands import Context
from messaging import KafkaConnection, TopicReader, Topics


class Work(NamedTuple):
    """A superuser's connection to the database, a context with its topics, and who is told how far it is."""

    conn: asyncpg.Connection
    kafka: KafkaConnection
    context: Context[Any]
    topics: Topics
    tell: Callable[[str], None]

    async def whole(self, topic: str) -> AsyncIterator[list[ConsumerRecord[bytes, bytes]]]:
        """Yield a topic's records page by page, one partition after the other.

        Raises KafkaError and OSError.
        """
        async with TopicReader.open(self.kafka, topic) as reader:
            for number, beginning in sorted(reader.beginnings.items()):
                async for records in reader.pages({number: beginning}, reader.ends):
                    yield records
