"""What was sold: as the read model has it now, or as it stood at a moment."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

import asyncpg
from pydantic import Field

from queries.conditions import BY_CLOCK, Clock, Conditions
from queries.numbers import in_its_currency
from queries.versions import need_version


class SalesGroup(StrEnum):
    """What sales can be told apart by."""

    business_day = "business_day"
    hour = "hour"
    cashier_id = "cashier_id"


# The first version of the read model had no ledger of changes.
_WITH_CHANGES = 2


@dataclass(frozen=True, slots=True)
class SalesRow:
    """What was sold in one currency: net = gross - discount. What was not asked to be told apart is null."""

    currency: Annotated[str, Field(examples=["EUR"])]
    business_day: date | None
    hour: int | None
    cashier_id: str | None
    orders: Annotated[int, Field(description="Confirmed, and not voided since.")]
    gross: Annotated[Decimal, Field(examples=["1204.50"])]
    # Of lines and orders together.
    discount: Annotated[Decimal, Field(examples=["31.20"])]
    net: Annotated[Decimal, Field(examples=["1173.30"])]
    # Each counts for the day and hour of its order.
    voids: Annotated[int, Field(description="Confirmed orders that were voided.")]


async def sales(
    conn: asyncpg.Connection,
    tenant_id: str,
    *,
    group_by: Collection[SalesGroup] = (SalesGroup.business_day,),
    day_from: date | None = None,
    day_to: date | None = None,
    as_of: datetime | None = None,
    clock: Clock = Clock.recorded,
) -> list[SalesRow]:
    """Return a tenant's sales of a span of business days, both included, in order of group and currency.

    `as_of` (None: now) is the moment up to which what had happened counts, by the clock. Raises asyncpg's
    UndefinedTableError as long as the read model has no tables, and EarlierVersion.
    """
    if as_of is not None:
        await need_version(conn, "sales", _WITH_CHANGES)
    groups = [group.value if group in group_by else f"NULL AS {group}" for group in SalesGroup]
    named = ["currency", *(group.value for group in SalesGroup if group in group_by)]
    conditions = Conditions()
    conditions.add("tenant_id = {}", tenant_id)
    conditions.add_given("business_day >= {}", day_from)
    conditions.add_given("business_day <= {}", day_to)
    conditions.add_given(BY_CLOCK[clock], as_of)
    rows = await conn.fetch(
        f"""
        SELECT currency, {", ".join(groups)}, sum(orders)::bigint AS orders, sum(gross) AS gross,
               sum(discount) AS discount, sum(net) AS net, sum(voids)::bigint AS voids
        FROM read_models.{"sales" if as_of is None else "sales_changes"} WHERE {conditions}
        GROUP BY {", ".join(named)}
        HAVING (sum(orders), sum(gross), sum(discount), sum(net), sum(voids)) <> (0, 0, 0, 0, 0)
        ORDER BY {", ".join([*named[1:], "currency"])}
        """,  # noqa: S608 - our own texts; values are parameters
        *conditions.values,
    )
    return [SalesRow(**in_its_currency(row, "gross", "discount", "net")) for row in rows]
