"""The servers that an address of PostgreSQL names, and which of them a connection is made to."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, TypeAlias
from urllib.parse import parse_qs, urlsplit, urlunsplit

import asyncpg
from pydantic import SecretStr

from runtime.retry import WaitedFor

TargetAttributes: TypeAlias = Literal["any", "standby"]


class ReadOnlyServer(WaitedFor):
    """No server that answers can be written, as long as none is promoted; the text names the last one."""


class Server:
    """One of the servers that an address names; `place` is its host and port, as the address has them."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.place = urlsplit(url).netloc.rpartition("@")[2] or "its usual place"

    async def connect(self, **options: Any) -> asyncpg.Connection:  # noqa: ANN401 - those of asyncpg.connect
        """Return a connection. Raises what `asyncpg.connect` raises."""
        return await asyncpg.connect(self._url, **options)


Settle: TypeAlias = Callable[[asyncpg.Connection, Server], Awaitable[None]]
"""Looks at a new connection before it is used; with ReadOnlyServer the next server is tried."""


class Servers:
    """The servers that an address names, tried in turn.

    asyncpg tries them too, but within one timeout, which a host that swallows packets uses up: here each has
    its share of the time, and who did not answer is asked last from then on. Where none will do, the reason
    that tells most is raised, and not the last host's.
    """

    def __init__(self, url: SecretStr) -> None:
        parts = urlsplit(url.get_secret_value())
        user, at, hosts = parts.netloc.rpartition("@")
        self._servers = [
            Server(urlunsplit(parts._replace(netloc=f"{user}{at}{host}"))) for host in hosts.split(",")
        ]
        wanted = parse_qs(parts.query).get("target_session_attrs", [""])[-1]
        # Of one server alone, asyncpg would take a primary at once.
        self._rounds: Sequence[TargetAttributes | None] = (
            ("standby", "any") if wanted == "prefer-standby" else (None,)
        )

    async def connect(
        self,
        settle: Settle,
        *,
        within: float,
        to_write: bool = False,
        **options: Any,  # noqa: ANN401 - those of asyncpg.connect
    ) -> asyncpg.Connection:
        """Return a connection that has been settled, made within so many seconds.

        Which server is wanted the address says (`target_session_attrs`); `to_write`, `settle` does. Raises
        ReadOnlyServer, and what `asyncpg.connect` and `settle` raise.
        """
        rounds: Sequence[TargetAttributes | None] = ("any",) if to_write else self._rounds
        share, failures = within / len(self._servers), list[Exception]()
        for wanted in rounds:
            for server in list(self._servers):
                try:
                    return await self._connected(server, settle, share, wanted, options)
                except ReadOnlyServer as error:
                    failures.append(error)
                except (asyncpg.TargetServerAttributeNotMatched, asyncpg.CannotConnectNowError) as error:
                    failures.append(error)
                except OSError as error:
                    failures.append(error)
                    self._servers.remove(server)
                    self._servers.append(server)
        raise min(failures, key=_tells_less)

    @staticmethod
    async def _connected(
        server: Server,
        settle: Settle,
        seconds: float,
        wanted: TargetAttributes | None,
        options: dict[str, Any],
    ) -> asyncpg.Connection:
        connection = await server.connect(timeout=seconds, target_session_attrs=wanted, **options)
        try:
            await settle(connection, server)
        except BaseException:
            connection.terminate()
            raise
        return connection


def _tells_less(error: Exception) -> int:
    return 0 if isinstance(error, ReadOnlyServer) else 2 if isinstance(error, OSError) else 1
