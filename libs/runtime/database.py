"""One held PostgreSQL connection for a service's loop, and which of its faults pass by themselves."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TypeVar

import asyncpg
import structlog
from pydantic import SecretStr

from runtime.retry import WaitedFor
from runtime.servers import ReadOnlyServer, Servers
from runtime.session import take_session

log = structlog.get_logger(__name__)

T = TypeVar("T")

CONNECT_TIMEOUT = 10.0
COMMAND_TIMEOUT = 30.0

_SESSION = {
    # A stopped process that holds locks must not hold up its successor.
    "idle_in_transaction_session_timeout": "5s",
    "timezone": "UTC",
    # Compiling a plan costs more than these short statements take.
    "jit": "off",
    # A plan kept from when a table was empty would scan it whole for every later batch.
    "plan_cache_mode": "force_custom_plan",
}

BY_KEY = {
    # Planning a short statement takes longer than carrying it out.
    "plan_cache_mode": "force_generic_plan",
    # By the indexes, whatever the statistics say: they may be of when a table was empty, or mostly is.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
}
"""What a session is set to besides whose few statements go by keys: each is planned once."""

_PASSING = (
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
    WaitedFor,
    OSError,
    TimeoutError,
)
_CONTENT = (
    asyncpg.DataError,
    asyncpg.CheckViolationError,
    asyncpg.NotNullViolationError,
    asyncpg.ProgramLimitExceededError,
)


def is_passing_fault(error: BaseException) -> bool:
    """Tell whether trying again can help: a lost or refused connection, a deadlock, a full disk, a failover.

    What is not passing is the data's or the program's fault and would fail for ever.
    """
    return isinstance(error, _PASSING) and not is_content_fault(error)


def is_content_fault(error: BaseException) -> bool:
    """Tell whether a statement failed for what was written: out of range, against a constraint, too large.

    What is neither this nor passing (a missing grant or table) is the installation's fault.
    """
    # asyncpg's own refusal to encode an argument is an InterfaceError and a ValueError; so is its refusal of
    # an address, such as one that names a certificate that isn't there.
    return isinstance(error, _CONTENT) or (
        isinstance(error, asyncpg.InterfaceError)
        and isinstance(error, ValueError)
        and not isinstance(error, asyncpg.ClientConfigurationError)
    )


class Database:
    """Holds one connection to a server that can be written, and makes a new one after a fault.

    A pool would reset the connection on each release (a round trip a batch), and could hand out one that
    broke in mid-transaction (asyncpg#784), so a loop that writes holds its own.
    """

    def __init__(
        self, url: SecretStr, application_name: str, *, server_settings: Mapping[str, str] | None = None
    ) -> None:
        self._servers = Servers(url)
        self._application_name = application_name
        # After connecting, and not as parameters of the start: a pooler refuses those, or drops them unsaid.
        self._settle = partial(take_session, settings=_SESSION | dict(server_settings or {}), to_write=True)
        self._connection: asyncpg.Connection | None = None
        self._read_only: str | None = None
        self.generation = 0
        """How many connections were made: who caches what it read or locked compares it."""

    async def connection(self) -> asyncpg.Connection:
        """Return the open connection, making one when there is none.

        Raises ReadOnlyServer, SharedSession, and what `asyncpg.connect` raises; see `is_passing_fault`.
        """
        if self._connection is None or self._connection.is_closed():
            try:
                self._connection = await self._servers.connect(
                    self._settle,
                    within=CONNECT_TIMEOUT,
                    to_write=True,
                    command_timeout=COMMAND_TIMEOUT,
                    server_settings={"application_name": self._application_name},
                )
            except ReadOnlyServer as error:
                self._read_only = f"{error}: waits for a server that can"
                raise
            self._read_only = None
            self.generation += 1
            log.info("database.connected", application_name=self._application_name)
        return self._connection

    def problem(self) -> str | None:
        """Return, for readiness, why there is no server to write to, as of the last try to connect."""
        return self._read_only

    async def use(self, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """Return what `work` returns over the connection; one that it failed over is dropped.

        Raises what `work` and `connection` raise.
        """
        try:
            return await work(await self.connection())
        except BaseException:
            # Cancelled or failed in mid-statement, it may be anywhere.
            self.discard()
            raise

    def discard(self) -> None:
        """Drop the connection without waiting for the server; the next use makes a new one."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def close(self) -> None:
        """Close the connection, within a bound."""
        if self._connection is not None and not self._connection.is_closed():
            try:
                await self._connection.close(timeout=5)
            except (OSError, TimeoutError, asyncpg.PostgresError):
                self._connection.terminate()
        self._connection = None
