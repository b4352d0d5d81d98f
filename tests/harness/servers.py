"""The servers of a session, and databases on them: one of each, whatever number of processes runs the tests.

The process that the session began in owns them, and starts each when a test first wants it. A worker of
pytest-xdist asks that process, so that no server ends with the worker that happened to want it first.
"""

import hashlib
import secrets
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock, Thread
from typing import Any, Protocol
from urllib.parse import quote, urlsplit, urlunsplit

from harness.databases_ahead import DatabasesAhead
from local.servers import Kafka, Postgres, free_port, kafka_tool

# Several workers' tests, each with several processes that have a pool.
_MAX_CONNECTIONS = 400
# A whole session leaves some hundred megabytes in each server's folder.
_MEMORY_WANTED = 8 * 1024**3


@dataclass(frozen=True)
class Choice:
    """Which servers the session runs against; the addresses are those of external ones."""

    servers: str
    admin_database_url: str
    kafka_bootstrap_servers: str


def _in_memory() -> Path | None:
    """Return the memory's file system where there is one with room, else None: the usual place.

    The servers flush as ever, it is only done at once: on a disk it takes a quarter of the tests' processor
    time. No test takes the session's servers down; those that kill a server have their own, on the disk.
    """
    memory = Path("/dev/shm")  # noqa: S108 - a folder with a drawn name is made in it
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > _MEMORY_WANTED else None


class Servers(Protocol):
    """What a session has, wherever it lies; each starts at the first call."""

    def postgres(self) -> str:
        """Return the superuser's address of PostgreSQL."""
        ...

    def kafka(self) -> str:
        """Return Kafka's bootstrap servers."""
        ...

    def take_database(self) -> str:
        """Return the name of a migrated database that nobody else uses."""
        ...

    def give_back(self, database: str) -> None:
        """Have a database dropped, at leisure."""
        ...


@dataclass(frozen=True)
class PostgresServer:
    """A PostgreSQL server, ours or somebody's, by its superuser's address."""

    admin_dsn: str

    def dsn(self, database: str, role: str = "postgres") -> str:
        """Return a database's address for the superuser or one of our roles (its name without prefix)."""
        parts = urlsplit(self.admin_dsn)
        netloc = parts.netloc
        if role != "postgres":
            user = f"tillstream_{role}"
            netloc = f"{user}:{quote(self.password(user))}@{netloc.rpartition('@')[2]}"
        return urlunsplit(parts._replace(netloc=netloc, path=f"/{database}"))

    def password(self, user: str) -> str:
        """Return a role's password: the same for all who know the superuser's, a secret to others."""
        return hashlib.sha256(f"{self.admin_dsn} {user}".encode()).hexdigest()


@dataclass(frozen=True)
class FreshDatabase:
    """A fresh database with our schema and roles."""

    name: str
    server: PostgresServer

    def dsn(self, role: str = "postgres") -> str:
        """Return its address for `postgres` or one of our roles, named without prefix."""
        return self.server.dsn(self.name, role)


@contextmanager
def fresh_database(servers: Servers) -> Iterator[FreshDatabase]:
    """Give a migrated database while the body runs."""
    name = servers.take_database()
    try:
        yield FreshDatabase(name, PostgresServer(servers.postgres()))
    finally:
        servers.give_back(name)


@dataclass(frozen=True)
class KafkaServer:
    """A Kafka cluster, ours or somebody's."""

    bootstrap_servers: str

    def tool(self, name: str, *arguments: str) -> list[str]:
        """Return the command of one of Kafka's own tools, such as `consumer-groups`."""
        return kafka_tool(name, arguments, self.bootstrap_servers)


