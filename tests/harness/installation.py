"""A running installation of one test: its own database, its own topics, the services as processes."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from harness.processes import ServiceProcess


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
