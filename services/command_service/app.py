"""The command service's composition root."""

import argparse
import asyncio
from functools import partial
from typing import TypeVar

import asyncpg

from command_service.dead_letter_limit import DeadLetterLimit, dead_before
from command_service.elsewhere import Elsewhere
from command_service.handler import CommandHandler
from command_service.holding import Holding
from command_service.releasing import keep_releasing
from commands import CONTEXTS, ORDERS, Context, tell_tenants
from messaging import BatchConsumer, KafkaConnection, fetch_topic
from operations import check_database_has_topics, refused
from runtime import BY_KEY, EXIT_FATAL, Database, Health, Settings, on_stop, run, serve_http, unless_set

S = TypeVar("S")


async def command_service(context: Context[S], settings: Settings) -> int:
    """Run one command service of a context until SIGTERM or SIGINT; returns its exit status."""
    health, topics = Health(), context.topics(settings.topic_prefix)
    database = Database(settings.database_url, context.command_group, server_settings=BY_KEY)
    kafka = KafkaConnection.of(settings)
    limit = DeadLetterLimit(settings.dead_letter_limit, dead_before(kafka))
    holding = Holding(topics, limit)
    health.add("database", database.problem)
    health.add("held_back", holding.problem)
    health.add_state("set_aside", holding.state)

    async def check(connection: asyncpg.Connection) -> None:
        await check_database_has_topics(connection, kafka, settings.topic_prefix, context)
        await tell_tenants(connection, settings.tenants)

    async def count_partitions() -> int:
        return (await fetch_topic(kafka, topics.commands)).partitions

    handler = CommandHandler(
        database,
        context,
        topics,
        settings.tenants,
        holding,
        elsewhere=Elsewhere(
            topics.commands,
            settings.partitioner,
            count_partitions,
            refuse=settings.refuse_wrong_partition,
        ),
        reconnected=check,
    )
    consumer = BatchConsumer(
        settings,
        topic=topics.commands,
        group=topics.group(context.command_group),
        handler=handler,
        health=health,
    )
    on_stop(consumer.stop)
    async with serve_http(health, settings.http_host, settings.http_port):
        try:
            starting = refused(settings, database, check, {topics: [topics.commands]}, health)
            if await unless_set(consumer.stopping, starting):
                return EXIT_FATAL
            releasing = asyncio.create_task(keep_releasing(handler, kafka, topics.commands))
            try:
                return await consumer.run()
            finally:
                releasing.cancel()
                await asyncio.wait({releasing})
        finally:
            await database.close()


def main() -> None:
    """Start the service of the context that the command line names, from the environment's settings."""
    parser = argparse.ArgumentParser(prog="command_service", description="Decide one context's commands.")
    parser.add_argument("context", choices=sorted(CONTEXTS), nargs="?", default=ORDERS.name)
    context = CONTEXTS[parser.parse_args().context]
    run(context.command_group, Settings, partial(command_service, context))
