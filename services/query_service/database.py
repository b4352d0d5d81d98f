"""Questions to PostgreSQL, each in a transaction that sees one tenant, one moment, and changes nothing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Self, TypeVar, cast

import asyncpg
import structlog
from pydantic import SecretStr

from queries import EarlierVersion, read_numbers_as_written
from query_service.limits import TenantShare
from query_service.problems import Problem
from runtime import is_passing_fault

log = structlog.get_logger(__name__)

CONNECT_TIMEOUT = 5.0
# How long a request waits for a connection when all are busy.
ACQUIRE_TIMEOUT = 5.0
RETRY_AFTER = {"Retry-After": "1"}
_TENANT = "SELECT set_config('tillstream.tenant', $1, true)"

T = TypeVar("T")
Question = Callable[[asyncpg.Connection], Awaitable[T]]


class TenantDatabase:
    """A pool of the query service's own role.

    The row-level security of every table goes by the tenant that a transaction sets: without one it sees
    nothing. One tenant has half of the connections at most, so that the others' questions get through.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._share = TenantShare(max(1, pool.get_max_size() // 2))

    @classmethod
    @asynccontextmanager
    async def opened(cls, url: SecretStr, connections: int, statement_timeout: float) -> AsyncIterator[Self]:
        """Give the database, with connections made as they are needed; `statement_timeout` is in seconds."""
        pool = asyncpg.create_pool(
            url.get_secret_value(),
            min_size=0,
            max_size=connections,
            max_inactive_connection_lifetime=300,
            timeout=CONNECT_TIMEOUT,
            # What a transaction has set ends with it: to reset would cost a round trip a request.
            reset=_nothing_to_reset,
            init=read_numbers_as_written,
            server_settings={
                "application_name": "query_service",
                "timezone": "UTC",
                "default_transaction_read_only": "on",
                "statement_timeout": f"{round(statement_timeout * 1000)}ms",
                "idle_in_transaction_session_timeout": "60s",
                # Compiling a plan costs more than these short statements take.
                "jit": "off",
                # Filters that are not given are null parameters: a plan for all of them would be none's best.
                "plan_cache_mode": "force_custom_plan",
            },
        )
        # Without connections to begin with this asks no server: readiness tells whether it answers.
        await pool
        try:
            yield cls(pool)
        finally:
            await _closed(pool)

    async def ask(self, tenant: str, question: Question[T]) -> T:
        """Return what the question finds on a connection whose transaction sees the tenant.

        The question may be asked twice: again on another connection when the first one was lost. Raises
        Problem: 503 when the database doesn't answer, or not in time, or lacks the read model, and 429 while
        the tenant's other questions take its share of the connections.
        """
        try:
            return await self._ask(tenant, question)
        except Exception as error:
            if not _worth_another_try(error):
                raise _told(error) from error
            log.warning("database.asked_again", error=repr(error))
        try:
            return await self._ask(tenant, question)
        except Exception as error:
            raise _told(error) from error

    async def _ask(self, tenant: str, question: Question[T]) -> T:
        async with self._transaction(tenant) as conn:
            return await question(conn)

    @asynccontextmanager
    async def _transaction(self, tenant: str) -> AsyncIterator[asyncpg.Connection]:
        async with (
            self._share.hold(tenant),
            self._pool.acquire(timeout=ACQUIRE_TIMEOUT) as conn,
            conn.transaction(isolation="repeatable_read", readonly=True),
        ):
            await conn.execute(_TENANT, tenant)
            yield cast("asyncpg.Connection", conn)


async def _nothing_to_reset(_connection: object) -> None:
    pass


async def _closed(pool: asyncpg.Pool) -> None:
    try:
        async with asyncio.timeout(5):
            await pool.close()
    except TimeoutError:
        pool.terminate()


def _worth_another_try(error: Exception) -> bool:
    """Tell whether a connection was lost, or a plan has outlived the view that it was made for."""
    return isinstance(
        error,
        asyncpg.PostgresConnectionError
        | asyncpg.InterfaceError
        | asyncpg.InvalidCachedStatementError
        | asyncpg.AdminShutdownError
        | asyncpg.CrashShutdownError
        | ConnectionError,
    )


def _told(error: Exception) -> Exception:
    """Return what a fault of the database is to whoever asks; other errors as they are."""
    if isinstance(error, EarlierVersion):
        log.warning("database.earlier_version", reason=str(error))
        return Problem.of("not-there-yet", str(error), headers=RETRY_AFTER)
    # What an earlier build made is closed to us until a projector of this one has kept its tenants apart, and
    # lacks what the read model's later versions have.
    if isinstance(
        error,
        asyncpg.UndefinedTableError | asyncpg.UndefinedColumnError | asyncpg.InsufficientPrivilegeError,
    ):
        log.warning("database.not_there_yet", error=repr(error))
        return Problem.of(
            "not-there-yet",
            "The read model has not been made yet, or not at this version:"
            " its projector has not started, or is at it.",
            headers=RETRY_AFTER,
        )
    if isinstance(error, asyncpg.QueryCanceledError):
        return Problem.of("took-too-long", "The database took too long over this question.")
    if isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError | OSError | TimeoutError) and (
        is_passing_fault(error)
    ):
        log.warning("database.failed", error=repr(error))
        return Problem.of("unavailable", "The database does not answer at the moment.", headers=RETRY_AFTER)
    return error
