"""What a projector process is made of."""

from functools import partial

import structlog

from eventstore import EventStore
from messaging import BatchConsumer, Topics
from orders import ORDER
from projector.assignment import RebuildNeeded
from projector.checkpoints import Checkpoints
from projector.generations import open_live
from projector.handler import Projector
from projector.projection import Projection
from projector.topic_id import fetch_topic_id
from readmodels import READ_MODELS
from runtime import EXIT_FATAL, Database, Health, Settings, configure_logging, serve_http

log = structlog.get_logger(__name__)


async def main(name: str, settings: Settings) -> int:
    """Keep the read model `name` up to date until told to stop; return the exit status."""
    service = f"projector.{name}"
    configure_logging(service, settings.log_level)
    topics = Topics(settings.topic_prefix)
    database = Database(settings.database_url, service)
    health = Health()
    try:
        read_model = await open_live(await database.connection(), READ_MODELS[name])
        projector = Projector(
            database,
            read_model,
            Projection(read_model, EventStore(ORDER)),
            Checkpoints(name, read_model.generation, topics.events),
            partial(fetch_topic_id, settings.kafka_bootstrap_servers, topics.events),
        )
        consumer = BatchConsumer(
            settings, topic=topics.events, group=topics.group(service), handler=projector, health=health
        )
        async with serve_http(health, settings.http_host, settings.http_port):
            status = await consumer.run()
            await projector.revoked()
            return status
    except RebuildNeeded as reason:
        log.error("projector.refused", reason=str(reason), advice="rebuild")  # noqa: TRY400 - no stack to show
        return EXIT_FATAL
    finally:
        await database.close()
