"""`till at`: an order as it was, at a version or at a time."""

from typing import Annotated, Any

import typer

from queries import Clock, Point, order_at
from queries.answers import order_row
from till.connecting import query_connection, run
from till.errors import TillError
from till.orders_found import OrderArgument, TenantOption, find_order, telling_when
from till.output import Output, OutputOption, print_order
from till.settings import till_settings
from till.times import parse_time


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
        moment: Point = version
    elif time is not None and version is None:
        moment = parse_time(time)
    else:
        raise TillError(
            "Say either at which version or at which time.",
            f"For example `till at {order} --version 1` or `till at {order} --time 2017-01-01T12:00:00Z`.",
        )
    print_order(run(_at(order, tenant, moment, clock)), output)


async def _at(order: str, tenant: str | None, moment: Point, clock: Clock) -> dict[str, Any]:
    async with query_connection(till_settings()) as connection:
        key = await find_order(connection, order, tenant)
        with telling_when(key.aggregate_id):
            state = await order_at(connection, *key, moment, clock)
    return order_row(state)
