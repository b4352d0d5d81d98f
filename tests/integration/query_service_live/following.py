"""Events on a topic, and readers that follow them over HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self
from uuid import UUID, uuid4

import httpx
from aiokafka import AIOKafkaProducer

from commands import ORDERS
from harness.waiting import eventually
from integration.query_service.conftest import Issuer
from messaging import event_headers
from query_service.service import Service

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DEADLINE = 30.0


class Block(NamedTuple):
    """What came between two empty lines."""

    place: str
    data: str
    comment: str


class Reader:
    """One open stream."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()
        self.place = ""

    async def block(self) -> Block:
        """Give the next block that is no mere setting: an event, a place alone, or last words."""
        fields = {"id": "", "data": "", "": ""}
        async with asyncio.timeout(DEADLINE):
            async for line in self._lines:
                if line:
                    name, _, value = line.partition(":")
                    fields[name] = value.strip()
                elif fields["id"] or fields[""]:
                    self.place = fields["id"] or self.place
                    return Block(fields["id"], fields["data"], fields[""])
        raise EOFError

    async def events(self, count: int) -> list[dict[str, Any]]:
        """Give the next so many events."""
        found: list[dict[str, Any]] = []
        # Signs of life go on coming where an event is missing.
        async with asyncio.timeout(2 * DEADLINE):
            while len(found) < count:
                block = await self.block()
                if block.data:
                    found.append(json.loads(block.data))
        return found

    async def numbers(self, count: int) -> list[int]:
        """Give the versions of the next so many events."""
        return [event["version"] for event in await self.events(count)]

    async def last_words(self) -> str:
        """Give what is said at the end of the stream."""
        said = ""
        with suppress(EOFError):
            while True:
                said = (await self.block()).comment
        return said


class LiveService:
    """A query service, its topic, and clients."""

    def __init__(self, service: Service, address: str, issuer: Issuer, producer: AIOKafkaProducer) -> None:
        self.service = service
        self.issuer = issuer
        self.address = address
        self._producer = producer
        self.topics = ORDERS.topics(service.settings.topic_prefix)

    @classmethod
    @asynccontextmanager
    async def over(
        cls, service: Service, port: int, issuer: Issuer, bootstrap_servers: str
    ) -> AsyncIterator[Self]:
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers)
        async with producer:
            yield cls(service, f"http://127.0.0.1:{port}", issuer, producer)

    async def ready(self) -> Self:
        async def follows() -> bool:
            return self.service.following.ready and self.service.outcomes.ready

        await eventually(follows)
        return self

    def client(self, role: str = "manager", tenant: str = "store-1", **claims: Any) -> httpx.AsyncClient:
        token = self.issuer.token(role, tenant, **claims)
        return httpx.AsyncClient(
            base_url=self.address, headers={"Authorization": f"Bearer {token}"}, timeout=DEADLINE
        )

    @asynccontextmanager
    async def reader(
        self,
        *,
        tenant: str = "store-1",
        headers: dict[str, str] | None = None,
        claims: Any = None,
        **query: Any,
    ) -> AsyncIterator[Reader]:
        """Give an open stream; one without a start has begun to follow."""
        async with (
            self.client(tenant=tenant, **(claims or {})) as client,
            client.stream("GET", "/v1/events", params=query, headers=headers) as response,
        ):
            if response.status_code != 200:
                await response.aread()
            assert response.status_code == 200, response.text
            reader = Reader(response)
            if not headers and "after" not in query:
                await reader.block()
            yield reader

    async def publish(
        self,
        *versions: int,
        tenant: str = "store-1",
        order_id: UUID | None = None,
        kind: str = "ItemRemoved",
        actor: str = "anna",
        partition: int = 0,
        value: bytes = b'{"line_id":"1"}',
    ) -> None:
        """Send events of one order, as the relay does."""
        order = str(order_id or uuid4())
        # A partition that was added meanwhile is news to this producer.
        while partition not in await self._producer.partitions_for(self.topics.events):
            await self._producer.client.force_metadata_update()
        for version in versions:
            headers = event_headers(
                event_id=str(uuid4()),
                message_type=f"orders.{kind}",
                aggregate_id=order,
                tenant_id=tenant,
                actor=actor,
                version=version,
                schema_version=1,
                occurred_at=NOON,
                recorded_at=NOON,
                correlation_id="c",
                causation_id=str(uuid4()),
                metadata={"undoes": [2, 3]} if kind == "ItemAdded" else {},
            )
            await self._producer.send_and_wait(
                self.topics.events, value, key=order.encode(), headers=headers, partition=partition
            )
