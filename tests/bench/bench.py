"""`make bench`: rates of the hot paths and times of answers, each beside a baseline of the same run.

An absolute figure says little about another machine; the one beside it says how much our own work costs on
top of what the server takes for the same rows or records by the plainest means.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import asyncpg
from rich.console import Console
from rich.table import Table

from commands import ORDERS
from harness.installation import Installation
from local.servers import Kafka, Postgres, free_port
from messaging import KafkaConnection, ensure_topics

sys.path.insert(0, str(Path(__file__).parent))

import deciding
import door
import live
import live_events
import questions
import recovering
import relay
import replay
from measuring import Latency, Measurement

from eventstore import migrate, set_passwords

_PARTS = ("rates", "latencies", "fleets", "live")
_PASSWORD = "bench"  # noqa: S105 - of a server that lives for this run
_ROLES = ("query", "query_service", "operator", "projector", "command_service", "outbox_relay")


class Found(NamedTuple):
    """What was measured."""

    rates: list[Measurement]
    latencies: list[Latency]
    fleets: list[door.Fleet]
    live: list[live.Live]
    rest: list[live.Rest]


async def measure(parts: Collection[str], orders: int, stored: int, folder: Path, stack: ExitStack) -> Found:
    """Start the servers, and run these parts of the benchmarks, each in a database of its own."""
    postgres = stack.enter_context(Postgres(folder / "postgres", free_port()))
    kafka = stack.enter_context(Kafka(folder / "kafka", free_port()))
    found = Found([], [], [], [], [])
    if "rates" in parts:
        found.rates.extend(await measure_rates(postgres, kafka, orders, folder, stack))
    if "latencies" in parts:
        async with apart("questions", postgres, kafka, folder, stack) as (installation, connection):
            found.latencies.extend(await questions.measure(installation, connection, stored))
            found.latencies.extend(await live_events.measure(installation))
    if "fleets" in parts:
        async with apart("door", postgres, kafka, folder, stack) as (installation, _):
            found.fleets.extend(await door.measure(installation, postgres, kafka))
    if "live" in parts:
        async with apart("live", postgres, kafka, folder, stack) as (installation, connection):
            at_work, rest = await live.measure(installation, connection, postgres, kafka)
            found.live.extend(at_work)
            found.rest.append(rest)
    return found


async def measure_rates(
    postgres: Postgres, kafka: Kafka, orders: int, folder: Path, stack: ExitStack
) -> list[Measurement]:
    """Measure the way from commands to read models."""
    await ensure_topics(KafkaConnection(kafka.bootstrap_servers), ORDERS.topics())
    connection = await asyncpg.connect(postgres.dsn())
    try:
        await migrate(connection)
        # One superuser for all: what is measured is the same, and roles have their own tests.
        installation = Installation(kafka.bootstrap_servers, "", lambda _role: postgres.dsn(), folder, stack)
        return [
            *await deciding.measure(installation, connection, orders),
            *await relay.measure(installation, connection),
            *await replay.measure(installation, connection),
            *await recovering.measure(installation, connection),
        ]
    finally:
        await connection.close()


@asynccontextmanager
async def apart(
    name: str, postgres: Postgres, kafka: Kafka, folder: Path, stack: ExitStack
) -> AsyncIterator[tuple[Installation, asyncpg.Connection]]:
    """Give an installation with a database and topics of its own, whose services have their own roles."""
    prefix = f"{name}."
    await ensure_topics(KafkaConnection(kafka.bootstrap_servers), ORDERS.topics(prefix))
    admin = await asyncpg.connect(postgres.dsn())
    await admin.execute(f"CREATE DATABASE {name}")
    await admin.close()
    connection = await asyncpg.connect(postgres.dsn(database=name))

    def address(role: str) -> str:
        return postgres.dsn(f"tillstream_{role}", _PASSWORD, name)

    try:
        await migrate(connection)
        await set_passwords(connection, {f"tillstream_{role}": _PASSWORD for role in _ROLES})
        yield Installation(kafka.bootstrap_servers, prefix, address, folder, stack), connection
    finally:
        await connection.close()


def main() -> None:
    """Run the benchmarks and print them as tables or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=3_000, help="orders of 11 commands each (default 3000)")
    parser.add_argument("--stored", type=int, default=100_000, help="orders to ask about (default 100000)")
    parser.add_argument("--only", choices=_PARTS, help="one part of it (default: all)")
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")
    arguments = parser.parse_args()
    parts = _PARTS if arguments.only is None else (arguments.only,)
    with tempfile.TemporaryDirectory(prefix="tillstream-bench-") as folder, ExitStack() as stack:
        found = asyncio.run(measure(parts, arguments.orders, arguments.stored, Path(folder), stack))
    if arguments.output == "json":
        measured = [each._asdict() for part in found for each in part]
        print(json.dumps(measured))  # noqa: T201 - its purpose
        return
    show(
        f"{arguments.orders:,} orders of 11 commands",
        ("what", "count", "per second", "baseline", "per second", "share"),
        [
            (
                each.what,
                f"{each.count:,}",
                f"{each.rate:,.0f}",
                each.baseline,
                f"{each.baseline_rate:,.0f}",
                f"{each.rate / each.baseline_rate:.0%}",
            )
            for each in found.rates
        ],
    )
    show(
        f"Questions about {arguments.stored:,} orders, milliseconds",
        ("what", "count", "median", "95 %", "baseline", "median"),
        [
            (
                each.what,
                f"{each.count:,}",
                f"{each.median:,.2f}",
                f"{each.p95:,.2f}",
                each.baseline,
                f"{each.baseline_median:,.2f}",
            )
            for each in found.latencies
        ],
    )
    show(
        "Commands over HTTP, milliseconds",
        (
            "what",
            "count",
            "per second",
            "median",
            "99 %",
            "answers",
            "CPU a command",
            "baseline",
            "per second",
            "median",
        ),
        [
            (
                each.what,
                f"{each.count:,}",
                f"{each.rate:,.0f}",
                f"{each.median:,.1f}",
                f"{each.p99:,.1f}",
                _told(each.answers, ",d"),
                _told(each.cpu, ".2f"),
                each.baseline,
                f"{each.baseline_rate:,.0f}",
                f"{each.baseline_median:,.1f}",
            )
            for each in found.fleets
        ],
    )
    show(
        "Live traffic, CPU milliseconds a command; times from sending to the outcome, milliseconds",
        (
            "a second",
            "all",
            "services",
            "PostgreSQL",
            "Kafka",
            "transactions",
            "KB of WAL",
            "median",
            "99 %",
            "bare echo",
            "99 %",
        ),
        [
            (
                f"{each.rate:,}",
                f"{each.milliseconds(each.cost.cpu - each.baseline_kafka):.2f}",
                f"{each.milliseconds(each.cost.services):.2f}",
                f"{each.milliseconds(each.cost.postgres):.2f}",
                f"{each.milliseconds(each.cost.kafka - each.baseline_kafka):.2f}",
                f"{each.cost.transactions / each.commands:.1f}",
                f"{each.cost.wal / each.commands / 1000:.1f}",
                f"{each.median:.0f}",
                f"{each.p99:.0f}",
                f"{each.baseline_median:.0f}",
                f"{each.baseline_p99:.0f}",
            )
            for each in found.live
        ],
    )
    show(
        "At rest",
        ("a core", "services", "PostgreSQL", "Kafka", "transactions a second", "MB of all services"),
        [
            (
                f"{each.cost.cpu / each.seconds:.1%}",
                f"{each.cost.services / each.seconds:.1%}",
                f"{each.cost.postgres / each.seconds:.1%}",
                f"{each.cost.kafka / each.seconds:.1%}",
                f"{each.cost.transactions / each.seconds:.0f}",
                f"{each.memory:.0f}",
            )
            for each in found.rest
        ],
    )


def _told(figures: Mapping[str, int | float], form: str) -> str:
    return ", ".join(f"{name} {figure:{form}}" for name, figure in figures.items())


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, if there is anything in it."""
    if not rows:
        return
    table = Table(title=title)
    for column in columns:
        table.add_column(column, justify="left" if column in {"what", "baseline"} else "right")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    main()
