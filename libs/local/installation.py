"""Brings everything up over one folder, in order, and takes it down."""

import asyncio
import fcntl
import getpass
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from pydantic import SecretStr

from local.callers import caller_settings
from local.home import Home
from local.programs import SERVICES, Program, server_program, service_program, supervisor_config
from local.servers import Kafka, LocalServerError, Postgres, free_port
from local.supervisor import Supervisor, end_orphans
from local.waiting import wait_for_servers, wait_for_services
from operations.migration import migrate_all
from readmodels import READ_MODELS
from runtime import Settings, read_settings

_DATABASE = "tillstream"
# Where services answer when nobody else does there: first the one that people ask.
_FIRST_HTTP_PORT = 8100
_QUERY_SERVICE = "query_service"


def bring_up(home: Home, tell: Callable[[str], None], *, with_us: bool) -> Supervisor:
    """Start the servers, migrate, start the services; return when all of them are ready.

    What is up already is left alone. `tell` gets each step's sentence. `with_us` ends everything with this
    process. Raises WrongSettings before anything else, LocalServerError or OperationRefused after stopping
    what was started.
    """
    # Each of the services would refuse them, one after the other.
    read_settings(Settings)
    home.make()
    with _alone(home):
        if supervisor := Supervisor.running(home):
            return supervisor
        end_orphans(home)
        tell("Preparing PostgreSQL and Kafka")
        postgres, kafka = Postgres(home.postgres), Kafka(home.kafka)
        postgres.prepare()
        kafka.prepare()
        passwords = home.role_passwords()
        services = _services(postgres, kafka, passwords)
        servers = [postgres, kafka]
        programs = [*map(server_program, servers), *services]
        supervisor = _start_supervisor(home, programs, with_us=with_us)
        try:
            tell("Starting PostgreSQL and Kafka")
            wait_for_servers(supervisor, home, servers)
            tell("Migrating the database and making the topics")
            settings = Settings(
                kafka_bootstrap_servers=kafka.bootstrap_servers,
                database_url=SecretStr(_dsn(postgres, "query", passwords)),
            )
            asyncio.run(migrate_all(settings, postgres.dsn(database=_DATABASE), passwords))
            tell("Starting the services")
            supervisor.start_group(SERVICES)
            wait_for_services(supervisor, home, services)
            _write_addresses(home, postgres, kafka, passwords, services)
        except BaseException:
            _stop(home, supervisor)
            raise
    return supervisor


def take_down(home: Home) -> list[str]:
    """Stop everything and give the names of what was stopped: nothing when nothing ran. Data stays."""
    if not home.folder.exists():
        return []
    supervisor = Supervisor.running(home)
    if supervisor is None:
        return end_orphans(home)
    _stop(home, supervisor)
    return list(supervisor.addresses)


def _stop(home: Home, supervisor: Supervisor) -> None:
    # First, so that nobody is pointed at what is going away.
    home.client_env.unlink(missing_ok=True)
    home.till_env.unlink(missing_ok=True)
    supervisor.stop()
    end_orphans(home)
    home.state.unlink(missing_ok=True)


def _start_supervisor(home: Home, programs: list[Program], *, with_us: bool) -> Supervisor:
    port, password = free_port(), secrets.token_hex(24)
    user = getpass.getuser() if os.geteuid() == 0 else None
    config = supervisor_config(home.folder, home.logs, programs, port=port, password=password, user=user)
    home.write_private(home.config, config)
    addresses = {program.name: program.address for program in programs}
    return Supervisor.start(home, port=port, password=password, addresses=addresses, with_us=with_us)


def _services(postgres: Postgres, kafka: Kafka, passwords: Mapping[str, str]) -> list[Program]:
    # All read models in one process: on one machine that is what costs least.
    projector = ("projector", list(READ_MODELS))
    wanted = [("command_service", []), ("outbox_relay", []), projector, (_QUERY_SERVICE, [])]
    ports = [*range(_FIRST_HTTP_PORT + 1, _FIRST_HTTP_PORT + len(wanted)), _FIRST_HTTP_PORT]
    return [
        service_program(
            module,
            arguments,
            free_port(port),
            {
                "TILLSTREAM_DATABASE_URL": _dsn(postgres, module, passwords),
                "TILLSTREAM_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
                **(caller_settings() if module == _QUERY_SERVICE else {}),
            },
        )
        for port, (module, arguments) in zip(ports, wanted, strict=True)
    ]


def _dsn(postgres: Postgres, role: str, passwords: Mapping[str, str]) -> str:
    user = f"tillstream_{role}"
    return postgres.dsn(user, passwords[user], _DATABASE)


def _write_addresses(
    home: Home, postgres: Postgres, kafka: Kafka, passwords: Mapping[str, str], services: list[Program]
) -> None:
    home.write_env(
        home.client_env,
        {
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "POSTGRES_DSN": _dsn(postgres, "analyst", passwords),
            **{f"{service.name.upper()}_URL": service.address for service in services},
        },
    )
    home.write_env(
        home.till_env,
        {
            "TILLSTREAM_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "TILLSTREAM_DATABASE_URL": _dsn(postgres, "query", passwords),
            "TILLSTREAM_OPERATOR_DATABASE_URL": _dsn(postgres, "operator", passwords),
            "TILLSTREAM_ANALYST_DATABASE_URL": _dsn(postgres, "analyst", passwords),
            "TILLSTREAM_ADMIN_DATABASE_URL": postgres.dsn(database=_DATABASE),
        },
    )


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    """Keep a second `till up` out while one is under way."""
    with (home.folder / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LocalServerError(
                "Another `till up` is under way over this folder.", "Wait for it, or stop it with Ctrl-C."
            ) from None
        yield
