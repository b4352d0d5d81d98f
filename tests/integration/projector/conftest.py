from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from aiokafka import TopicPartition
from pydantic import SecretStr

from eventstore import EventStore
from integration.projector.consuming import Consumer, NewConsumer
from integration.projector.order_log import TOPIC, OrderLog
from messaging import Committed
from orders import ORDER
from projector.checkpoints import Checkpoints
from projector.generations import open_live
from projector.handler import Projector
from projector.projection import Projection
from readmodels import READ_MODELS
from runtime import Database


@pytest.fixture
async def conn(database: Any) -> AsyncIterator[asyncpg.Connection]:
    """Give a superuser's connection to the test's database."""
    connection = await asyncpg.connect(database.dsn())
    yield connection
    await connection.close()


@pytest.fixture
async def new_consumer(database: Any) -> AsyncIterator[NewConsumer]:
    """Give a maker of projectors with partitions, each with a connection of its own, under their role."""
    async with AsyncExitStack() as stack:

        async def make(
            log: OrderLog, name: str, committed: Mapping[TopicPartition, Committed] | None = None
        ) -> Consumer:
            held = Database(SecretStr(database.dsn("projector")), "test")
            stack.push_async_callback(held.close)
            read_model = await open_live(await held.connection(), READ_MODELS[name])
            projection = Projection(read_model, EventStore(ORDER))
            checkpoints = Checkpoints(name, read_model.generation, TOPIC)

            async def topic_id() -> UUID:
                return UUID(int=1)

            projector = Projector(held, read_model, projection, checkpoints, topic_id)
            consumer = Consumer(log, projector, dict(committed or {}))
            await consumer.assign()
            return consumer

        yield make
