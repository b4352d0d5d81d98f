"""The projector's composition root."""

import argparse
from functools import partial

import structlog

from eventstore import EventStore
from messaging import BatchConsumer, KafkaConnection, Topics
from orders import ORDER
from projector.assignment import RebuildNeeded
from projector.checkpoints import Checkpoints
from projector.generations import open_live
from projector.handler import Projector
from projector.projection import Projection
from projector.topic_id import fetch_topic_id
from readmodels import READ_MODELS
from runtime import EXIT_FATAL, Database, Health, Settings, configure_logging, run, serve_http

log = structlog.get_logger(__name__)


async def projector(name: str, settings: Settings) -> int:
    """Keep the read model `name` up to date until SIGTERM or SIGINT; returns the exit status."""
    service, health, topics = f"projector.{name}", Health(), Topics(settings.topic_prefix)
    database = Database(settings.database_url, service)
    try:
        read_model = await open_live(await database.reachable(settings.retry_budget), READ_MODELS[name])
        handler = Projector(
            database,
            read_model,
            Projection(read_model, EventStore(ORDER)),
            Checkpoints(name, read_model.generation, topics.events),
            partial(fetch_topic_id, KafkaConnection.of(settings), topics.events),
        )
        consumer = BatchConsumer(
            settings, topic=topics.events, group=topics.group(service), handler=handler, health=health
        )
        async with serve_http(health, settings.http_host, settings.http_port):
            status = await consumer.run()
            # A clean stop is no revocation to aiokafka, but it is one to us.
            await handler.revoked()
            return status
    except RebuildNeeded as reason:
        log.error("projector.refused", reason=str(reason))  # noqa: TRY400 - no fault of ours
        return EXIT_FATAL
    finally:
        await database.close()


def main() -> None:
    """Start the service named on the command line from the environment's settings."""
    parser = argparse.ArgumentParser(prog="projector", description="Keep one read model up to date.")
    parser.add_argument("read_model", choices=sorted(READ_MODELS))
    name: str = parser.parse_args().read_model
    settings = Settings()
    configure_logging(f"projector.{name}", settings.log_level)
    run(projector(name, settings))
