"""Questions to PostgreSQL, each in a transaction that sees one tenant, one moment, and changes nothing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Self, TypeVar, cast

import asyncpg
import structlog
from pydantic import SecretStr

from queries import EarlierVersion, read_numbers_as_written
from query_service.limits import TenantShare
from query_service.problems import Problem
from runtime import Server, Servers, is_passing_fault, look_at_session, set_configs

log = structlog.get_logger(__name__)

CONNECT_TIMEOUT = 5.0
# How long a request waits for a connection when all are busy.
ACQUIRE_TIMEOUT = 5.0
ROLLBACK_TIMEOUT = 5.0
RETRY_AFTER = {"Retry-After": "1"}
CACHED_STATEMENTS = 100

_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT "
# A name that comes from outside goes in as figures, which end no string.
_TENANT = "set_config('tillstream.tenant', convert_from(decode('{}', 'hex'), 'UTF8'), true)"

T = TypeVar("T")
Question = Callable[[asyncpg.Connection], Awaitable[T]]


class TenantDatabase:
    """A pool of the query service's own role.

    The row-level security of every table goes by the tenant that a transaction sets: without one it sees
    nothing. One tenant has half of the connections at most, so that the others' questions get through.

    Connections are sessions of PostgreSQL, which are set once and keep prepared statements. Where a pooler is
    found, whatever it pools, each transaction sets all it needs, and nothing is left in a session.
    """

    def __init__(self, url: SecretStr, connections: int, statement_timeout: float) -> None:
        self._servers = Servers(url)
        self._settings = {
            "timezone": "UTC",
            "statement_timeout": f"{round(statement_timeout * 1000)}ms",
            "idle_in_transaction_session_timeout": "60s",
            # Compiling a plan costs more than these short statements take.
            "jit": "off",
            # Filters that are not given are null parameters: a plan for all of them would be none's best.
            "plan_cache_mode": "force_custom_plan",
        }
        self._pooled = False
        self._share = TenantShare(max(1, connections // 2))
        self._pool = asyncpg.create_pool(
            min_size=0,
            max_size=connections,
            max_inactive_connection_lifetime=300,
            connect=self._connect,
            # What a transaction has set ends with it: to reset would cost a round trip a request.
            reset=_nothing_to_reset,
            init=read_numbers_as_written,
        )

    @classmethod
    @asynccontextmanager
    async def opened(cls, url: SecretStr, connections: int, statement_timeout: float) -> AsyncIterator[Self]:
        """Give the database, with connections made as they are needed; `statement_timeout` is in seconds."""
        made = cls(url, connections, statement_timeout)
        # Without connections to begin with this asks no server: readiness tells whether it answers.
        await made._pool
        try:
            yield made
        finally:
            await _closed(made._pool)

    async def ask(self, tenant: str, question: Question[T]) -> T:
        """Return what the question finds on a connection whose transaction sees the tenant.

        The question may be asked twice: again when its connection was lost, or a standby's recovery was in
        its way. Raises Problem: 503 when the database doesn't answer, or not in time, or lacks the read
        model, and 429 while the tenant's other questions take its share of the connections.
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
        async with self._share.hold(tenant), self._pool.acquire(timeout=ACQUIRE_TIMEOUT) as lent:
            conn = cast("asyncpg.Connection", lent)
            try:
                await conn.execute(self._begin(tenant))
                yield conn
                await conn.execute("COMMIT")
            except BaseException:
                await _rolled_back(conn)
                raise

    def _begin(self, tenant: str) -> str:
        """Return what begins a transaction that sees the tenant, in one message and so one round trip."""
        sees = _TENANT.format(tenant.encode().hex())
        return f"{_BEGIN}{sees}, {set_configs(self._settings, local=True)}" if self._pooled else _BEGIN + sees

    async def _connect(self, *_: object, **options: Any) -> asyncpg.Connection:  # noqa: ANN401 - the pool's own
        pooled = self._pooled
        made = await self._servers.connect(
            self._settle,
            within=CONNECT_TIMEOUT,
            statement_cache_size=0 if pooled else CACHED_STATEMENTS,
            server_settings={"application_name": "query_service"},
            **options,
        )
        if pooled == self._pooled:
            return made
        # Only now a pooler was found: this one would leave prepared statements in its sessions.
        made.terminate()
        return await self._connect(**options)

    async def _settle(self, connection: asyncpg.Connection, server: Server) -> None:
        if (await look_at_session(connection, self._settings)).pooled and not self._pooled:
            self._pooled = True
            log.info("database.pooled", pooler=server.place)


async def _nothing_to_reset(_connection: object) -> None:
    pass


async def _rolled_back(conn: asyncpg.Connection) -> None:
    """End the transaction after a fault; a connection that can't is not used again."""
    try:
        if not conn.is_closed():
            await conn.execute("ROLLBACK", timeout=ROLLBACK_TIMEOUT)
    except BaseException:  # noqa: BLE001 - the fault before it is what counts
        # The pool may have been closed, and has the connection no more.
        with suppress(asyncpg.InterfaceError):
            conn.terminate()


async def _closed(pool: asyncpg.Pool) -> None:
    try:
        async with asyncio.timeout(5):
            await pool.close()
    except TimeoutError:
        pool.terminate()


def _worth_another_try(error: Exception) -> bool:
    """Tell whether it was a connection's fault, or a passing state's.

    A connection was lost, a plan has outlived the view that it was made for, or a standby's recovery, which
    had to go on, cancelled the question.
    """
    return isinstance(
        error,
        asyncpg.PostgresConnectionError
        | asyncpg.InterfaceError
        | asyncpg.InvalidCachedStatementError
        | asyncpg.TransactionRollbackError
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
    if isinstance(error, asyncpg.TransactionRollbackError):
        log.warning("database.in_recoverys_way", error=repr(error))
        return Problem.of(
            "unavailable",
            "The question was in the way of the standby's recovery, twice: ask again, or for less.",
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
