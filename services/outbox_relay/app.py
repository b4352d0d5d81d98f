"""The relay's composition root."""

from __future__ import annotations

import asyncio
from functools import partial

from commands import CONTEXTS
from messaging import KafkaConnection, Producer
from operations import check_logs_have_topics, refused
from outbox_relay.depth import Depth
from outbox_relay.relay import Relay
from outbox_relay.shards import Shards
from runtime import EXIT_FATAL, Database, Health, Settings, configure_logging, on_stop, run, serve_http

# A relay that stands still in mid-life (a stopped process, a lost host) gives its locks back after this. It
# polls many times a second and bounds each wait for Kafka below it, so a live one never sees it.
IDLE_SESSION_TIMEOUT = "30s"


async def relay(settings: Settings) -> int:
    """Run one relay until SIGTERM or SIGINT; returns its exit status."""
    health = Health()
    # Until the relay itself tells: it starts only where the topic agrees with the log.
    health.add("relay", lambda: "compares the topic with the log before it starts")
    stop = asyncio.Event()
    on_stop(stop.set)
    database = Database(
        settings.database_url, "outbox_relay", server_settings={"idle_session_timeout": IDLE_SESSION_TIMEOUT}
    )
    # Another connection: how much waits must be told while a send hangs, too.
    measuring = asyncio.create_task(Depth(Database(settings.database_url, "outbox_depth")).keep_looking())
    check = partial(
        check_logs_have_topics,
        kafka=KafkaConnection.of(settings),
        prefix=settings.topic_prefix,
        contexts=CONTEXTS.values(),
    )
    try:
        async with serve_http(health, settings.http_host, settings.http_port):
            if await refused(settings, database, check):
                return EXIT_FATAL
            return await Relay(settings, database, Shards(), Producer, health, reconnected=check).run(stop)
    finally:
        measuring.cancel()


def main() -> None:
    """Start the service from the environment's settings."""
    settings = Settings()
    configure_logging("outbox_relay", settings.log_level)
    run(relay(settings))
