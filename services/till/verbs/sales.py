"""`till sales`: what was sold, now or as of any moment."""

from dataclasses import asdict
from datetime import date
from typing import Annotated, Any

import typer

from queries import Clock, SalesGroup, find_tenants
from queries import sales as sales_of
from till.connecting import query_connection, run
from till.errors import TillError
from till.output import Output, OutputOption, notices, print_rows
from till.read_models import read_models_may_be_missing
from till.settings import till_settings
from till.times import ClockOption, parse_time

_AMOUNTS = ("currency", "orders", "gross", "discount", "net", "voids")
_DAY = "such as 2017-01-01, itself included."


def sales(
    *,
    by: Annotated[
        list[SalesGroup] | None, typer.Option(help="Tell sales apart by this; may be given several times.")
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(help="As they stood at a time such as 2017-01-01T12:00:00Z; UTC unless it says."),
    ] = None,
    clock: ClockOption = Clock.recorded,
    day_from: Annotated[str | None, typer.Option("--from", help=f"From a business day {_DAY}")] = None,
    day_to: Annotated[str | None, typer.Option("--to", help=f"Up to a business day {_DAY}")] = None,
    tenant: Annotated[str | None, typer.Option(help="Of this tenant only.")] = None,
    output: OutputOption = Output.table,
) -> None:
    """Sum up sales, each tenant's and each currency's by itself; voids count for their order's day."""
    groups = [SalesGroup.business_day] if by is None else by
    first = None if day_from is None else _day(day_from)
    last = None if day_to is None else _day(day_to)
    moment = None if as_of is None else parse_time(as_of)

    async def ask() -> list[dict[str, Any]]:
        async with query_connection(till_settings()) as conn:
            return [
                {"tenant_id": tenant_id, **asdict(row)}
                for tenant_id in await find_tenants(conn, tenant)
                for row in await sales_of(
                    conn, tenant_id, group_by=groups, day_from=first, day_to=last, as_of=moment, clock=clock
                )
            ]

    with read_models_may_be_missing(
        "There are no sales yet: their projector has not started, or still makes its new tables.",
        "`till lag` says which; start everything with `till up --detach`.",
    ):
        rows = run(ask())
    named = [group.value for group in SalesGroup if group in groups]
    whose = () if tenant else ("tenant_id",)
    title = "Sales" if as_of is None else f"Sales as of {as_of}, by the time they {_HAD[clock]}"
    print_rows(rows, (*whose, *named, *_AMOUNTS), output, title=title)
    if not rows:
        notices.print("Nothing was sold; `till lag` says whether `sales` lags behind.", highlight=False)


_HAD = {Clock.recorded: "were recorded", Clock.occurred: "occurred"}


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise TillError(f"{text!r} is no day.", "Write it as 2017-01-01.") from None
