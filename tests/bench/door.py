"""`POST /v1/commands` under a fleet: how many commands a second, how long each waits, what one costs.

Each till sends its next command when it has the answer to the one before. Beside it, as many senders do the
same with aiokafka's plain `send` and one consumer of the outcomes, through the same services.
"""

import asyncio
import json
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple
from uuid import uuid4

import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from questions import query_service
from stored_orders import TENANT

from harness.http_connection import HttpConnection
from harness.installation import Installation
from harness.plain_client import command, headers_of
from harness.waiting import eventually
from local.servers import Kafka, Postgres

# Tills at once → commands that they send together.
FLEETS = {1: 300, 100: 5_000, 400: 6_000, 1_000: 8_000}
WARMING_UP = 500
COMMANDS_AN_ORDER = 20
TIMEOUT = 30
_ORDER = {"cashier_id": "anna", "currency": "EUR"}
_ITEM = {"product_id": "p-1", "name": "Tea", "quantity": "2", "unit_price": "3.50"}

Send = Callable[[str, str, dict[str, Any]], Awaitable[str]]
"""Sends a command of a type to an order with its data, and returns what it was answered with."""
Way = Callable[[], AbstractAsyncContextManager[Send]]
"""Gives one till its way to send."""


class Fleet(NamedTuple):
    """What a number of tills got; times in milliseconds, `cpu` in milliseconds of a core for each command."""

    what: str
    count: int  # type: ignore[assignment] # nobody counts in one
    rate: float
    median: float
    p99: float
    answers: Mapping[str, int]
    cpu: Mapping[str, float]
    baseline: str
    baseline_rate: float
    baseline_median: float


class Run(NamedTuple):
    """One fleet's way through its commands."""

    seconds: float
    times: list[float]
    answers: Counter[str]


async def measure(installation: Installation, postgres: Postgres, kafka: Kafka) -> list[Fleet]:
    """Start the services, and have each fleet send its commands by HTTP and then by Kafka alone."""
    services = {name: installation.service(name) for name in ("command_service", "outbox_relay")}
    services["query_service"] = query_service(installation)
    await asyncio.gather(*(service.ready() for service in services.values()))
    processes = {name: service.process.pid for name, service in services.items()}
    processes |= {"postgres": postgres.pid or 0, "kafka": kafka.pid or 0}
    found = []
    async with _by_http(services["query_service"].port) as by_http, _by_kafka(installation) as by_kafka:
        for way in (by_http, by_kafka):
            await _run(way, 50, WARMING_UP)
        for tills, count in FLEETS.items():
            before = _cpu(processes)
            run = await _run(by_http, tills, count)
            spent = {name: 1000 * (used - before[name]) / count for name, used in _cpu(processes).items()}
            plain = await _run(by_kafka, tills, count)
            found.append(
                Fleet(
                    f"a command over HTTP, {tills:,} till{'s' if tills > 1 else ''} at once",
                    count,
                    count / run.seconds,
                    statistics.median(run.times),
                    statistics.quantiles(run.times, n=100)[-1],
                    run.answers,
                    spent,
                    "aiokafka's send, and a consumer of the outcomes",
                    count / plain.seconds,
                    statistics.median(plain.times),
                )
            )
    for service in services.values():
        await service.stop()
    return found


async def _run(way: Way, tills: int, count: int) -> Run:
    """Have so many tills send so many commands together."""
    left = iter(range(count))
    times: list[float] = []
    answers: Counter[str] = Counter()

    async def till(send: Send) -> None:
        for kind, order_id, data in _commands():
            if next(left, None) is None:
                return
            began = time.perf_counter()
            answers[await send(kind, order_id, data)] += 1
            times.append((time.perf_counter() - began) * 1000)

    async with AsyncExitStack() as open_ways:
        senders = [await open_ways.enter_async_context(way()) for _ in range(tills)]
        began = time.perf_counter()
        await asyncio.gather(*map(till, senders))
        return Run(time.perf_counter() - began, times, answers)


def _commands() -> Iterator[tuple[str, str, dict[str, Any]]]:
    while True:
        order_id = str(uuid4())
        yield "CreateOrder", order_id, _ORDER
        for _ in range(COMMANDS_AN_ORDER - 1):
            yield "AddItem", order_id, _ITEM


@asynccontextmanager
async def _by_http(port: int) -> AsyncIterator[Way]:
    @asynccontextmanager
    async def way() -> AsyncIterator[Send]:
        connection = await HttpConnection.open(port)

        async def send(kind: str, order_id: str, data: dict[str, Any]) -> str:
            body = {"command_id": str(uuid4()), "order_id": order_id, "type": kind, "data": data}
            answer = await connection.post(f"/v1/commands?timeout={TIMEOUT}", json.dumps(body).encode())
            return str(answer.status)

        try:
            yield send
        finally:
            connection.close()

    yield way


@asynccontextmanager
async def _by_kafka(installation: Installation) -> AsyncIterator[Way]:
    waiting: dict[str, asyncio.Future[str]] = {}
    producer = AIOKafkaProducer(bootstrap_servers=installation.bootstrap_servers, acks="all")
    consumer = AIOKafkaConsumer(
        f"{installation.prefix}orders.outcomes", bootstrap_servers=installation.bootstrap_servers
    )

    async def consume() -> None:
        async for record in consumer:
            headers = headers_of(record)
            if (future := waiting.pop(headers["ce_causationid"], None)) is not None:
                future.set_result(headers["ce_type"])

    async def send(kind: str, order_id: str, data: dict[str, Any]) -> str:
        command_id = str(uuid4())
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        waiting[command_id] = answer
        message = command(kind, order_id, data, command_id=command_id, tenant=TENANT)
        await producer.send(f"{installation.prefix}orders.commands", **message)
        return await answer

    @asynccontextmanager
    async def way() -> AsyncIterator[Send]:
        yield send

    async with producer, consumer:
        consuming = asyncio.create_task(consume())

        async def follows() -> bool:
            return bool(consumer.assignment()) and not [
                each for each in consumer.assignment() if await consumer.position(each) is None
            ]

        await eventually(follows)
        yield way
        consuming.cancel()
        await asyncio.wait({consuming})


def _cpu(processes: Mapping[str, int]) -> dict[str, float]:
    """Return the seconds of a core that each process has used, with its children that are still there."""
    return {name: sum(_seconds(each) for each in _family(pid)) for name, pid in processes.items()}


def _family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def _seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)
