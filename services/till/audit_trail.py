"""What the audit trail holds: asked for as a person names it, and in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID

import asyncpg

from queries import REFUSED, AuditFilter, audit_trail
from till.errors import TillError
from till.read_models_missing import read_models_may_be_missing

_TENANTS = "SELECT DISTINCT tenant_id FROM read_models.audit_log WHERE order_id = $1 ORDER BY tenant_id"


async def read_trail(
    connection: asyncpg.Connection, tenant: str | None, wanted: AuditFilter, limit: int
) -> tuple[list[dict[str, Any]], bool]:
    """Return the newest rows by the time they were recorded, newest first, and whether there are more.

    Raises TillError when there is no trail yet, when it has nothing on the order, and when several tenants
    have an order of this id and none is wanted by name.
    """
    missing = read_models_may_be_missing(
        "There is no audit trail yet: its projector has not started.",
        "Start everything with `till up --detach`; elsewhere run `python -m projector audit_log`.",
    )
    with missing:
        if wanted.order_id is not None:
            await _check_tenant(connection, wanted.order_id, tenant)
        page = await audit_trail(connection, tenant, wanted, limit=limit)
    return [asdict(entry) for entry in page.items], page.next_cursor is not None


async def _check_tenant(connection: asyncpg.Connection, order_id: UUID, tenant: str | None) -> None:
    tenants = [row["tenant_id"] for row in await connection.fetch(_TENANTS, order_id)]
    if not tenants or (tenant is not None and tenant not in tenants):
        whose = "" if tenant is None else f" of tenant {tenant}"
        raise TillError(
            f"The audit trail has nothing on an order {order_id}{whose}.",
            "`till lag` says whether it lags behind; `till audit` without --order lists the newest entries.",
        )
    if tenant is None and len(tenants) > 1:
        raise TillError(
            f"{len(tenants)} tenants have an order {order_id}: {', '.join(tenants)}.",
            f"Say which one: --tenant {tenants[0]}",
        )


def tell(row: Mapping[str, Any]) -> str:
    """Return what a row of the trail says happened; of the totals, the total."""
    if row["kind"] == REFUSED:
        return f"{row['command_type']}: {row['code']}: {row['message']}"
    told = "; ".join(_changes(row["before"], row["after"]))
    for verb in ("undoes", "redoes"):
        if row[verb]:
            told = f"{verb} version {', '.join(map(str, row[verb]))}: {told}"
    return told


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    # What it came to is told last.
    for name in sorted({**before, **after}, key=lambda name: (name == "totals", name)):
        was, now = before.get(name), after.get(name)
        match name:
            case "lines":
                was, now = was or {}, now or {}
                for line_id in {**was, **now}:
                    yield f"line {line_id}: {', '.join(_moves(was.get(line_id), now.get(line_id)))}"
            case "totals":
                totals = ({} if each is None else {"total": each.get("total")} for each in (was, now))
                yield from _moves(*totals)
            case _:
                yield from _moves({name: was}, {name: now})


def _moves(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> Iterator[str]:
    before, after = before or {}, after or {}
    for name in {**before, **after}:
        was, now = before.get(name), after.get(name)
        if isinstance(was, dict) or isinstance(now, dict):
            yield from (f"{name} {move}" for move in _moves(was, now))
        elif was is None and now is not None:
            yield f"{name} {now}"
        elif was is not None:
            yield f"{name} {was} → {'none' if now is None else now}"
