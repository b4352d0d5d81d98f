"""`till search`: which orders an id that is at hand could belong to."""

from typing import Annotated, Any

import typer

from queries import MOST_ORDERS, find_tenants
from queries import search as search_orders
from till.connecting import query_connection, run
from till.output import Output, OutputOption, notices, print_rows
from till.read_models import read_models_may_be_missing
from till.settings import till_settings


def search(
    text: Annotated[
        str, typer.Argument(metavar="ID", help="An order's, a command's, a product's or a line's id.")
    ],
    *,
    tenant: Annotated[str | None, typer.Option(help="Of this tenant only.")] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=MOST_ORDERS, help="So many orders at most with a product or line.")
    ] = 20,
    output: OutputOption = Output.table,
) -> None:
    """Find orders by an id: the order's own, a command's, or a product or line that it ever had."""
    with read_models_may_be_missing(
        "There is nothing to search yet: a projector has not started.",
        "`till lag` says which; start everything with `till up --detach`.",
    ):
        rows = run(_search(text, tenant, limit))
    print_rows(rows, ("kind", "tenant_id", "order_id", "detail"), output, title=f"Search for {text}")
    if not rows:
        notices.print(
            "Nothing has this id; `till lag` says whether the read models lag behind.", highlight=False
        )


async def _search(text: str, tenant: str | None, limit: int) -> list[dict[str, Any]]:
    async with query_connection(till_settings()) as conn:
        return [
            {"kind": hit.kind.value, "tenant_id": tenant_id, "order_id": hit.order_id, "detail": hit.detail}
            for tenant_id in await find_tenants(conn, tenant)
            for hit in await search_orders(conn, tenant_id, text, limit=limit)
        ]
