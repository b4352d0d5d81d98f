"""An installation with one process of each service, any of which can be exchanged for a faulty one."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka import TopicPartition

from commands import ORDERS
from harness.groups import expel, rewind
from harness.guarantees import DEADLINE, assert_guarantees, command_ids, quiet
from harness.installation import Installation
from harness.load import commands_of_orders
from harness.plain_client import PlainClient
from harness.processes import ServiceProcess
from harness.waiting import eventually
from harness.whole_topics import WholeTopics
from integration.projector.reading import kept
from messaging import Committed, KafkaConnection, committed_offsets
from messaging.topics import PARTITIONS
from readmodels import READ_MODELS

RUNNER = str(Path(__file__).with_name("runner.py"))
SERVICES = {
    "command_service": ("command_service",),
    "outbox_relay": ("outbox_relay",),
    **{name: ("projector", name) for name in READ_MODELS},
}
# Many small batches, so that a fault falls into the middle of the load.
BATCH_RECORDS = "10"
# Under load: how many commands wait at most, and the seconds between two loads.
UNDECIDED, PAUSE = 150, 0.3


@asynccontextmanager
async def beside(load: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Have this done while the body runs; it ends once the event that it is given is set."""
    enough = asyncio.Event()
    loading = asyncio.create_task(load(enough))
    try:
        yield
    finally:
        enough.set()
        await loading


class Town:
    """What runs, by the names of SERVICES, and all commands sent so far."""

    admin: asyncpg.Connection
    client: PlainClient
    topics: WholeTopics

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.running: dict[str, ServiceProcess] = {}
        self.sent: list[dict[str, Any]] = []

    async def run(self, *names: str) -> None:
        """Have a sound process of each of these run; of all, if none is named."""
        for name in names or SERVICES:
            process = self.running.get(name)
            if process is None or process.process.poll() is not None:
                self.running[name] = self.start(name)

    def start(self, name: str, **settings: Any) -> ServiceProcess:
        """Start one more process of a service."""
        return self.installation.service(*SERVICES[name], batch_records=BATCH_RECORDS, **settings)

    def faulty(self, name: str, window: str, call: int = 1, then: str = "kill") -> ServiceProcess:
        """Start a process of a service that is killed, or stands still, in a window."""
        through = (RUNNER, window, str(call), then)
        return self.installation.service(*SERVICES[name], through=through, batch_records=BATCH_RECORDS)

    async def stop(self, name: str) -> None:
        """End the process of a service in order, if one runs."""
        if name in self.running:
            assert await self.running[name].stop() == 0, self.running[name].log

    async def load(self, orders: int = 8) -> None:
        """Send the commands of new orders."""
        commands = commands_of_orders(orders, seed=len(self.sent))
        self.sent += commands
        await self.client.send(commands)

    @asynccontextmanager
    async def under_load(self) -> AsyncIterator[None]:
        """Keep sending while the body runs, with a bounded number of commands not yet decided."""
        conn = await asyncpg.connect(self.installation.database_url("postgres"))

        async def load(enough: asyncio.Event) -> None:
            while not enough.is_set():
                await self.load(orders=4)
                due = len(command_ids(self.sent)) - UNDECIDED
                while not enough.is_set():
                    await asyncio.sleep(PAUSE)
                    if await conn.fetchval("SELECT count(*) FROM command_outcomes") >= due:
                        break

        try:
            async with beside(load):
                yield
        finally:
            await conn.close()

    async def stored(self) -> None:
        """Wait until all commands sent are handled, their messages still waiting in the outbox or not."""
        ends = await self.topics.ends("orders.commands")

        async def handled() -> bool:
            committed = await self.committed("command_service")
            return {partition: found.offset for partition, found in committed.items()} == ends

        await eventually(handled, deadline=DEADLINE)

    async def committed(self, name: str) -> dict[int, Committed]:
        """Give the committed offset of each partition of a service's group."""
        kafka, topics = (
            KafkaConnection(self.installation.bootstrap_servers),
            ORDERS.topics(self.installation.prefix),
        )
        topic = topics.commands if name == "command_service" else topics.events
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        found = await committed_offsets(kafka, self.group(name), partitions)
        return {partition.partition: offset for partition, offset in found.items()}

    async def kept(self, name: str) -> list[tuple[Any, ...]]:
        """Give all rows of a read model's table of orders; none before its first start."""
        try:
            return await kept(self.admin, name)
        except asyncpg.UndefinedTableError:
            return []

    async def applied(self, name: str) -> set[int]:
        """Give the partitions that a read model has applied any records of."""
        rows = await self.admin.fetch(
            "SELECT partition FROM projections.checkpoints WHERE read_model = $1 AND next_offset > 0", name
        )
        return {row["partition"] for row in rows}

    async def quiet(self) -> None:
        """Wait until all that was sent has come through."""
        await quiet(self.admin, self.topics, self.sent)

    async def assert_guarantees(self) -> int:
        """Wait and check what was promised; give how many messages came again, since the first test."""
        return await assert_guarantees(self.admin, self.topics, self.sent)

    def group(self, name: str) -> str:
        """Give a service's consumer group."""
        return ORDERS.topics(self.installation.prefix).group(".".join(SERVICES[name]))

    async def expel(self, name: str) -> None:
        """Have Kafka forget the killed members of a service's group now."""
        if name != "outbox_relay":
            await expel(self.installation.bootstrap_servers, self.group(name))

    async def rewind(self, name: str) -> None:
        """Reset a stopped projector's group to the start."""
        topics = ORDERS.topics(self.installation.prefix)
        await rewind(self.installation.bootstrap_servers, self.group(name), topics.events)

    async def counts(self) -> tuple[int, int]:
        """Give how many events and outcomes are stored."""
        row = await self.admin.fetchrow(
            "SELECT (SELECT count(*) FROM order_events), (SELECT count(*) FROM command_outcomes)"
        )
        return tuple(row)


async def killed(process: ServiceProcess, window: str) -> None:
    """Wait until a faulty process was killed in its window, and nowhere else."""
    assert await process.ended(DEADLINE) == -signal.SIGKILL, process.log
    assert process.log.count("window hit: ") == 1
    assert process.log.endswith(f"window hit: {window}\n")


async def stopped(process: ServiceProcess, window: str) -> None:
    """Wait until a faulty process stands still in its window."""

    async def hit() -> bool:
        assert process.process.poll() is None, process.log
        return f"window hit: {window}\n" in process.log

    await eventually(hit, deadline=DEADLINE)


async def wake(process: ServiceProcess, event: str) -> None:
    """Wake a process that stands still and wait until it has logged an event since."""
    process.process.send_signal(signal.SIGCONT)

    async def logged() -> bool:
        assert process.process.poll() is None, process.log
        return f'"event": "{event}"' in process.log.partition("window hit: ")[2]

    await eventually(logged, deadline=DEADLINE)
