"""A batch is applied only where it begins at its checkpoint."""

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from integration.projector.consuming import NewConsumer
from integration.projector.order_log import PARTITIONS, TOPIC, random_log
from integration.projector.processes import Installation, checkpoints, until
from integration.projector.reading import expected, kept, rows
from integration.projector.rebuilding import Operator
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


async def take_back(installation: Installation, at: list[int]) -> list[int]:
    """Send a record to each partition and take it back, once they end there; return where they end then."""
    topic = installation.topics.events
    async with AIOKafkaProducer(
        bootstrap_servers=installation.kafka.bootstrap_servers, transactional_id=f"{topic}.stranger"
    ) as producer:
        await producer.begin_transaction()
        for partition in range(PARTITIONS):
            await producer.send_and_wait(topic, b"{}", b"taken back", partition=partition)
        await producer.abort_transaction()
    # The record, and the transaction's mark, which comes a little later.
    ends = [end + 2 for end in at]

    async def marked() -> bool:
        async with TopicReader.open(KafkaConnection(installation.kafka.bootstrap_servers), topic) as reader:
            return [reader.ends[number] for number in range(PARTITIONS)] == ends

    await until(marked, "the transaction's marks")
    return ends


async def test_what_a_sender_took_back_leaves_no_gap(
    installation: Installation, conn: asyncpg.Connection
) -> None:
    """Offsets that hold the marks of a transaction, or what was taken back in it, are passed over."""
    log = random_log(20)
    await log.store(conn)
    with installation.running(NAME) as process:
        ends = await take_back(installation, [0] * PARTITIONS)
        sent = await installation.send(log)
        await installation.level(conn, NAME, [sum(each) for each in zip(ends, sent, strict=True)])
        assert await rows(conn, NAME) == expected(NAME, log)
        assert await installation.stop(process) == 0


async def test_a_build_is_level_at_what_a_sender_took_back(
    installation: Installation, conn: asyncpg.Connection, operator: Operator
) -> None:
    """A topic that ends in a transaction taken back has no record more for a generation to catch up with."""
    log = random_log(10)
    await log.store(conn)
    ends = await installation.send(log)
    with installation.running(NAME) as process:
        await operator.live_level(NAME, ends)
        await operator.reach(await operator.ask(NAME), "swapped")
        await take_back(installation, ends)
        await operator.reach(await operator.ask(NAME, "rollback", generation=1), "swapped")
        assert await rows(conn, NAME) == expected(NAME, log)
        assert await installation.stop(process) == 0
