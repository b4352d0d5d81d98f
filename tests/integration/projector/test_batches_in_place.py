"""A batch is applied only where it begins at its checkpoint."""

from functools import partial

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from integration.projector.consuming import NewConsumer
from integration.projector.order_log import PARTITIONS, TOPIC, random_log
from integration.projector.processes import Installation, checkpoints, until
from integration.projector.reading import expected, kept, rows
from messaging import Fenced, KafkaConnection, TopicReader

NAME = "sales"
FIRST = TopicPartition(TOPIC, 0)


@pytest.mark.parametrize("apart", [pytest.param(3, id="beyond"), pytest.param(-3, id="before")])
async def test_a_batch_out_of_place_writes_nothing_and_the_next_assignment_mends_it(
    conn: asyncpg.Connection, new_consumer: NewConsumer, apart: int
) -> None:
    """One that begins beyond its checkpoint, or before it, is refused whole; joined anew, nothing is lost."""
    log = random_log(20)
    await log.store(conn)
    consumer = await new_consumer(log, NAME)
    await consumer.step(at_once=5)
    before, places = await kept(conn, NAME), await checkpoints(conn, NAME)
    consumer.positions[FIRST] += apart
    with pytest.raises(Fenced):
        await consumer.step(at_once=5)
    assert (await kept(conn, NAME), await checkpoints(conn, NAME)) == (before, places)
    await consumer.assign()
    await consumer.drain()
    assert await rows(conn, NAME) == expected(NAME, log)


async def test_what_a_sender_took_back_leaves_no_gap(
    installation: Installation, conn: asyncpg.Connection
) -> None:
    """Offsets that hold the marks of a transaction, or what was taken back in it, are passed over."""
    log = random_log(20)
    await log.store(conn)
    topic, bootstrap_servers = installation.topics.events, installation.kafka.bootstrap_servers
    with installation.running(NAME) as process:
        async with AIOKafkaProducer(
            bootstrap_servers=bootstrap_servers, transactional_id=f"{topic}.stranger"
        ) as producer:
            await producer.begin_transaction()
            for partition in range(PARTITIONS):
                await producer.send_and_wait(topic, b"{}", b"taken back", partition=partition)
            await producer.abort_transaction()
        await until(partial(_ends_at, installation, 2), "the transaction's marks")
        ends = await installation.send(log)
        # One taken back, one mark.
        await installation.level(conn, NAME, [end + 2 for end in ends])
        assert await rows(conn, NAME) == expected(NAME, log)
        assert await installation.stop(process) == 0


async def _ends_at(installation: Installation, offset: int) -> bool:
    kafka = KafkaConnection(installation.kafka.bootstrap_servers)
    async with TopicReader.open(kafka, installation.topics.events) as reader:
        return set(reader.ends.values()) == {offset}
