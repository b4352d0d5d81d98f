"""A rebuild is what mends a read model whose topic was deleted and made anew."""

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import UnknownTopicOrPartitionError

from integration.projector.order_log import CONFIRM, create, item, order_key, random_log
from integration.projector.processes import Installation, until
from integration.projector.reading import expected, rows
from integration.projector.rebuilding import Operator, logged
from messaging import KafkaConnection, TopicReader

# The old generation stands still for ever: no use waiting for it at each table that is compared.
IMPATIENT = """
from projector import app
from projector.building import comparing

comparing._MOVED_ON_WITHIN = 0.5
app.main()
"""


async def make_topic_anew(installation: Installation) -> None:
    kafka, topic = KafkaConnection(installation.kafka.bootstrap_servers), installation.topics.events
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_topics([topic])
    finally:
        await admin.close()

    async def gone() -> bool:
        try:
            async with TopicReader.open(kafka, topic):
                return False
        except UnknownTopicOrPartitionError:
            return True

    await until(gone, "the topic deleted")
    await installation.make_topics()


async def test_a_rebuild_goes_on_from_a_topic_that_was_made_anew(
    installation: Installation, conn: asyncpg.Connection, operator: Operator
) -> None:
    """A projector that refuses its topic stays for a rebuild, and goes on with the new generation."""
    log = random_log(30)
    await log.store(conn)
    ends = await installation.send(log)
    with installation.running("sales") as process:
        await operator.live_level("sales", ends)
        assert await installation.stop(process) == 0
    await make_topic_anew(installation)
    log.do(order_key("meanwhile"), create(), item("1"), CONFIRM)
    await log.store(conn)
    build = await operator.ask("sales", throttle=20)
    with installation.running("sales", IMPATIENT) as process:
        found = await operator.reach(build, "swapped")
        assert found.comparison is not None
        assert found.comparison["added"] > 0
        (stood_by,) = logged(installation, "sales", "projector.stands_by")
        assert "made anew" in stood_by["reason"]
        # The new topic begins with what happens from now on.
        before = [len(records) for records in log.records.values()]
        log.do(order_key("late"), create(), item("1"), CONFIRM)
        await log.store(conn)
        await installation.send(log, before)

        async def applied() -> bool:
            return await rows(conn, "sales") == expected("sales", log)

        await until(applied, "what happened since is applied")
        assert await installation.stop(process) == 0
