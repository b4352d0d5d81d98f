"""`till audit`: who did and who authorised what, on any order, refused commands included."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import typer

from queries import AUDIT_KINDS, MOST_ENTRIES, AuditFilter
from till.audit_trail import read_trail, tell
from till.connecting import query_connection, run
from till.errors import TillError
from till.output import Output, OutputOption, notices, print_rows
from till.settings import till_settings
from till.times import parse_time

_COLUMNS = ("recorded_at", "occurred_at", "version", "kind", "actor", "authorised_by", "what")
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
        order_id=None if order is None else _order_id(order),
        actor=actor,
        authoriser=authoriser,
        kind=kind,
        since=None if since is None else parse_time(since),
        until=None if until is None else parse_time(until),
    )
    rows, more = run(_audit(tenant, wanted, limit))
    # What belongs to one order needs not name it in each row.
    whose = () if order else ("tenant_id", "order_id")
    print_rows(rows, (*_COLUMNS[:2], *whose, *_COLUMNS[2:]), output, title="Audit trail")
    if not rows:
        notices.print("Nothing matches; `till lag` says whether the trail lags behind.", highlight=False)
    if more:
        notices.print(f"There are more than these {limit}: --limit gives more, --until older ones.")


def _order_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise TillError(
            f"{text!r} is no order id: it must be a UUID.",
            "`till audit` without --order lists the newest entries, with their orders.",
        ) from None


async def _audit(tenant: str | None, wanted: AuditFilter, limit: int) -> tuple[list[dict[str, Any]], bool]:
    async with query_connection(till_settings()) as connection:
        rows, more = await read_trail(connection, tenant, wanted, limit)
        return [{**row, "what": tell(row)} for row in rows], more
