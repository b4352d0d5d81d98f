"""Which faults are one order's own, and how the order at fault is found among its neighbours."""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeAlias

import asyncpg
from pydantic import ValidationError

from eventstore import NewerSchema, VersionNotFound
from messaging import Fenced, Unrecoverable
from readmodels import OrderChange, OrderKey
from runtime import is_content_fault, is_passing_fault

LONGEST_TEXT = 500

# Of another build, a restored database, another owner: no order's fault, and no retry of one would mend it.
_NOT_OURS = (NewerSchema, VersionNotFound, Fenced, Unrecoverable, MemoryError)

Write: TypeAlias = Callable[[asyncpg.Connection, Sequence[OrderChange]], Awaitable[None]]


class Failure(NamedTuple):
    """The version of an order that could not be applied, and why."""

    version: int
    error: Exception


def is_orders_fault(error: BaseException) -> bool:
    """Tell whether an order's own content failed, so that it is parked; else everything waits, or stops."""
    if is_content_fault(error):
        return True
    elsewhere = (asyncpg.PostgresError, asyncpg.InterfaceError, *_NOT_OURS)
    return isinstance(error, Exception) and not is_passing_fault(error) and not isinstance(error, elsewhere)


def tell(error: BaseException) -> str:
    """Write an error in one line that PostgreSQL can hold, without the input that was wrong."""
    if isinstance(error, ValidationError):
        found = error.errors(include_url=False, include_input=False, include_context=False)
        reasons = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in found)
        text = f"{error.title}: {reasons}"
    else:
        text = f"{type(error).__name__}: {error}"
    shown = text if text.isprintable() else "".join(each if each.isprintable() else " " for each in text)
    return shown[:LONGEST_TEXT]


async def write_apart(
    conn: asyncpg.Connection, write: Write, changes: Sequence[OrderChange]
) -> dict[OrderKey, Failure]:
    """Write what can be written, and return why not for the orders that can't; within a transaction.

    The orders at fault are found by halving: each write is a savepoint.
    """
    if not changes:
        return {}
    try:
        async with conn.transaction():
            await write(conn, changes)
    except Exception as error:
        if not is_orders_fault(error):
            raise
        if len(changes) == 1:
            order = changes[0].order
            return {(order.tenant_id, order.order_id): Failure(order.version, error)}
    else:
        return {}
    half = len(changes) // 2
    first = await write_apart(conn, write, changes[:half])
    return {**first, **await write_apart(conn, write, changes[half:])}
