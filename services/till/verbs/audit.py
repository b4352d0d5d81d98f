"""`till audit`: who did and who authorised what, on any order, refused commands included."""

from typing import Annotated

import typer

from queries import (
    AUDIT_KINDS,
    MOST_ENTRIES,
    AuditEntry,
    AuditFilter,
    NoSuchOrder,
    Page,
    SeveralTenants,
    audit_trail,
    tenant_in_trail,
)
from queries.answers import entry_row
from till.connecting import query_connection, run
from till.errors import TillError
from till.orders_found import parse_order_id, several_tenants
from till.output import Output, OutputOption, notices, print_rows
from till.read_models import read_models_may_be_missing
from till.settings import till_settings
from till.times import parse_time

_COLUMNS = ("recorded_at", "occurred_at", "version", "kind", "actor", "authorised_by", "what")
_NO_ORDER = "`till audit` without --order lists the newest entries, with their orders."
_TIME = "such as 2017-01-01T12:00:00Z; UTC unless it says."


def audit(
    *,
    order: Annotated[str | None, typer.Option(metavar="ORDER", help="On this order only, a UUID.")] = None,
    actor: Annotated[str | None, typer.Option(help="Done by this actor.")] = None,
    authoriser: Annotated[str | None, typer.Option(help="Authorised by this one.")] = None,
    kind: Annotated[
        str | None, typer.Option(help="A type of event such as OrderVoided, or refused for refused commands.")
    ] = None,
    since: Annotated[str | None, typer.Option(help=f"Recorded at or after a time {_TIME}")] = None,
    until: Annotated[str | None, typer.Option(help=f"Recorded before a time {_TIME}")] = None,
    clock_ahead: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=2**31 - 1,
            metavar="SECONDS",
            help="From terminals whose clock was ahead of the time of record by this much at least.",
        ),
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="Of this tenant only.")] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=MOST_ENTRIES, help="This many entries at most, the newest.")
    ] = 50,
    output: OutputOption = Output.table,
) -> None:
    """List who did and who authorised what, and what was refused, newest first (UTC)."""
    if kind is not None and kind not in AUDIT_KINDS:
        raise TillError(f"{kind!r} is no kind of entry.", f"There are {', '.join(AUDIT_KINDS)}.")
    wanted = AuditFilter(
        order_id=None if order is None else parse_order_id(order, _NO_ORDER),
        actor=actor,
        authoriser=authoriser,
        kind=kind,
        since=None if since is None else parse_time(since),
        until=None if until is None else parse_time(until),
        clock_ahead_min=clock_ahead,
    )
    with read_models_may_be_missing(
        "There is no audit trail yet: its projector has not started.",
        "Start everything with `till up --detach`; elsewhere run `python -m projector audit_log`.",
    ):
        page = run(_audit(tenant, wanted, limit))
    rows = [entry_row(entry) for entry in page.items]
    # What belongs to one order needs not name it in each row.
    whose = () if order else ("tenant_id", "order_id")
    ahead = () if clock_ahead is None else ("clock_ahead",)
    print_rows(rows, (*_COLUMNS[:2], *ahead, *whose, *_COLUMNS[2:]), output, title="Audit trail")
    if not rows:
        notices.print("Nothing matches; `till lag` says whether the trail lags behind.", highlight=False)
    if page.next_cursor is not None:
        notices.print(f"There are more than these {limit}: --limit gives more, --until older ones.")


async def _audit(tenant: str | None, wanted: AuditFilter, limit: int) -> Page[AuditEntry]:
    order = wanted.order_id
    async with query_connection(till_settings()) as connection:
        try:
            if order is not None:
                await tenant_in_trail(connection, order, tenant)
        except NoSuchOrder:
            whose = "" if tenant is None else f" of tenant {tenant}"
            raise TillError(
                f"The audit trail has nothing on an order {order}{whose}.",
                "`till lag` says whether it lags behind; "
                "`till audit` without --order lists the newest entries.",
            ) from None
        except SeveralTenants as error:
            raise several_tenants(error) from None
        return await audit_trail(connection, tenant, wanted, limit=limit)
