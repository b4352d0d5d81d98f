"""The record of verbs that can also do without a database: they are recorded where there is one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
from rich.markup import escape

from operations import recorded
from till.connecting import operator_connection, operator_name
from till.errors import TillError
from till.output import notices
from till.settings import TillSettings


@asynccontextmanager
async def recorded_where_possible(
    where: TillSettings, action: str, arguments: Mapping[str, Any]
) -> AsyncIterator[dict[str, Any]]:
    """Record the body as an operator's action, and give its details to fill.

    Without the operator's address nothing is recorded. Where PostgreSQL doesn't take the record, a notice
    says so and the body runs all the same: Kafka must be operable while it is away, or not yet migrated.
    """
    details: dict[str, Any] = {}
    async with AsyncExitStack() as stack:
        if where.operator_database_url is not None:
            try:
                connection = await stack.enter_async_context(operator_connection(where))
                under_way = await stack.enter_async_context(
                    recorded(connection, operator_name(), action, arguments)
                )
            except (TillError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                notices.print(
                    f"[bold red]till:[/] This is not recorded: {escape(str(error))}",
                    highlight=False,
                    soft_wrap=True,
                )
            else:
                details = under_way.details
        yield details