class OwnServers:
    """The servers that this process starts, or knows of, and gives to its workers too."""

    def __init__(self, choice: Choice) -> None:
        self._choice = choice
        self._stack = ExitStack()
        # A server ends with the thread that started it: these live until the end.
        self._threads = ThreadPoolExecutor()
        self._started: dict[Callable[[], Any], Future[Any]] = {}
        self._lock = Lock()
        self._key = secrets.token_bytes(16)
        self._listener: Listener | None = None

    def postgres(self) -> str:
        """Return the superuser's address of PostgreSQL."""
        return str(self._once(self._start_postgres))

    def kafka(self) -> str:
        """Return Kafka's bootstrap servers."""
        return str(self._once(self._start_kafka))

    def take_database(self) -> str:
        """Return the name of a migrated database that nobody else uses."""
        return self._databases().take()

    def give_back(self, database: str) -> None:
        """Have a database dropped, at leisure."""
        self._databases().give_back(database)

    def address(self) -> tuple[str, bytes]:
        """Return where a worker asks, and the key to show there."""
        if self._listener is None:
            self._listener = Listener(authkey=self._key)
            Thread(target=self._let_in, args=[self._listener], daemon=True).start()
        return str(self._listener.address), self._key

    def close(self) -> None:
        """Stop all that was started."""
        if self._listener is not None:
            self._listener.close()
        for started in self._started.values():
            started.exception()
        self._stack.close()
        self._threads.shutdown()

    def _once(self, start: Callable[[], Any]) -> Any:
        with self._lock:
            if start not in self._started:
                self._started[start] = self._threads.submit(start)
        return self._started[start].result()

    def _start_postgres(self) -> str:
        match self._choice.servers:
            case "external":
                return self._choice.admin_database_url
            case "containers":
                # Here and below: Docker's client takes long to import, and most sessions don't need it.
                from harness.containers import postgres_container  # noqa: PLC0415

                return self._stack.enter_context(postgres_container(max_connections=_MAX_CONNECTIONS))
            case _:
                more = {"max_connections": _MAX_CONNECTIONS}
                server = Postgres(self._folder(), free_port(), settings=more)
                return self._stack.enter_context(server).dsn()

    def _start_kafka(self) -> str:
        match self._choice.servers:
            case "external":
                return self._choice.kafka_bootstrap_servers
            case "containers":
                from harness.containers import kafka_container  # noqa: PLC0415

                return self._stack.enter_context(kafka_container())
            case _:
                return self._stack.enter_context(Kafka(self._folder(), free_port())).bootstrap_servers

    def _folder(self) -> Path:
        return Path(
            self._stack.enter_context(TemporaryDirectory(prefix="tillstream-tests-", dir=_in_memory()))
        )

    def _databases(self) -> DatabasesAhead:
        ahead: DatabasesAhead = self._once(self._make_databases)
        return ahead

    def _make_databases(self) -> DatabasesAhead:
        address = self.postgres()
        return self._stack.enter_context(DatabasesAhead(address, PostgresServer(address).password))

    def _let_in(self, listener: Listener) -> None:
        # Closed at the end of the session.
        with suppress(OSError):
            while True:
                Thread(target=self._answer, args=[listener.accept()], daemon=True).start()

    def _answer(self, worker: Connection) -> None:
        """Do what a worker asks for, until it leaves."""
        with worker, suppress(EOFError, OSError):
            while True:
                name, *arguments = worker.recv()
                try:
                    worker.send((getattr(self, name)(*arguments), None))
                except Exception as error:  # noqa: BLE001 - whatever it is, the worker's test has to tell
                    worker.send((None, f"{type(error).__name__}: {error}"))


class AskedServers:
    """The servers of the process that started this one as a worker."""

    def __init__(self, address: str, key: bytes) -> None:
        self._owner = Client(address, authkey=key)

    def postgres(self) -> str:
        """Return the superuser's address of PostgreSQL."""
        return str(self._ask("postgres"))

    def kafka(self) -> str:
        """Return Kafka's bootstrap servers."""
        return str(self._ask("kafka"))

    def take_database(self) -> str:
        """Return the name of a migrated database that nobody else uses."""
        return str(self._ask("take_database"))

    def give_back(self, database: str) -> None:
        """Have a database dropped, at leisure."""
        self._ask("give_back", database)

    def close(self) -> None:
        """Leave."""
        self._owner.close()

    def _ask(self, name: str, *arguments: str) -> Any:
        self._owner.send((name, *arguments))
        answer, error = self._owner.recv()
        assert error is None, error
        return answer
