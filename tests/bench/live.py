"""What live traffic costs: tills at work at several rates, with everything running, and what rest costs.

The sender's and the reader's cost is no part of it: the same ones at the same rate, over a topic that no
service reads, are the baseline, and what they cost Kafka is taken off.
"""

import asyncio
import random
import statistics
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import asyncpg
import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from deciding import basket

from harness.installation import Installation
from harness.topics import make_topic
from harness.waiting import eventually
from local.servers import Kafka, Postgres
from readmodels import READ_MODELS

RATES = (50, 200, 500, 1_000)
# The tills that are at an order send a command a second; the others of the chain wait for customers.
COMMANDS_PER_TILL = 1.0
WARM_UP, MEASURED, AT_REST = 3.0, 10.0, 10.0


class Way(NamedTuple):
    """Where commands go, where their answers come, and the header of an answer that names the command."""

    commands: str
    answers: str
    named_by: str


ECHO = Way("bench.echo", "bench.echo", "ce_id")
ORDERS = Way("orders.commands", "orders.outcomes", "ce_causationid")


# Whether every read model has every event.
_LEVEL = """
SELECT (SELECT sum(next_offset) FROM projections.checkpoints) = $1 * (SELECT count(*) FROM order_events)
"""


class Cost(NamedTuple):
    """What something took: CPU seconds, and PostgreSQL's transactions and bytes of WAL."""

    services: float
    postgres: float
    kafka: float
    transactions: float
    wal: float

    @property
    def cpu(self) -> float:
        """CPU seconds, everything."""
        return self.services + self.postgres + self.kafka

    def since(self, before: "Cost") -> "Cost":
        """Return what came on top of an earlier reading."""
        return Cost(*(now - then for now, then in zip(self, before, strict=True)))


class Live(NamedTuple):
    """One rate: what its commands cost, and milliseconds from sending to the outcome.

    The baseline is the bare echo: what it costs Kafka is part of `cost.kafka` too.
    """

    rate: int
    commands: int
    cost: Cost
    baseline_kafka: float
    median: float
    p99: float
    baseline_median: float
    baseline_p99: float

    def milliseconds(self, seconds: float) -> float:
        """Return what so many seconds are for each command."""
        return seconds / self.commands * 1000


class Rest(NamedTuple):
    """What rest takes: over so many seconds, and the services' memory in MiB (PSS: what is shared, once)."""

    seconds: float
    cost: Cost
    memory: float


@dataclass(frozen=True)
class Watched:
    """The processes whose cost is counted, and a connection to ask PostgreSQL over."""

    services: Sequence[int]
    postgres: int
    kafka: int
    connection: asyncpg.Connection

    async def cost(self) -> Cost:
        """Return what everything took so far."""
        ((transactions, wal),) = await self.connection.fetch(
            "SELECT (SELECT sum(xact_commit)::bigint FROM pg_stat_database),"
            " (pg_current_wal_lsn() - '0/0')::bigint"
        )
        backends = psutil.Process(self.postgres).children(recursive=True)
        return Cost(
            sum(map(_seconds, self.services)),
            _seconds(self.postgres) + sum(_seconds(each.pid) for each in backends),
            _seconds(self.kafka),
            transactions,
            wal,
        )

    def memory(self) -> float:
        """Return the services' memory in MiB."""
        return float(sum(psutil.Process(pid).memory_full_info().pss for pid in self.services)) / 2**20


def _seconds(pid: int) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    # A server's processes that have ended are counted with their parent.
    return float(times.user + times.system + times.children_user + times.children_system)


