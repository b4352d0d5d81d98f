"""What a new session is found to be: of a server that can be written or not, a client's own or a pooler's."""

import asyncio
import secrets
from collections.abc import Mapping
from typing import NamedTuple

import asyncpg
import structlog

from runtime.retry import Unrecoverable
from runtime.servers import ReadOnlyServer, Server

log = structlog.get_logger(__name__)

# How long a pooler's session may take to bring a notification.
HEARD_WITHIN = 3.0


class SharedSession(Unrecoverable):
    """A pooler gives each transaction, or each statement, whatever session is free; the text names it."""


class Session(NamedTuple):
    """What a session was found to be."""

    pooled: bool
    in_recovery: bool
    read_only: bool


async def look_at_session(connection: asyncpg.Connection, settings: Mapping[str, str]) -> Session:
    """Find out in one round trip; a session that no pooler gave is given the settings, too.

    The server's process is not the one that it named at connecting where a pooler stands between. Raises
    what asyncpg raises.
    """
    pid = connection.get_server_pid()
    own, in_recovery, read_only, _ = await answer_at_once(
        connection,
        f"SELECT pg_backend_pid() = {pid}, pg_is_in_recovery(),"
        " current_setting('transaction_read_only')::bool,"
        # To set what is a pooler's would set it for whoever gets it next.
        f" (SELECT concat({set_configs(settings)}) WHERE pg_backend_pid() = {pid})",
    )
    return Session(own != "t", in_recovery == "t", read_only == "t")


async def take_session(
    connection: asyncpg.Connection, server: Server, settings: Mapping[str, str], *, to_write: bool
) -> None:
    """Have a session that holds locks and settings: set it, and see that it keeps them.

    Raises ReadOnlyServer where it is to write and can't, SharedSession behind a pooler that doesn't keep a
    client's session, and what asyncpg raises.
    """
    session = await look_at_session(connection, settings)
    if to_write and session.read_only:
        why = "is a standby" if session.in_recovery else "has default_transaction_read_only=on"
        raise ReadOnlyServer(f"PostgreSQL at {server.place} {why} and can't be written")
    if not session.pooled:
        return
    # A standby takes no LISTEN; who reads there has no locks to lose.
    if not session.in_recovery and not await _is_kept(connection, server):
        raise SharedSession(
            f"The pooler at {server.place} keeps no session for a client: it gives each transaction, or each"
            " statement, another one. Have it pool sessions (PgBouncer: pool_mode=session), or connect to"
            " PostgreSQL itself; only the query service works behind a transaction pooler:"
            " docs/deploying.md#poolers"
        )
    given = await answer_at_once(connection, f"SELECT {set_configs(settings)}")
    kept = await answer_at_once(
        connection, "SELECT " + ", ".join(f"current_setting('{name}')" for name in settings)
    )
    if kept != given:
        raise SharedSession(
            f"The pooler at {server.place} does not keep what a session is set to"
            f" ({', '.join(settings)}): connect to PostgreSQL itself; docs/deploying.md#poolers"
        )
    log.info("database.pooled", pooler=server.place)


async def answer_at_once(connection: asyncpg.Connection, query: str) -> list[str]:
    r"""Return the columns of a query's one row as COPY writes them (`t`, `f`, `\N`).

    COPY goes in one message and makes no prepared statement, whose name may be taken in a pooler's session.
    """
    answer = bytearray()

    async def take(data: bytes) -> None:
        answer.extend(data)

    await connection.copy_from_query(query, output=take)
    return answer.decode().rstrip("\n").split("\t")


def set_configs(settings: Mapping[str, str], *, local: bool = False) -> str:
    """Return calls that set what the names say, for the session or only its transaction.

    Names and values are our own: they hold no quotes.
    """
    until = "true" if local else "false"
    return ", ".join(f"set_config('{name}', '{value}', {until})" for name, value in settings.items())


async def _is_kept(connection: asyncpg.Connection, server: Server) -> bool:
    """Tell whether a pooler gives its clients sessions of their own.

    A session that is a client's brings it notifications while it asks nothing; one that goes back to the
    pool after each transaction brings none. Whether a second client gets the session of the first would
    depend on who else is there, but says it sooner.
    """
    [own] = await answer_at_once(connection, "SELECT pg_backend_pid()")
    heard, channel = asyncio.Event(), f"tillstream_{secrets.token_hex(8)}"
    other: asyncpg.Connection | None = None
    try:
        async with asyncio.timeout(HEARD_WITHIN):
            other = await server.connect(statement_cache_size=0)
            if await answer_at_once(other, "SELECT pg_backend_pid()") == [own]:
                return False
        await other.add_listener(channel, lambda *_: heard.set())
        await connection.execute(f"NOTIFY {channel}")
        return await _happens(heard)
    except TimeoutError:
        raise TimeoutError(
            f"the pooler at {server.place} has no second session for a moment: its pool may be too small"
        ) from None
    finally:
        if other is not None:
            other.terminate()


async def _happens(event: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(HEARD_WITHIN):
            await event.wait()
    except TimeoutError:
        return False
    return True
