"""Waiting until what was sent has come to every read model."""

from collections.abc import Mapping
from uuid import UUID

from commands import ORDERS
from demo import arriving
from messaging import KafkaConnection
from runtime import Settings
from till.connecting import query_connection


async def wait_for_arrival(where: Settings, commands_of: Mapping[UUID, int]) -> None:
    """Return when every read model has applied the events of these orders: order id → commands sent."""
    async with query_connection(where) as connection:
        kafka, topics = KafkaConnection.of(where), ORDERS.topics(where.topic_prefix)
        async for _ in arriving(connection, kafka, topics, commands_of):
            pass