class Tills:
    """Tills in the midst of an order each, whose turn comes by chance; a new order once one is confirmed."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._orders = [basket() for _ in range(round(rate / COMMANDS_PER_TILL))]
        self._chance = random.Random(0)  # noqa: S311 - the same traffic each time

    def command(self) -> Mapping[str, Any]:
        """Return the next command of the till whose turn it is."""
        number = self._chance.randrange(len(self._orders))
        found = next(self._orders[number], None)
        if found is None:
            self._orders[number] = basket()
            found = next(self._orders[number])
        return found

    def pause(self) -> float:
        """Return the seconds until the next command: tills that know nothing of each other send at random."""
        return self._chance.expovariate(self._rate)


class Traffic:
    """Sends what tills send, and notes when each command was answered."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, tills: Tills) -> None:
        self._producer = producer
        self._topic = topic
        self._tills = tills
        self._sent_at: dict[bytes, float] = {}
        self._times: list[float] = []

    async def run(self, seconds: float) -> list[float]:
        """Send for so long; return the milliseconds to each answer, once all have come."""
        self._times = []
        due = time.perf_counter()
        end = due + seconds
        while (due := due + self._tills.pause()) < end:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            command = self._tills.command()
            self._sent_at[dict(command["headers"])["ce_id"]] = time.perf_counter()
            await self._producer.send(self._topic, **command)
        await eventually(self._all_answered)
        return self._times

    async def read(self, consumer: AIOKafkaConsumer, named_by: str) -> None:
        """Take answers in; their header `named_by` has the command's id."""
        async for record in consumer:
            sent_at = self._sent_at.pop(dict(record.headers)[named_by], None)
            if sent_at is not None:
                self._times.append((time.perf_counter() - sent_at) * 1000)

    async def _all_answered(self) -> bool:
        return not self._sent_at


async def measure(
    installation: Installation, connection: asyncpg.Connection, postgres: Postgres, kafka: Kafka
) -> tuple[list[Live], Rest]:
    """Start all services, and measure them at work and at rest."""
    await make_topic(installation.bootstrap_servers, installation.prefix + ECHO.commands, 6)
    services = [
        installation.service(name, *arguments, afresh=True, **settings)
        for name, arguments, settings in [
            ("command_service", [], {}),
            ("outbox_relay", [], {}),
            ("projector", list(READ_MODELS), {}),
            ("query_service", [], {"development_identity": "store-1:bench:manager"}),
        ]
    ]
    await asyncio.gather(*(service.ready() for service in services))
    pids = [service.process.pid for service in services]
    watched = Watched(pids, postgres.pid or 0, kafka.pid or 0, connection)
    live = [await _at_work(rate, installation, watched) for rate in RATES]

    async def level() -> bool:
        return bool(await connection.fetchval(_LEVEL, len(READ_MODELS)))

    await eventually(level)
    rest = await _at_rest(watched)
    for service in services:
        await service.stop()
    return live, rest


async def _at_work(rate: int, installation: Installation, watched: Watched) -> Live:
    echo_cost, echo_times = await _run(rate, installation, watched, ECHO)
    cost, times = await _run(rate, installation, watched, ORDERS)
    return Live(
        rate,
        len(times),
        cost,
        echo_cost.kafka / len(echo_times) * len(times),
        *_median_and_p99(times),
        *_median_and_p99(echo_times),
    )


async def _run(rate: int, installation: Installation, watched: Watched, way: Way) -> tuple[Cost, list[float]]:
    servers, prefix = installation.bootstrap_servers, installation.prefix
    async with _client(servers, prefix + way.answers) as (producer, consumer):
        traffic = Traffic(producer, prefix + way.commands, Tills(rate))
        reading = asyncio.create_task(traffic.read(consumer, way.named_by))
        await traffic.run(WARM_UP)
        before = await watched.cost()
        times = await traffic.run(MEASURED)
        cost = (await watched.cost()).since(before)
        reading.cancel()
        await asyncio.wait({reading})
        return cost, times


@asynccontextmanager
async def _client(servers: str, answers: str) -> AsyncIterator[tuple[AIOKafkaProducer, AIOKafkaConsumer]]:
    consumer = AIOKafkaConsumer(answers, bootstrap_servers=servers, auto_offset_reset="latest")
    async with AIOKafkaProducer(bootstrap_servers=servers, acks="all") as producer, consumer:
        await consumer.seek_to_end()
        yield producer, consumer


async def _at_rest(watched: Watched) -> Rest:
    before, began = await watched.cost(), time.perf_counter()
    await asyncio.sleep(AT_REST)
    return Rest(time.perf_counter() - began, (await watched.cost()).since(before), watched.memory())


def _median_and_p99(times: Sequence[float]) -> tuple[float, float]:
    return statistics.median(times), statistics.quantiles(times, n=100)[-1]
