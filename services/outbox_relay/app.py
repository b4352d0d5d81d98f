"""The relay's composition root."""

import asyncio
from functools import partial

from commands import CONTEXTS
from eventstore import SHARDS
from messaging import KafkaConnection, Producer
from operations import check_logs_have_topics, refused
from outbox_relay.depth import Depth
from outbox_relay.floor import Floor
from outbox_relay.relay import SESSION, Relay
from outbox_relay.shards import Shards
from runtime import EXIT_FATAL, Database, Health, Settings, on_stop, run, serve_http, unless_set


async def relay(settings: Settings) -> int:
    """Run one relay until SIGTERM or SIGINT; returns its exit status."""
    health = Health()
    # Until the relay itself tells: it starts only where the topic agrees with the log.
    health.add("relay", lambda: "compares the topic with the log before it starts")
    stop = asyncio.Event()
    on_stop(stop.set)
    database = Database(settings.database_url, "outbox_relay", server_settings=SESSION)
    check = partial(
        check_logs_have_topics,
        kafka=KafkaConnection.of(settings),
        prefix=settings.topic_prefix,
        contexts=CONTEXTS.values(),
    )
    every = [context.topics(settings.topic_prefix) for context in CONTEXTS.values()]
    keeping = {topics: [topics.events, topics.outcomes, topics.dead_letters] for topics in every}
    shards, floor = Shards(), Floor()
    # Another connection: how much waits must be told while a send hangs, too.
    depth = Depth(
        Database(settings.database_url, "outbox_depth"),
        # The floor is of our shards: of the whole outbox only where we hold all of them.
        lambda: floor.id if len(shards.held) == SHARDS else 0,
    )
    health.add("database", database.problem)
    measuring = asyncio.create_task(depth.keep_looking())
    try:
        async with serve_http(health, settings.http_host, settings.http_port):
            if await unless_set(stop, refused(settings, database, check, keeping, health)):
                return EXIT_FATAL
            sender = Relay(settings, database, shards, Producer, health, floor=floor, reconnected=check)
            return await sender.run(stop)
    finally:
        measuring.cancel()


def main() -> None:
    """Start the service from the environment's settings."""
    run("outbox_relay", Settings, relay)
