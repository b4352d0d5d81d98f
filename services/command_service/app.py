"""The command service's composition root."""

from __future__ import annotations

from functools import partial

from command_service.dead_letter_limit import DeadLetterLimit, dead_offsets
from command_service.handler import CommandHandler
from eventstore import EventStore
from messaging import BatchConsumer, KafkaConnection, Topics
from operations import check_database_has_topics, refused
from orders import ORDER
from runtime import EXIT_FATAL, Database, Health, Settings, configure_logging, on_stop, run, serve_http

GROUP = "command_service"


async def command_service(settings: Settings) -> int:
    """Run one command service until SIGTERM or SIGINT; returns its exit status."""
    health, topics = Health(), Topics(settings.topic_prefix)
    database = Database(settings.database_url, "command_service")
    limit = DeadLetterLimit(settings.dead_letter_limit, dead_offsets(KafkaConnection.of(settings)))
    check = partial(check_database_has_topics, kafka=KafkaConnection.of(settings), topics=topics)
    handler = CommandHandler(
        database,
        EventStore(ORDER),
        topics,
        settings.tenant_time_zones,
        limit,
        reconnected=check,
    )
    consumer = BatchConsumer(
        settings, topic=topics.commands, group=topics.group(GROUP), handler=handler, health=health
    )
    on_stop(consumer.stop)
    async with serve_http(health, settings.http_host, settings.http_port):
        try:
            if await refused(settings, database, check):
                return EXIT_FATAL
            return await consumer.run()
        finally:
            await database.close()


def main() -> None:
    """Start the service from the environment's settings."""
    settings = Settings()
    configure_logging("command_service", settings.log_level)
    run(command_service(settings))
