"""`till history`: everything that happened to an order, and who did it."""

from eventstore import StoredEvent
from queries import order_history
from queries.answers import event_row
from till.connecting import query_connection, run
from till.orders_found import OrderArgument, TenantOption, find_order
from till.output import Output, OutputOption, print_rows
from till.settings import till_settings

_COLUMNS = ("version", "occurred_at", "recorded_at", "event", "actor", "authorised_by", "what")


def history(order: OrderArgument, tenant: TenantOption = None, output: OutputOption = Output.table) -> None:
    """List an order's events: who did what, and when (UTC)."""
    rows = [event_row(event) for event in run(_history(order, tenant))]
    print_rows(rows, _COLUMNS, output, title=f"Order {order}")


async def _history(order: str, tenant: str | None) -> list[StoredEvent]:
    async with query_connection(till_settings()) as connection:
        key = await find_order(connection, order, tenant)
        return await order_history(connection, *key)
