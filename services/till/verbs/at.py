"""`till at`: an order as it was, at a version or at a time."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import asyncpg
import typer

from eventstore import EventStore, StreamKey, VersionNotFound
from orders import ORDER, Order
from till.connecting import query_connection, run
from till.errors import TillError
from till.orders_found import OrderArgument, TenantOption, find_order
from till.output import Output, OutputOption, print_order
from till.settings import till_settings
from till.telling import line_rows, order_row
from till.times import parse_time


class Clock(StrEnum):
    """Which of an event's two times counts."""

    recorded = "recorded"
    occurred = "occurred"


def at(
    order: OrderArgument,
    *,
    version: Annotated[int | None, typer.Option(min=1, help="As it was after this many events.")] = None,
    time: Annotated[
        str | None, typer.Option(help="As it was at a time such as 2017-01-01T12:00:00Z; UTC unless it says.")
    ] = None,
    clock: Annotated[
        Clock, typer.Option(help="Go by when events were recorded, or by when terminals say they occurred.")
    ] = Clock.recorded,
    tenant: TenantOption = None,
    output: OutputOption = Output.table,
) -> None:
    """Show an order as it was at a version or at a time."""
    if version is not None and time is None:
        moment: int | datetime = version
    elif time is not None and version is None:
        moment = parse_time(time)
    else:
        raise TillError(
            "Say either at which version or at which time.",
            f"For example `till at {order} --version 1` or `till at {order} --time 2017-01-01T12:00:00Z`.",
        )
    print_order(run(_at(order, tenant, moment, clock)), output)


async def _at(order: str, tenant: str | None, moment: int | datetime, clock: Clock) -> dict[str, Any]:
    async with query_connection(till_settings()) as connection:
        key = await find_order(connection, order, tenant)
        state = await order_at(connection, key, moment, clock)
    return {**order_row(state), "lines": line_rows(state)}


async def order_at(
    connection: asyncpg.Connection, key: StreamKey, moment: int | datetime, clock: Clock
) -> Order:
    """Return an order as it was at a version or a time. Raises TillError where it was not."""
    store = EventStore(ORDER)
    order = key.aggregate_id
    if isinstance(moment, int):
        try:
            return (await store.load_at_version(connection, key, moment)).state
        except VersionNotFound:
            newest = (await store.load(connection, key)).version
            raise TillError(
                f"Order {order} has no version {moment}: it is at version {newest}.",
                f"`till history {order}` lists what happened at each.",
            ) from None
    loaded = await store.load_as_of(connection, key, moment, clock.value)
    if not loaded.version:
        (first,) = await store.history(connection, key, limit=1)
        raise TillError(
            f"Order {order} did not exist at {moment.isoformat()}.",
            f"Its first event occurred at {first.occurred_at.isoformat()} (--clock occurred)"
            f" and was recorded at {first.recorded_at.isoformat()} (--clock recorded).",
        )
    return loaded.state
