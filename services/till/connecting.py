"""How a verb reaches the installation: to look, by a connection that may only read; to act, on the record."""

import asyncio
import getpass
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

import asyncpg
from pydantic import SecretStr
from rich.markup import escape

from commands import ORDERS
from messaging import KafkaConnection, Topics
from operations import Action, Unreachable, recorded
from queries import read_numbers_as_written
from runtime import ReadOnlyServer, Servers, Settings, SharedSession, take_session
from till.errors import TillError
from till.output import notices
from till.settings import TillSettings, till_settings

T = TypeVar("T")
Connect: TypeAlias = Callable[[TillSettings], AbstractAsyncContextManager[asyncpg.Connection]]

CONNECT_TIMEOUT = 5.0
STATEMENT_TIMEOUT = 60.0


def run(verb: Coroutine[Any, Any, T]) -> T:
    """Run a verb's coroutine; what aiokafka logs of lost connections is told in our own words instead."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    return asyncio.run(verb)


def run_over(connect: Connect, verb: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    """Run what a verb does over one connection, such as `query_connection`; return what it returns."""

    async def connected() -> T:
        async with connect(till_settings()) as connection:
            return await verb(connection)

    return run(connected())


def kafka_of(where: Settings) -> tuple[KafkaConnection, Topics]:
    """Return how Kafka is reached, and this installation's topics."""
    return KafkaConnection.of(where), ORDERS.topics(where.topic_prefix)


@asynccontextmanager
async def query_connection(where: Settings) -> AsyncIterator[asyncpg.Connection]:
    """Give a connection of the role that may only read.

    Raises Unreachable when PostgreSQL doesn't answer, or turns the role away; TillError for a question that
    takes too long.
    """
    async with _connection(where.database_url, to_write=False) as connection:
        try:
            yield connection
        except TimeoutError as error:
            raise TillError(
                f"PostgreSQL took longer than {STATEMENT_TIMEOUT:.0f} s.",
                "Ask for less: one order, one tenant, or a shorter time.",
            ) from error


def operator_connection(where: TillSettings) -> AbstractAsyncContextManager[asyncpg.Connection]:
    """Give a connection of the role that operates.

    Raises TillError when nothing says how it logs in, Unreachable as `query_connection` does.
    """
    setting = "TILLSTREAM_OPERATOR_DATABASE_URL (the role is tillstream_operator)"
    return _connection(given(where.operator_database_url, "the operator's", setting), to_write=True)


def admin_connection(where: TillSettings) -> AbstractAsyncContextManager[asyncpg.Connection]:
    """Give a superuser's connection, for what no role of ours may do.

    Raises as `operator_connection` does.
    """
    url = given(where.admin_database_url, "a superuser's", "TILLSTREAM_ADMIN_DATABASE_URL")
    return _connection(url, to_write=True)


def given(url: SecretStr | None, whose: str, setting: str) -> SecretStr:
    """Return an address that a verb can't do without. Raises TillError, which says how to set it."""
    if url is None:
        raise TillError(
            f"This verb needs {whose} address of PostgreSQL.", f"Set {setting}, or use `till up`."
        )
    return url


@asynccontextmanager
async def acting(
    where: TillSettings, action: str, arguments: Mapping[str, Any]
) -> AsyncIterator[tuple[asyncpg.Connection, Action]]:
    """Give the operator's connection, and the record of what the body does over it.

    Raises as `operator_connection` does.
    """
    async with (
        operator_connection(where) as connection,
        recorded(connection, operator_name(), action, arguments) as under_way,
    ):
        yield connection, under_way


@asynccontextmanager
async def acting_without_database(
    where: TillSettings, action: str, arguments: Mapping[str, Any]
) -> AsyncIterator[dict[str, Any]]:
    """Record the body, which needs no database, as an operator's action, and give its details to fill.

    Without the operator's address nothing is recorded. Where PostgreSQL doesn't take the record, a notice
    says so and the body runs all the same: Kafka must be operable while it is away, or not yet migrated.
    """
    details: dict[str, Any] = {}
    async with AsyncExitStack() as stack:
        if where.operator_database_url is not None:
            try:
                _, under_way = await stack.enter_async_context(acting(where, action, arguments))
            except (Unreachable, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                notices.print(
                    f"[bold red]till:[/] This is not recorded: {escape(str(error))}",
                    highlight=False,
                    soft_wrap=True,
                )
            else:
                details = under_way.details
        yield details


def operator_name() -> str:
    """Return who acts, for the record: the person's name on this machine, and the machine's."""
    try:
        who = getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a number that no account has.
        who = str(os.getuid())
    return f"{who}@{socket.gethostname()}"


@asynccontextmanager
async def _connection(secret: SecretStr, *, to_write: bool) -> AsyncIterator[asyncpg.Connection]:
    settle = partial(take_session, settings={"timezone": "UTC"}, to_write=to_write)
    try:
        connection = await Servers(secret).connect(
            settle,
            within=CONNECT_TIMEOUT,
            to_write=to_write,
            command_timeout=STATEMENT_TIMEOUT,
            server_settings={"application_name": "till"},
        )
    except (ReadOnlyServer, SharedSession) as error:
        raise Unreachable(f"{error}.") from error
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        place = urlsplit(secret.get_secret_value()).netloc.rpartition("@")[2]
        raise Unreachable(f"PostgreSQL at {place} does not let us in: {error!r}.") from error
    try:
        await read_numbers_as_written(connection)
        yield connection
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT)
