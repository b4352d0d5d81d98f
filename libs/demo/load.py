"""Sending baskets as commands, until Kafka has acknowledged them all."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from uuid import UUID

from aiokafka.errors import KafkaError

from demo.baskets import Basket
from demo.commands import commands
from demo.named_orders import named_orders
from demo.selection import order_id_of
from messaging import KafkaConnection, KafkaRefused, Message, Producer
from operations import OperationRefused, Unreachable

# Acknowledged together: enough to fill every partition's batches, few enough to show progress.
_BATCH_COMMANDS = 2_000
_RETRY_SECONDS = 60.0
_RETRY_PAUSE = 1.0


@dataclass(frozen=True, slots=True)
class LoadedBaskets:
    """What was sent: commands per order id, in the order of loading.

    `began` is when sending began, by the monotonic clock; `seconds` is how long it has taken.
    """

    commands_of: dict[UUID, int]
    began: float
    seconds: float

    @property
    def commands(self) -> int:
        """The number of commands."""
        return sum(self.commands_of.values())

    @property
    def rate(self) -> float:
        """Commands a second."""
        return self.commands / max(self.seconds, 1e-9)


async def send_baskets(
    kafka: KafkaConnection, topic: str, baskets: Iterator[Basket], partitioner: str
) -> AsyncIterator[LoadedBaskets]:
    """Send baskets as commands on `topic`; yield what Kafka has acknowledged so far, at last all of it.

    `partitioner` puts each order's commands into its partition. Raises Unreachable when Kafka has not taken
    them for a minute, OperationRefused where it turns us away.
    """
    sender = _Sender(kafka, partitioner)
    loaded = LoadedBaskets({}, time.monotonic(), 0.0)
    try:
        for orders, messages in _batches(baskets, topic):
            await sender.send(messages)
            loaded.commands_of.update(orders)
            loaded = replace(loaded, seconds=time.monotonic() - loaded.began)
            yield loaded
    finally:
        await sender.close()


async def send_named_orders(kafka: KafkaConnection, topic: str, partitioner: str) -> None:
    """Send the documents' own orders; return once Kafka has acknowledged them. Raises as `send_baskets`."""
    sender = _Sender(kafka, partitioner)
    try:
        await sender.send([Message(topic, *record) for record in named_orders()])
    finally:
        await sender.close()


def _batches(baskets: Iterator[Basket], topic: str) -> Iterator[tuple[dict[UUID, int], list[Message]]]:
    """Yield whole baskets together: how many commands each order has, and all of their messages."""
    orders: dict[UUID, int] = {}
    messages: list[Message] = []
    for basket in baskets:
        before = len(messages)
        messages.extend(Message(topic, *record) for record in commands(basket))
        orders[order_id_of(basket.basket_id)] = len(messages) - before
        if len(messages) >= _BATCH_COMMANDS:
            yield orders, messages
            orders, messages = {}, []
    if orders:
        yield orders, messages


class _Sender:
    """Sends until it is acknowledged, with a new producer after each failure.

    A batch may be sent twice then; the command service takes each command once.
    """

    def __init__(self, kafka: KafkaConnection, partitioner: str) -> None:
        self._kafka, self._partitioner = kafka, partitioner
        self._producer: Producer | None = None

    async def send(self, messages: list[Message]) -> None:
        """Return when all are acknowledged. Raises as `send_baskets` does."""
        end = time.monotonic() + _RETRY_SECONDS
        while True:
            try:
                if self._producer is None:
                    self._producer = Producer(self._kafka, self._partitioner)
                    await self._producer.start()
                await self._producer.send(messages)
            except KafkaRefused as error:
                raise OperationRefused("kafka_refuses_us", f"{error}.") from error
            except (KafkaError, TimeoutError, OSError) as error:
                await self.close()
                if time.monotonic() + _RETRY_PAUSE > end:
                    raise Unreachable(
                        f"Kafka at {self._kafka.bootstrap_servers} takes no commands: {error!r}."
                    ) from error
                await asyncio.sleep(_RETRY_PAUSE)
            else:
                return

    async def close(self) -> None:
        """Let the producer go: all that was to be kept is acknowledged."""
        if self._producer is not None:
            await self._producer.drop()
            self._producer = None
