"""Consumer groups as Kafka sees them."""

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.group import LeaveGroupRequest


async def expel(bootstrap_servers: str, group: str) -> int:
    """Have the group's members leave, and give how many there were.

    For members that were killed: Kafka would wait for their session timeout first.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        coordinator = await admin.find_coordinator(group)
        (response,) = await admin.describe_consumer_groups([group], coordinator)
        members = [member[0] for member in response.groups[0][5]]
        for member in members:
            await admin._send_request(LeaveGroupRequest(group, member), coordinator)
        return len(members)
    finally:
        await admin.close()


async def rewind(bootstrap_servers: str, group: str, topic: str) -> None:
    """Reset an empty group to the start of a topic, as Kafka's own tool does."""
    # One that commits by itself would do so when it closes: the offsets of before.
    async with AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers, group_id=group, enable_auto_commit=False
    ) as consumer:
        partitions = [TopicPartition(topic, number) for number in await _partitions(bootstrap_servers, topic)]
        consumer.assign(partitions)
        await consumer.commit(dict.fromkeys(partitions, 0))


async def last_decision(conn: asyncpg.Connection) -> int:
    """Give the number of the last decision that a projector has kept."""
    return int(await conn.fetchval("SELECT coalesce(max(id), 0) FROM projections.assignments"))


async def rewound(conn: asyncpg.Connection, read_model: str, since: int) -> set[int]:
    """Give the partitions whose projector has decided a rewind to the start after the decision `since`."""
    rows = await conn.fetch(
        "SELECT DISTINCT partition FROM projections.assignments"
        " WHERE read_model = $1 AND id > $2 AND decision = 'rewind_to_start' AND committed_offset = 0",
        read_model,
        since,
    )
    return {row["partition"] for row in rows}


async def _partitions(bootstrap_servers: str, topic: str) -> list[int]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        (description,) = await admin.describe_topics([topic])
        return [found["partition"] for found in description["partitions"]]
    finally:
        await admin.close()
