"""The type of connection that the event store takes: the caller's, held alone or from a pool."""

from typing import TypeAlias

from asyncpg import Connection as _Connection
from asyncpg.pool import PoolConnectionProxy

Connection: TypeAlias = _Connection | PoolConnectionProxy
