"""Command handlers over a real database, fed without Kafka."""

import json
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from typing import Any

import asyncpg
import pytest
from aiokafka import ConsumerRecord, TopicPartition
from pydantic import SecretStr

from command_service.dead_letter_limit import DeadLetterLimit
from command_service.elsewhere import Elsewhere
from command_service.handler import CommandHandler
from command_service.holding import Holding
from commands import ORDERS, Record
from runtime import Database, TenantSettings

PARTITION = TopicPartition("orders.commands", 0)


async def no_dead_letters(_partition: TopicPartition, _first: int, _end: int) -> dict[int, str]:
    return {}


def holding(limit: int = 100) -> Holding:
    return Holding(ORDERS.topics(), DeadLetterLimit(limit, no_dead_letters))


async def one_partition() -> int:
    return 1


def no_look() -> Elsewhere:
    return Elsewhere(PARTITION.topic, "any", one_partition, refuse=False)


class Services:
    """Command handlers over one database, as several services would be."""

    def __init__(self, url: str, admin: asyncpg.Connection) -> None:
        self.url = url
        self.admin = admin
        self.offset = 0
        self.databases: list[Database] = []

    def new(
        self,
        limit: int = 100,
        tenants: Mapping[str, TenantSettings] = MappingProxyType({}),
        elsewhere: Elsewhere | None = None,
    ) -> CommandHandler:
        database = Database(SecretStr(self.url), "test")
        self.databases.append(database)
        return CommandHandler(
            database, ORDERS, ORDERS.topics(), tenants, holding(limit), elsewhere=elsewhere or no_look()
        )

    def records(self, *sent: dict[str, Any]) -> list[Record]:
        """Give what was sent as the next records of the partition."""
        made = []
        for each in sent:
            made.append(
                ConsumerRecord(
                    *PARTITION, self.offset, 0, 0, each["key"], each["value"], None, 0, 0, each["headers"]
                )
            )
            self.offset += 1
        return made

    async def handle(self, handler: CommandHandler, *sent: dict[str, Any]) -> None:
        await handler.handle({PARTITION: self.records(*sent)})

    async def outcomes(self) -> dict[str, str]:
        """Give command id → accepted or the code."""
        rows = await self.admin.fetch("SELECT command_id, code FROM command_outcomes")
        return {str(row["command_id"]): row["code"] or "accepted" for row in rows}

    async def dead_letters(self) -> list[str]:
        """Give the reasons."""
        rows = await self.admin.fetch("SELECT headers FROM outbox WHERE topic = 'orders.dead-letters'")
        return [dict(json.loads(row["headers"]))["deadletter_reason"] for row in rows]


@pytest.fixture
async def services(database: Any) -> AsyncIterator[Services]:
    """Give the services of a fresh database."""
    admin = await asyncpg.connect(database.dsn())
    made = Services(database.dsn("command_service"), admin)
    try:
        yield made
    finally:
        for each in made.databases:
            await each.close()
        await admin.close()
