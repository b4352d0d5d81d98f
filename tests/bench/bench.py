"""`make bench`: rates of the hot paths, each beside a baseline of the same run.

An absolute rate says little about another machine; the share of the baseline says how much our own work costs
on top of what the server takes for the same rows or records by the plainest means.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import asyncpg
from rich.console import Console
from rich.table import Table

from harness.installation import Installation
from localservers import Kafka, Postgres, free_port
from messaging import KafkaConnection, Topics, ensure_topics

sys.path.insert(0, str(Path(__file__).parent))

import deciding
import relay
import replay
from measuring import Measurement

from eventstore import migrate


async def measure(orders: int, folder: Path, stack: ExitStack) -> list[Measurement]:
    """Start the servers, run each benchmark on what the one before it left, and return the rates."""
    postgres = stack.enter_context(Postgres(folder / "postgres", free_port()))
    kafka = stack.enter_context(Kafka(folder / "kafka", free_port()))
    topics = Topics()
    await ensure_topics(KafkaConnection(kafka.bootstrap_servers), topics)
    connection = await asyncpg.connect(postgres.dsn())
    try:
        await migrate(connection)
        # One superuser for all: what is measured is the same, and roles have their own tests.
        installation = Installation(kafka.bootstrap_servers, "", lambda _role: postgres.dsn(), folder, stack)
        return [
            *await deciding.measure(installation, connection, orders),
            *await relay.measure(installation, connection),
            *await replay.measure(installation, connection),
        ]
    finally:
        await connection.close()


def main() -> None:
    """Run the benchmarks and print them as a table or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=3_000, help="orders of 11 commands each (default 3000)")
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tillstream-bench-") as folder, ExitStack() as stack:
        measurements = asyncio.run(measure(arguments.orders, Path(folder), stack))
    if arguments.output == "json":
        print(json.dumps([each._asdict() for each in measurements]))  # noqa: T201 - its purpose
        return
    table = Table(title=f"{arguments.orders} orders of 11 commands")
    for column in ("what", "count", "per second", "baseline", "per second", "share"):
        table.add_column(column, justify="left" if column in {"what", "baseline"} else "right")
    for each in measurements:
        table.add_row(
            each.what,
            f"{each.count:,}",
            f"{each.rate:,.0f}",
            each.baseline,
            f"{each.baseline_rate:,.0f}",
            f"{each.rate / each.baseline_rate:.0%}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
