"""What Kafka knows of a consumer group's members."""

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code

from messaging.connection import KafkaConnection


async def group_members(kafka: KafkaConnection, group: str) -> list[str]:
    """Return the client ids of the group's members; none for a group that isn't there.

    Raises KafkaError, such as for a group that we may not describe.
    """
    admin = AIOKafkaAdminClient(**kafka.options())
    await admin.start()
    try:
        (response,) = await admin.describe_consumer_groups([group])
    finally:
        await admin.close()
    error_code, _, _, _, _, members, *_ = response.groups[0]
    if error_code:
        raise for_code(error_code)(f"the group {group} can't be described")
    return [member[1] for member in members]
