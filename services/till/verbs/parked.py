"""`till parked`: look at orders that a read model can't apply an event of, and have them tried again."""

import json
from typing import Annotated

import typer
from rich.text import Text

from operations.parked_orders import read_parked
from operations.parked_orders import retry as try_again
from readmodels.parked import find_parked
from runtime.printable import printable
from till.connecting import operator_connection, operator_name, query_connection, run_over
from till.errors import TillError
from till.orders_found import parse_order_id
from till.output import Output, OutputOption, answers, notices, print_json, print_rows
from till.read_models import known_read_model

parked = typer.Typer(
    name="parked",
    help="Orders that a read model can't apply an event of: list and show them, have them tried again.",
    no_args_is_help=True,
)

_THOSE_PARKED = "`till parked list` gives those of parked orders."
_COLUMNS = (
    "parked_at",
    "read_model",
    "tenant_id",
    "order_id",
    "version",
    "newest_version",
    "attempts",
    "error",
)
ReadModelOption = Annotated[
    str | None, typer.Option("--read-model", help="For this read model only.", callback=known_read_model)
]
TenantOption = Annotated[str | None, typer.Option("--tenant", help="Of this tenant only.")]
NoteOption = Annotated[str, typer.Option("--note", help="Why, for the record.")]


@parked.command("list")
def list_(
    *,
    read_model: ReadModelOption = None,
    tenant: TenantOption = None,
    limit: Annotated[int, typer.Option(min=1, help="This many at most, the last parked.")] = 50,
    output: OutputOption = Output.table,
) -> None:
    """List parked orders, the last parked first (UTC)."""
    found = run_over(
        query_connection,
        lambda conn: find_parked(conn, read_model=read_model, tenant=tenant, limit=limit + 1),
    )
    rows = [each._asdict() for each in found[:limit]]
    if output is Output.table:
        rows = [
            {**row, "tenant_id": printable(row["tenant_id"]), "error": printable(row["error"])}
            for row in rows
        ]
    print_rows(rows, _COLUMNS, output, title="Parked orders")
    if not rows:
        notices.print("No order is parked.", highlight=False)
    if len(found) > limit:
        notices.print(f"There are more than these {limit}: --limit gives more.", highlight=False)


@parked.command()
def show(
    order: Annotated[str, typer.Argument(metavar="ORDER", help="The order's id, a UUID.")],
    *,
    read_model: ReadModelOption = None,
    tenant: TenantOption = None,
    output: OutputOption = Output.table,
) -> None:
    """Show what a parked order waits for: the error, and the event as the store has it."""
    order_id = parse_order_id(order, _THOSE_PARKED)
    found = run_over(
        query_connection,
        lambda conn: read_parked(conn, order_id, read_model=read_model, tenant=tenant),
    )
    if output is Output.json:
        print_json([{**each._asdict(), "event": event} for each, event in found])
        return
    for each, event in found:
        answers.print(Text(f"Order {each.order_id} in {each.read_model}", style="bold"), soft_wrap=True)
        fields = {
            "tenant": each.tenant_id or "none: the record names no order",
            "generation": f"{each.generation} ({each.state})",
            "fails at": f"version {each.version}" if each.version else "a record that tells no version",
            "newest": f"version {each.newest_version}" if each.newest_version else "",
            "error": each.error,
            "parked": f"{each.parked_at:%Y-%m-%d %H:%M:%SZ}",
            "attempts": f"{each.attempts}, the last at {each.tried_at:%Y-%m-%d %H:%M:%SZ}",
        }
        if event is not None:
            fields |= {
                "event": f"{event['event_type']}, schema version {event['schema_version']}",
                "occurred at": f"{event['occurred_at']:%Y-%m-%d %H:%M:%SZ}",
                "payload": json.dumps(event["payload"], ensure_ascii=False),
            }
        for name, value in fields.items():
            answers.print(Text(f"  {name:<13}{printable(value)}"), soft_wrap=True)


@parked.command()
def retry(
    orders: Annotated[list[str] | None, typer.Argument(metavar="ORDER...", help="The orders' ids.")] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All parked orders.")] = False,
    read_model: ReadModelOption = None,
    tenant: TenantOption = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for what comes of it.")] = 30.0,
    note: NoteOption = "",
) -> None:
    """Have parked orders folded again from the event store; exits with 1 if one is parked still."""
    if bool(orders) == everything:
        raise TillError("Name the orders, or say --all.", "`till parked list` gives their ids.")
    ids = [parse_order_id(order, _THOSE_PARKED) for order in orders] if orders else None
    result = run_over(
        operator_connection,
        lambda conn: try_again(
            conn, ids, operator_name(), read_model=read_model, tenant=tenant, note=note, seconds=wait
        ),
    )
    for key in result.unparked:
        notices.print(f"{key.order_id} is applied to {key.read_model} again.", highlight=False)
    for key, error in result.failed.items():
        told = f"{key.order_id} is still parked for {key.read_model}: {printable(error)}"
        notices.print(told, highlight=False, markup=False, soft_wrap=True)
    if result.waiting:
        names = ", ".join(sorted({key.read_model for key in result.waiting}))
        notices.print(
            f"{len(result.waiting)} were not tried within {wait:g} s: the projector of {names} doesn't run, "
            "is paused or is busy. They are tried as soon as it takes part again.",
            highlight=False,
            soft_wrap=True,
        )
    if result.failed or result.waiting:
        raise typer.Exit(1)
