"""Topics that a test makes or widens itself: known to the broker before the test goes on."""

from collections.abc import Mapping

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import UnknownTopicOrPartitionError

from harness.waiting import eventually
from messaging import KafkaConnection, fetch_topic


async def make_topic(
    bootstrap_servers: str, name: str, partitions: int = 1, settings: Mapping[str, str] | None = None
) -> None:
    """Make a topic with Kafka's settings, and wait until clients find it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        response = await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=settings)])
    finally:
        await admin.close()
    assert [error[1] for error in response.topic_errors] == [0], response.topic_errors
    await _until_known(bootstrap_servers, name, partitions)


async def widen_topic(bootstrap_servers: str, name: str, partitions: int) -> None:
    """Give a topic so many partitions, and wait until clients find them."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        await admin.create_partitions({name: NewPartitions(partitions)})
    finally:
        await admin.close()
    await _until_known(bootstrap_servers, name, partitions)


async def _until_known(bootstrap_servers: str, name: str, partitions: int) -> None:
    """Wait for the broker that is asked: it learns of topics from the controller, a little later."""

    async def known() -> bool:
        try:
            return (await fetch_topic(KafkaConnection(bootstrap_servers), name)).partitions == partitions
        except UnknownTopicOrPartitionError:
            return False

    await eventually(known)
