"""`till load`: the data set's baskets as commands on the commands topic."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

import typer
from aiokafka.errors import KafkaError
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from demo import Basket, commands, order_id_of, read_baskets
from messaging import KafkaConnection, KafkaRefused, Message, Producer, Topics
from runtime import Settings
from till.connecting import run
from till.errors import NotUpError, TillError
from till.output import Output, OutputOption, notices, print_json, print_rows
from till.settings import till_settings

# Acknowledged together: enough to fill every partition's batches, few enough to show progress.
_BATCH_COMMANDS = 2_000
_RETRY_SECONDS = 60.0
_RETRY_PAUSE = 1.0


@dataclass(frozen=True, slots=True)
class LoadedBaskets:
    """What was sent: commands per order id, in the order of loading.

    `began` is when sending began, by the monotonic clock; `seconds` is how long it took.
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


def load(
    orders: Annotated[
        int | None, typer.Option(min=1, help="How many baskets, from the first on; all 141,062 unless given.")
    ] = None,
    output: OutputOption = Output.table,
) -> None:
    """Send the data set's baskets as commands; sending them again changes nothing."""
    where = till_settings()
    loaded = run(send_baskets(where, orders))
    summary = {
        "orders": len(loaded.commands_of),
        "commands": loaded.commands,
        "seconds": round(loaded.seconds, 3),
        "rate": round(loaded.rate, 1),
    }
    if output is Output.json:
        print_json(summary)
        return
    print_rows([summary], tuple(summary), output, title="Sent")
    notices.print("`till lag` shows what the read models have yet to apply.", highlight=False)


async def send_baskets(where: Settings, limit: int | None) -> LoadedBaskets:
    """Send the first `limit` baskets (default all) and return when Kafka has acknowledged every command.

    Raises TillError when the data set is missing, NotUpError when Kafka doesn't take them.
    """
    with notices.status("Reading the data set …"):
        count, baskets = read_baskets(limit)
    topic = Topics(where.topic_prefix).commands
    sender = _Sender(KafkaConnection.of(where))
    commands_of: dict[UUID, int] = {}
    sent = 0
    began = time.monotonic()
    try:
        with _progress() as progress:
            task = progress.add_task("Sending baskets", total=count, rate=0.0)
            for orders, messages in _batches(baskets, topic):
                await sender.send(messages)
                commands_of |= orders
                sent += len(messages)
                rate = sent / (time.monotonic() - began)
                progress.update(task, advance=len(orders), rate=rate)
    finally:
        await sender.close()
    return LoadedBaskets(commands_of, began, time.monotonic() - began)


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

    def __init__(self, kafka: KafkaConnection) -> None:
        self._kafka = kafka
        self._producer: Producer | None = None

    async def send(self, messages: list[Message]) -> None:
        """Return when all are acknowledged.

        Raises NotUpError after a minute without success, TillError where Kafka turns us away.
        """
        end = time.monotonic() + _RETRY_SECONDS
        while True:
            try:
                if self._producer is None:
                    self._producer = Producer(self._kafka)
                    await self._producer.start()
                await self._producer.send(messages)
            except KafkaRefused as error:
                raise TillError(f"{error}.", "Correct the setting, then load again.") from error
            except (KafkaError, TimeoutError, OSError) as error:
                await self.close()
                if time.monotonic() + _RETRY_PAUSE > end:
                    raise NotUpError(
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


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:,.0f} commands/s"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=notices,
    )
