from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from aiokafka import TopicPartition
from pydantic import SecretStr

from eventstore import EventStore
from integration.projector.consuming import Consumer, NewConsumer, all_records
from integration.projector.order_log import TOPIC, OrderLog
from integration.projector.processes import Installation
from integration.projector.rebuilding import Operator
from messaging import Committed, TopicFacts
from orders import ORDER
from projector.handler import Projector
from projector.projection import Projection
from readmodels import READ_MODELS
from readmodels.checkpoints import Checkpoints
from readmodels.generations import open_live
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
            log: OrderLog,
            name: str,
            committed: Mapping[TopicPartition, Committed] | None = None,
            *,
            beginnings: Mapping[TopicPartition, int] | None = None,
            partitions: frozenset[TopicPartition] | None = None,
            parked_limit: int = 100,
        ) -> Consumer:
            held = Database(SecretStr(database.dsn("projector")), "test")
            stack.push_async_callback(held.close)
            read_model = await open_live(await held.connection(), READ_MODELS[name])
            projection = Projection(read_model, EventStore(ORDER))
            checkpoints = Checkpoints(name, read_model.generation, TOPIC)

            async def topic() -> TopicFacts:
                return TopicFacts(UUID(int=1), len(log.records))

            projector = Projector(
                held,
                read_model,
                projection,
                checkpoints,
                topic,
                is_without_records=all_records,
                parked_limit=parked_limit,
            )
            stack.push_async_callback(projector.revoked)
            consumer = Consumer(
                log,
                projector,
                dict(committed or {}),
                beginnings=dict(beginnings or {}),
                partitions=partitions,
            )
            await consumer.assign()
            return consumer

        yield make


@pytest.fixture
async def installation(kafka_server: Any, database: Any, topic_prefix: str, tmp_path: Path) -> Installation:
    """Give an installation with its topics made."""
    made = Installation(kafka_server, database, topic_prefix, tmp_path)
    await made.make_topics()
    return made


@pytest.fixture
async def operator(database: Any, conn: asyncpg.Connection) -> AsyncIterator[Operator]:
    """Give who asks for builds."""
    connection = await asyncpg.connect(database.dsn("operator"))
    yield Operator(connection, conn)
    await connection.close()
