"""The audit trail: who did and who authorised what, and what was refused, newest first."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Annotated, Any, Final, NamedTuple
from uuid import UUID

import asyncpg
import jiter
from pydantic import Field

from orders import EVENT_TYPES
from queries import pages
from queries.conditions import Conditions
from queries.pages import Cursors, NotTold, Page
from queries.versions import need_version

# The first version of the read model did not tell lines and products.
WITH_LINES: Final = 2
REFUSED: Final = "refused"
AUDIT_KINDS: Final = (*EVENT_TYPES, REFUSED)
MOST_ENTRIES: Final = 10_000

_COLUMNS = """
tenant_id, order_id, version, kind, actor, authorised_by, occurred_at, recorded_at, command_id,
correlation_id, undoes, redoes, before, after, command_type, code, message, line_id, product_id
"""
COLUMNS: Final = [*_COLUMNS.replace(",", "").split(), "clock_ahead"]
# A refused command has no version, and may name no order: nulls stand where this order has them.
_ORDER = "recorded_at DESC, tenant_id, order_id, version DESC NULLS FIRST, command_id"
_AFTER = """
recorded_at <= {0} AND (recorded_at < {0} OR (
    tenant_id, coalesce(order_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff'), coalesce(-version, -2147483648),
    command_id
) > (
    {1}, coalesce({2}::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'),
    coalesce(-{3}::integer, -2147483648), {4}
))
"""
_PLACE: Final = {
    "recorded_at": pages.a_time,
    "tenant_id": pages.a_text,
    "order_id": pages.an_id,
    "version": pages.a_count,
    "command_id": pages.an_id,
}
# The first condition is the index's.
_AHEAD = "occurred_at > recorded_at AND occurred_at >= recorded_at + {}::integer * interval '1 second'"


class AuditFilter(NamedTuple):
    """What entries must have; None where anything goes. `since` is included, `until` is not.

    Both are times of record. Texts are identifiers: of printable characters. `clock_ahead_min` is by how many
    seconds at least the terminal's clock must have been ahead of the time of record.
    """

    order_id: UUID | None = None
    actor: str | None = None
    authoriser: str | None = None
    kind: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    product_id: str | None = None
    line_id: str | None = None
    clock_ahead_min: int | None = None


ANY_ENTRY: Final = AuditFilter()

_CONDITIONS: Mapping[str, str] = {
    "order_id": "order_id = {}",
    "actor": "actor = {}",
    "authoriser": "authorised_by = {}",
    "kind": "kind = {}",
    "since": "recorded_at >= {}",
    "until": "recorded_at < {}",
    "product_id": "product_id = {}",
    "line_id": "line_id = {}",
    "clock_ahead_min": _AHEAD,
}


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """An event with the order's fields that it changed, or a refused command."""

    tenant_id: NotTold
    recorded_at: datetime
    occurred_at: datetime | None
    order_id: UUID | None
    version: Annotated[int | None, Field(description="Null for a refused command.")]
    kind: Annotated[str, Field(examples=["LineDiscountApplied", "refused"])]
    actor: str | None
    authorised_by: str | None
    command_id: UUID
    correlation_id: str | None
    line_id: str | None
    product_id: str | None
    undoes: list[int] | None
    redoes: list[int] | None
    before: Annotated[dict[str, Any] | None, Field(description="The changed fields as they were.")]
    after: Annotated[dict[str, Any] | None, Field(description="The changed fields as they are.")]
    command_type: Annotated[str | None, Field(description="Of a refused command.")]
    code: Annotated[str | None, Field(description="Of a refused command: why.")]
    message: Annotated[str | None, Field(description="Of a refused command: why, for people.")]
    clock_ahead: Annotated[
        int | None,
        Field(description="By how many seconds the terminal's clock was ahead of the time of record."),
    ]


async def audit_trail(
    conn: asyncpg.Connection,
    tenant_id: str | None,
    wanted: AuditFilter = ANY_ENTRY,
    *,
    limit: int = 100,
    cursor: str | None = None,
) -> Page[AuditEntry]:
    """Return a page of the trail, `limit` (1 to 10,000) at most, newest first by the time of record.

    `tenant_id` None asks for all tenants, as an operator may. Entries are never changed and come at the
    front: page after page, each in its own transaction, is the trail as it was at the first.
    Raises BadCursor, ValueError for another limit, asyncpg's UndefinedTableError as long as the read model
    has no tables, and EarlierVersion.
    """
    if not 1 <= limit <= MOST_ENTRIES:
        raise ValueError(f"limit must be from 1 to {MOST_ENTRIES}")
    cursors = Cursors(["audit", tenant_id, *wanted], tuple(_PLACE.values()))
    conditions = Conditions()
    conditions.add_given("tenant_id = {}", tenant_id)
    for name, value in zip(AuditFilter._fields, wanted, strict=True):
        conditions.add_given(_CONDITIONS[name], value)
    if cursor is not None:
        conditions.add(_AFTER, *cursors.read(cursor))
    await need_version(conn, "audit_log", WITH_LINES)
    statement = f"""
        SELECT {_COLUMNS} FROM read_models.audit_log WHERE {conditions}
        ORDER BY {_ORDER} LIMIT {conditions.parameter(limit + 1)}
    """  # noqa: S608 - our own texts; values are parameters
    rows = [_entry(row) for row in await conn.fetch(statement, *conditions.values)]
    return cursors.page(rows, limit, attrgetter(*_PLACE))


def _entry(row: asyncpg.Record) -> AuditEntry:
    changed = {name: row[name] and jiter.from_json(row[name].encode()) for name in ("before", "after")}
    occurred_at = row["occurred_at"]
    ahead = 0 if occurred_at is None else (occurred_at - row["recorded_at"]) // timedelta(seconds=1)
    return AuditEntry(**{**row, **changed}, clock_ahead=ahead if ahead > 0 else None)
