"""`till at`: an order as it was, at a version or at a time."""

from typing import Annotated

import typer

from queries import Clock, Point
from queries.answers import order_row
from till.connecting import run
from till.errors import TillError
from till.orders_found import OrderArgument, TenantOption, find_order_at
from till.output import Output, OutputOption, print_order
from till.times import ClockOption, parse_time


def at(
    order: OrderArgument,
    *,
    version: Annotated[int | None, typer.Option(min=1, help="As it was after this many events.")] = None,
    time: Annotated[
        str | None, typer.Option(help="As it was at a time such as 2017-01-01T12:00:00Z; UTC unless it says.")
    ] = None,
    clock: ClockOption = Clock.recorded,
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
    (loaded,) = run(find_order_at(order, tenant, [moment], clock))
    print_order(order_row(loaded), output)
