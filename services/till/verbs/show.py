"""`till show`: one order as the read model has it, with its lines from the event store."""

from contextlib import suppress
from typing import Any

from queries import NotMadeYet, order_at
from queries import find_order as find_summary
from queries.answers import order_row
from till.connecting import query_connection, run
from till.orders_found import OrderArgument, TenantOption, find_order
from till.output import Output, OutputOption, notices, print_order
from till.settings import till_settings


def show(order: OrderArgument, tenant: TenantOption = None, output: OutputOption = Output.table) -> None:
    """Show an order as it stands, with its lines."""
    row = run(_show(order, tenant))
    print_order(row, output)


async def _show(order: str, tenant: str | None) -> dict[str, Any]:
    async with query_connection(till_settings()) as connection:
        key = await find_order(connection, order, tenant)
        summary = None
        with suppress(NotMadeYet):
            summary = await find_summary(connection, *key)
        if summary is None:
            notices.print(
                "The read model order_summary does not have this order yet (`till lag` says how far it is): "
                "this is what the event store says.",
                highlight=False,
            )
            return order_row(await order_at(connection, *key))
        # The lines as of the read model's own version, so that they agree with its totals.
        return order_row(await order_at(connection, *key, summary.version), summary)
