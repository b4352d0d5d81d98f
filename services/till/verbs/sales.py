"""`till sales`: what was sold, now or as of any moment."""

from dataclasses import asdict
from datetime import date, datetime
from typing import Annotated, Any

import typer

from queries import Clock, SalesGroup, find_tenants
from queries import sales as sales_of
from till.connecting import query_connection, run
from till.errors import TillError
from till.output import Output, OutputOption, notices, print_rows
from till.read_models_missing import read_models_may_be_missing
from till.settings import till_settings
from till.times import parse_time

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
    clock: Annotated[
        Clock, typer.Option(help="Go by when events were recorded, or by when terminals say they occurred.")
    ] = Clock.recorded,
    day_from: Annotated[str | None, typer.Option("--from", help=f"From a business day {_DAY}")] = None,
    day_to: Annotated[str | None, typer.Option("--to", help=f"Up to a business day {_DAY}")] = None,
    tenant: Annotated[str | None, typer.Option(help="Of this tenant only.")] = None,
    output: OutputOption = Output.table,
) -> None:
    """Sum up sales, each tenant's and each currency's by itself; voids count for their order's day."""
    groups = [SalesGroup.business_day] if by is None else by
    rows = run(
        _sales(
            tenant,
            groups,
            day_from=None if day_from is None else _day(day_from),
            day_to=None if day_to is None else _day(day_to),
            as_of=None if as_of is None else parse_time(as_of),
            clock=clock,
        )
    )
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


async def _sales(
    tenant: str | None,
    groups: list[SalesGroup],
    *,
    day_from: date | None,
    day_to: date | None,
    as_of: datetime | None,
    clock: Clock,
) -> list[dict[str, Any]]:
    missing = read_models_may_be_missing(
        "There are no sales yet: their projector has not started, or still makes its new tables.",
        "`till lag` says which; start everything with `till up --detach`.",
    )
    async with query_connection(till_settings()) as connection:
        with missing:
            return [
                {"tenant_id": tenant_id, **asdict(row)}
                for tenant_id in await find_tenants(connection, tenant)
                for row in await sales_of(
                    connection,
                    tenant_id,
                    group_by=groups,
                    day_from=day_from,
                    day_to=day_to,
                    as_of=as_of,
                    clock=clock,
                )
            ]
