"""Carries a recovery out: all of it in one transaction, or nothing."""

from collections.abc import Mapping

from aiokafka import TopicPartition

from eventstore import SENDERS_LOCK, SHARDS
from messaging import KafkaConnection, Offsets, Topics, stop_consumer
from operations.errors import AlreadyUnderWay
from operations.recover.republishing import check_nobody_appends
from operations.recover.restoring import restore
from operations.recover.survey import Survey
from operations.recover.work import Work

# Until the transaction ends: no relay sends what it has not committed yet, or what the backup had waiting.
_TAKE_LOCKS = "SELECT bool_and(pg_try_advisory_xact_lock($1, shard)) FROM generate_series(0, $2) AS shard"


async def execute(work: Work, found: Survey, time_zones: Mapping[str, str]) -> Offsets:
    """Write what `survey` has found on this connection and move the command service's offsets.

    Returns partitions of the topic of commands and the first offsets to handle again. The events that are
    missing are what keeps the services from starting, so they come in the same commit as all the rest.
    Offsets that are moved before a commit that fails do no harm: what is handled again is answered again.

    Raises Contradiction, AlreadyUnderWay while a service runs, KafkaError and OSError.
    """
    async with work.conn.transaction():
        if not await work.conn.fetchval(_TAKE_LOCKS, SENDERS_LOCK, SHARDS - 1):
            raise AlreadyUnderWay("relay_runs_in_recovery", "An outbox relay runs.")
        again = await restore(work, found, time_zones)
        # Whoever has started meanwhile was not refused for long: it must not be at work over the commit.
        await check_nobody_appends(work)
        await move_group(work.kafka, work.topics, work.context.command_group, again)
    return again


async def move_group(kafka: KafkaConnection, topics: Topics, group: str, offsets: Offsets) -> None:
    """Have the command service, which must not run, go on from these offsets. Raises KafkaError."""
    if not offsets:
        return
    consumer = kafka.consumer(group_id=topics.group(group))
    await consumer.start()
    try:
        places = {TopicPartition(topics.commands, number): offset for number, offset in offsets.items()}
        consumer.assign(list(places))
        await consumer.commit(places)
    finally:
        await stop_consumer(consumer)
