"""Commands a second that `till recover` compares with a database that has lost all, and takes back."""

import time
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from measuring import Measurement

from commands import ORDERS
from eventstore import migrate
from harness.installation import Installation
from messaging import KafkaConnection, TopicReader
from operations.recover import Work, recover

_DATABASE = "recovered"


async def measure(installation: Installation, connection: asyncpg.Connection) -> list[Measurement]:
    """Look and take back in an empty database; the baseline only fetches what the topics hold."""
    await connection.execute(f"CREATE DATABASE {_DATABASE}")
    address = urlsplit(installation.database_url("postgres"))
    lost = await asyncpg.connect(urlunsplit(address._replace(path=f"/{_DATABASE}")))
    kafka, topics = KafkaConnection(installation.bootstrap_servers), ORDERS.topics(installation.prefix)
    work = Work(lost, kafka, ORDERS, topics, lambda _: None)
    try:
        await migrate(lost)
        started = time.perf_counter()
        found = await recover(work, "bench", {})
        looked = time.perf_counter() - started
        await recover(work, "bench", {}, carry_out=True)
        taken = time.perf_counter() - started - looked
        started = time.perf_counter()
        for topic in (topics.events, topics.outcomes, topics.commands):
            async with TopicReader.open(kafka, topic) as reader:
                async for _ in reader.pages(reader.beginnings, reader.ends):
                    pass
        baseline = found.outcomes / (time.perf_counter() - started)
    finally:
        await lost.close()
    # It looks first: what comes after that is its own.
    rates = {"till recover: looked at": looked, "till recover: taken back": max(taken - looked, 1e-9)}
    return [
        Measurement(what, found.outcomes, found.outcomes / seconds, "bare fetch of all topics", baseline)
        for what, seconds in rates.items()
    ]
