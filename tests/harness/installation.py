"""A running installation: its own database, its own topics, the services as processes."""

import asyncio
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient

from commands import ORDERS
from harness.processes import ServiceProcess
from harness.servers import Servers, fresh_database
from messaging import KafkaConnection, Topics, ensure_topics


@dataclass(frozen=True)
class Installation:
    """What a test needs to start services and to look at what they do.

    `database_url` gives the database's address for a role, named without `tillstream_`.
    """

    bootstrap_servers: str
    prefix: str
    database_url: Callable[[str], str]
    folder: Path
    stack: ExitStack

    def service(
        self,
        name: str,
        *arguments: str,
        through: Sequence[str] = ("-m",),
        afresh: bool = False,
        **settings: str,
    ) -> ServiceProcess:
        """Start one more process of a service, or of a program that runs it; it ends with the test."""
        process = ServiceProcess(
            self.folder,
            name,
            *arguments,
            through=through,
            afresh=afresh,
            **{
                "kafka_bootstrap_servers": self.bootstrap_servers,
                "topic_prefix": self.prefix,
                "database_url": self.database_url(name),
                **settings,
            },
        )
        return self.stack.enter_context(process)


@contextmanager
def fresh_installation(servers: Servers, folder: Path) -> Iterator[Installation]:
    """Give an installation with topics and schema while the body runs, without any service running yet."""
    topics, bootstrap_servers = ORDERS.topics(f"t{secrets.token_hex(6)}."), servers.kafka()
    asyncio.run(ensure_topics(KafkaConnection(bootstrap_servers), topics))
    with fresh_database(servers) as database, ExitStack() as stack:
        yield Installation(bootstrap_servers, topics.prefix, database.dsn, folder, stack)
    asyncio.run(delete_topics(bootstrap_servers, topics))


async def delete_topics(bootstrap_servers: str, topics: Topics) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_topics(list(topics.configurations()))
    finally:
        await admin.close()
